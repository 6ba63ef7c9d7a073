package e2e

import "testing"

// TestConsoleRecordings watches a session in a browser, plays its recording and searches
// it, and follows a log as it grows (web/test/recordings.mjs).
func TestConsoleRecordings(t *testing.T) {
	browserPrograms(t)
	d, managed := recordedDeployment(t, clis(t)[0])
	d.browse(t, "recordings.mjs", "NODE="+managed)
}
