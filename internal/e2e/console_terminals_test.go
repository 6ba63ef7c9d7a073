package e2e

import "testing"

// TestConsoleTerminals works in terminals in a browser: several in the dock, pasting and
// searching, an input method, and sessions that are encrypted under a KMS key
// (web/test/terminals.mjs).
func TestConsoleTerminals(t *testing.T) {
	browserPrograms(t)
	c := clis(t)[0]
	d, managed := recordedDeployment(t, c)
	e := encryptedIn(t, d, c)
	d.browse(t, "terminals.mjs", "NODE="+managed, "KEY="+e.key, "DOCUMENT="+e.document)
}
