// Package osservice installs a program as a service of the operating system and takes
// it off again. cmd/sekisho-agent calls it.
//
// It promises to leave either a service that is enabled and started or an error that
// says what to do, and to touch nothing but its own unit. It knows systemd, launchd and the
// service manager of Windows; on a Linux without systemd every function returns an error
// that is [errors.ErrUnsupported].
package osservice

// Service is what is to be run.
type Service struct {
	Name        string   // "sekisho-agent"
	Description string   // one line for people
	Command     []string // absolute path and arguments
}

// Status is what the service manager says about a service.
type Status struct {
	Installed bool
	Enabled   bool   // started at boot
	State     string // the manager's own word: "active", "inactive", "failed"
}
