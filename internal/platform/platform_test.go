package platform

import (
	"net"
	"strings"
	"testing"
)

func TestParseOSRelease(t *testing.T) {
	for _, c := range []struct{ text, name, version string }{
		{"PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n", "Debian GNU/Linux", "13"},
		{"NAME=Fedora\r\nVERSION_ID='41'", "Fedora", "41"},
		{"# NAME=x\nNAME=\"a \\\"b\\\" \\$c\"\n", `a "b" $c`, ""},
		{"NAME=\"unclosed\nVERSION_ID=", `"unclosed`, ""},
		{"", "", ""},
	} {
		if name, version := parseOSRelease(c.text); name != c.name || version != c.version {
			t.Errorf("%q: got %q, %q, want %q, %q", c.text, name, version, c.name, c.version)
		}
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n")
	f.Add("NAME='a'\nNAME=\"\\\"\n=\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		name, version := parseOSRelease(text)
		if len(name)+len(version) > len(text) {
			t.Errorf("%q and %q are longer than the file", name, version)
		}
	})
}

func TestParsePasswd(t *testing.T) {
	text := "root:x:0:0:root:/root:/bin/bash\n#x:x:7:7::/:/bin/sh\nshort:x:8\nnode:x:1000:1000:Node,,,:/home/node:/usr/bin/zsh\n"
	for _, c := range []struct {
		uid  string
		want Account
		ok   bool
	}{
		{"0", Account{Name: "root", Home: "/root", Shell: "/bin/bash"}, true},
		{"1000", Account{Name: "node", Home: "/home/node", Shell: "/usr/bin/zsh"}, true},
		{"7", Account{}, false},
		{"8", Account{}, false},
	} {
		if got, ok := parsePasswd(text, c.uid); got != c.want || ok != c.ok {
			t.Errorf("uid %s: got %+v, %v, want %+v, %v", c.uid, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParsePasswd(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n", "0")
	f.Fuzz(func(t *testing.T, text, uid string) {
		if a, ok := parsePasswd(text, uid); ok && (a.Name == "" || strings.ContainsAny(a.Name+a.Home+a.Shell, ":\n")) {
			t.Errorf("%+v is no account", a)
		}
	})
}

func TestAddressOthersCanUseIsPreferred(t *testing.T) {
	addr := func(cidr string) net.Addr {
		ip, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: n.Mask}
	}
	for _, c := range []struct {
		addrs []net.Addr
		want  string
	}{
		{nil, ""},
		{[]net.Addr{addr("127.0.0.1/8")}, "127.0.0.1"},
		{[]net.Addr{addr("127.0.0.1/8"), addr("169.254.3.4/16"), addr("2001:db8::7/64")}, "2001:db8::7"},
		{[]net.Addr{addr("2001:db8::7/64"), addr("192.0.2.7/24"), addr("192.0.2.8/24")}, "192.0.2.7"},
	} {
		if got := pickAddress(c.addrs); got != c.want {
			t.Errorf("%v: got %q, want %q", c.addrs, got, c.want)
		}
	}
}
