package runas

// User is an account that is made when it is not there.
type User struct {
	Name string
	// Sudoers is a file that lets the user do everything with sudo, without a password.
	// It is written once, when the user is made, if it is not there: taking it away is
	// how an administrator takes the right away. Empty means none.
	Sudoers string
}

// SessionUser is who sessions run as when nothing else is said, made as the stock agent
// makes it (agent-control-plane.md §6.2): machines on which both agents have run have
// one such account.
func SessionUser() User {
	return User{Name: "ssm-user", Sudoers: "/etc/sudoers.d/ssm-agent-users"}
}
