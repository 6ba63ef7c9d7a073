//go:build !linux

package main

// inEmptyHome needs mount namespaces.
func inEmptyHome() (code int, ran bool, note string) {
	return 0, false, "the shell's start-up files are in the figures"
}
