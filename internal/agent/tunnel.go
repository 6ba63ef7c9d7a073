package agent

import (
	"context"

	"sekisho/internal/message"
)

// tunnelWindow bounds what a tunnel has under way, in bytes.
const tunnelWindow = 4 << 20

// openTunnel starts the activity of a Port session.
func openTunnel(_ context.Context, _ *worker, _ message.SessionTask) (activity, error) {
	return nil, sentence("Port sessions are not served yet.")
}
