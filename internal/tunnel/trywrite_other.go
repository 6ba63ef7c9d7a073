//go:build !unix

package tunnel

// tryWrite is for systems whose sockets are never written to without waiting.
func tryWrite(Conn, []byte) int { return 0 }
