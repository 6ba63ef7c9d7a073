package terminal

import "golang.org/x/sys/unix"

// The calls that read and write a terminal's settings at once (tcgetattr,
// tcsetattr with TCSANOW).
const (
	readTermios  = unix.TCGETS
	writeTermios = unix.TCSETS
)
