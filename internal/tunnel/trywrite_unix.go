//go:build unix

package tunnel

import (
	"net"
	"syscall"
)

// tryWrite writes as much as the socket takes at once, 0 bytes where it cannot tell or
// there is an error, which the next Write has as well.
func tryWrite(c Conn, p []byte) (n int) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), p)
		return true
	})
	return max(n, 0)
}
