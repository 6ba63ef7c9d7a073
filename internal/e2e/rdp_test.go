package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// remoteDesktop is Debian's xrdp on a loopback port, with a configuration of its own.
func remoteDesktop(t *testing.T) (port string) {
	t.Helper()
	xrdp, err := exec.LookPath("/usr/sbin/xrdp")
	if err != nil {
		t.Skip("xrdp is not installed (Debian package xrdp)")
	}
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=desktop", "-days", "2",
		"-keyout", key, "-out", cert).CombinedOutput(); err != nil {
		t.Skipf("openssl makes no certificate: %v %s", err, out)
	}
	address := freePort(t)
	_, port, _ = net.SplitHostPort(address)
	config := filepath.Join(dir, "xrdp.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:%s
security_layer=tls
certificate=%s
key_file=%s
[Logging]
LogFile=%s/xrdp.log
LogLevel=INFO
EnableSyslog=false
`, port, cert, key, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, exec.Command(xrdp, "--nodaemon", "--config", config))
	eventually(t, "xrdp listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return port
}

// TestRemoteDesktopHandshake negotiates TLS with a real RDP server through a tunnel, as
// a client of remote desktops begins (MS-RDPBCGR 2.2.1.1, 2.2.1.2).
func TestRemoteDesktopHandshake(t *testing.T) {
	port := remoteDesktop(t)
	c := clis(t)[0]
	d := deploy(t, 1)
	p := place{deployment: d, node: d.env["SEKISHO_NODE_ID"]}
	f := p.forward(t, c, "AWS-StartPortForwardingSession", "portNumber="+port)
	conn, err := net.Dial("tcp", f.local)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	const protocolTLS = 1
	// TPKT, X.224 Connection Request, RDP Negotiation Request.
	if _, err := conn.Write([]byte{3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, protocolTLS, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 19)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	// X.224 Connection Confirm with an RDP Negotiation Response.
	if answer[5] != 0xd0 || answer[11] != 2 || binary.LittleEndian.Uint32(answer[15:]) != protocolTLS {
		t.Fatalf("the server answers % x", answer)
	}
	desktop := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the certificate is made above and signed by nobody
	if err := desktop.Handshake(); err != nil {
		t.Fatal(err)
	}
	if name := desktop.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "desktop" {
		t.Errorf("the certificate is %q's", name)
	}
}
