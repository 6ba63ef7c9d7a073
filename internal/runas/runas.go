// Package runas runs a program as another local account of this machine: it finds the
// account, makes the one that sessions have by default, and starts the program with
// nothing of the caller's rights.
//
// It promises that the program has the account's user and group ids, real, effective
// and saved, its supplementary groups and no others, no capabilities, no descriptor
// beside the three it was given, and no way back; that this was checked by trying before
// the program was executed; and that the account is never one with a user or group id
// of 0.
//
// The rights are given up in a process of their own, this program executed again
// ([Child]), and never in the process that has other things in its memory. No PAM is
// involved: that the account's password is locked or has expired does not matter, because
// who may open a session is the service's decision (docs/adr/0015-run-as.md).
//
// Package agent calls it. Linux and macOS are supported; elsewhere every call returns
// [errors.ErrUnsupported].
package runas

import (
	"errors"
	"strings"
)

// Account is a local user.
type Account struct {
	Name   string
	UID    int
	GID    int
	Groups []int // all of them, GID too
	Home   string
	Shell  string // may be empty or unusable
}

// Facts that callers branch on.
var (
	// ErrNoUser says that this machine does not know the user.
	ErrNoUser = errors.New("no such user")
	// ErrRoot says that the account has a user or group id of 0.
	ErrRoot = errors.New("the account is root's or in root's group")
	// ErrNotExecuted says that the account was taken on and the program could not be
	// executed.
	ErrNotExecuted = errors.New("not executed")
)

// Root says whether the account is root by its user id or its group id.
func (a Account) Root() bool { return a.UID == 0 || a.GID == 0 }

// Command is a program to run as an account.
type Command struct {
	Account Account
	Path    string   // the file to execute
	Argv    []string // with the program's own name first
	Env     []string // the whole environment, "KEY=value"
	Dir     string   // working directory; "/" where the account cannot go there
	Umask   int
}

// maxName is the longest name that is asked for, in bytes. Linux accounts have up to 32,
// those of a directory more.
const maxName = 256

// validName keeps out what is no name to the tools that are asked about it: options,
// paths, separators.
func validName(name string) bool {
	if name == "" || len(name) > maxName || strings.ContainsAny(name[:1], "-+~") || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`:/,"'`+"`$;|&<>()*?[]{}!#", r)
	})
}
