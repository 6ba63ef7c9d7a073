// Package pty runs one program on a pseudo-terminal: the node's end of a shell.
//
// It promises that [Process.Read] returns everything the program wrote before it
// ended and then io.EOF, whoever else still holds the terminal; that a program that
// does not read its input blocks only [Process.Write]; and that after [Process.Kill]
// and [Process.Close] nothing of the terminal's session is left.
//
// Package agent calls it. Linux and macOS are supported; elsewhere [Start] returns
// [errors.ErrUnsupported].
package pty

import "os"

// DefaultSize is the window before the client has said its own, the size of the
// terminals that programs were written for.
var DefaultSize = Size{Cols: 80, Rows: 24}

// Size is a window in character cells.
type Size struct {
	Cols, Rows uint16
}

// Command is a program to start.
type Command struct {
	Path string   // the file to execute
	Argv []string // with the program's own name first, "-bash" for a login shell
	Env  []string // the whole environment, "KEY=value"
	Dir  string   // working directory; must exist
	Size Size     // zero means DefaultSize
	// Files are the program's descriptors from 3 on. It has no others but its terminal.
	Files []*os.File
}

// Status says how a program ended.
type Status struct {
	Code   int       // exit status, or -1 if a signal ended it
	Signal os.Signal // the signal that ended it, or nil
}

// Signal is a signal that a key raises in the foreground process group of a terminal.
type Signal int

// The signals that a terminal raises for a key (termios(4): VINTR, VQUIT, VSUSP).
const (
	Interrupt Signal = iota + 1 // usually Ctrl-C
	Quit                        // usually Ctrl-\
	Suspend                     // usually Ctrl-Z
)
