package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// dialPatience bounds the opening of one connection.
const dialPatience = 30 * time.Second

// deniedNetworks hold the services that a machine trusts because only it can reach them:
// metadata, credentials, name and time service of clouds. A tunnel to them would lend the
// node's identity to its user. The first is all of IPv4's link-local addresses; the others
// are Azure's, Alibaba's and Oracle's, and the IPv6 addresses of AWS.
var deniedNetworks = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::254/128"),
}

// target is where the connections of a tunnel go.
type target struct {
	host   string // empty: this machine
	port   uint16
	denied []netip.Prefix // beside deniedNetworks
}

// newTarget checks what the document says and looks the host up, so that a target that is
// not allowed is refused when the session starts. One that does not resolve now may later.
func newTarget(ctx context.Context, host, port string, denied []netip.Prefix) (*target, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, sentence("Port number %.20q in the session document is not one from 1 to 65535.", port)
	}
	t := &target{host: host, port: uint16(n), denied: denied}
	if host == "" {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return t, nil
	}
	for _, a := range addresses {
		if t.denies(a) {
			return nil, t.forbidden()
		}
	}
	return t, nil
}

func (t *target) forbidden() error {
	return sentence("Forwarding to IP address %.200s is forbidden.", t.host)
}

func (t *target) denies(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsMulticast() || t.host != "" && a.IsUnspecified() {
		return true
	}
	for _, list := range [][]netip.Prefix{deniedNetworks, t.denied} {
		for _, p := range list {
			if p.Contains(a) {
				return true
			}
		}
	}
	return false
}

// dial connects. The name is looked up each time, and each address is checked before it
// is connected to, so that a name that changes its mind changes nothing.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	host := t.host
	if host == "" {
		host = "localhost"
	}
	d := net.Dialer{Timeout: dialPatience, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
		if t.denies(a.Addr()) {
			return t.forbidden()
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(t.port))))
}
