// Package platform knows this machine: its facts as the service lists them, the
// account that the agent runs as, and the few things about processes and directories
// that differ between operating systems.
//
// It promises never to ask the network and never to start a program, so that it
// answers at once on a machine in trouble. What it cannot find it leaves empty.
// Package agent and cmd/sekisho-agent call it.
package platform

import (
	"net"
	"os"
)

// Types of platform as UpdateInstanceInformation has them
// (agent-control-plane.md §3.1).
const (
	Linux   = "Linux"
	MacOS   = "MacOS"
	Windows = "Windows"
)

// Facts is what a node tells about itself.
type Facts struct {
	Type         string // Linux, MacOS or Windows
	Name         string // "Debian GNU/Linux"
	Version      string // "13"
	ComputerName string
	IPAddress    string // the first address that others can use
}

// Local gathers the facts of this machine.
func Local() Facts {
	f := Facts{Type: osType}
	f.Name, f.Version = osRelease()
	f.ComputerName, _ = os.Hostname()
	if addrs, err := net.InterfaceAddrs(); err == nil {
		f.IPAddress = pickAddress(addrs)
	}
	return f
}

// pickAddress prefers an IPv4 address that is neither loopback nor link-local, then
// such an IPv6 address, then anything, as the stock agent does.
func pickAddress(addrs []net.Addr) string {
	var best net.IP
	rank := 0
	for _, addr := range addrs {
		n, ok := addr.(*net.IPNet)
		if !ok {
			continue
		}
		r := 1
		if !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			if r = 2; n.IP.To4() != nil {
				r = 3
			}
		}
		if r > rank {
			best, rank = n.IP, r
		}
	}
	if best == nil {
		return ""
	}
	return best.String()
}

// Account is a local user.
type Account struct {
	Name  string
	UID   int
	Home  string
	Shell string // login shell; may be empty or unusable
}
