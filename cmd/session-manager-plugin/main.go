// Command session-manager-plugin is a drop-in for the program of that name which the
// AWS CLI starts to run a session. It holds that program's contract, arguments,
// environment, words and exit codes (protocol.md §11); the session itself is package
// client.
//
// The end of a standard input that is no terminal is passed on as a terminal would:
// with an EOT character, which ends a shell, and the output is shown until the node
// ends the session.
package main

import (
	"os"

	"sekisho/internal/client/terminal"
)

func main() {
	if terminal.IsGuard(os.Args[1:]) {
		os.Exit(terminal.RunGuard())
	}
	os.Exit(run(processEnv(), os.Args[1:]))
}
