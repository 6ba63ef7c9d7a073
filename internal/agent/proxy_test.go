//go:build linux

package agent

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// An agent behind a proxy reaches the API and the channels through it alone. It runs as a
// process of its own, because Go reads the proxy's variables once.
func TestProxyCarriesEverything(t *testing.T) {
	s := newTestServer(t)
	var mu sync.Mutex
	asked := map[string]int{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("%s %s at the proxy", r.Method, r.URL)
			return
		}
		mu.Lock()
		asked[r.Host]++
		mu.Unlock()
		out, err := net.Dial("tcp", s.http.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(out, in); out.Close() }()
		go func() { io.Copy(in, out); in.Close() }()
	}))
	defer proxy.Close()
	s.register()
	// A name that the test server's certificate has and that leads nowhere without a proxy.
	s.change(func(r *Registration) { r.Endpoint = "https://example.com:8443" })
	agent := exec.Command(os.Args[0], beAgent, s.dir)
	agent.Env = append(os.Environ(), "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	var log strings.Builder
	agent.Stderr = &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		agent.Process.Kill()
		agent.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	receive(t, "control channel through the proxy", s.controls)
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 || asked["example.com:8443"] == 0 {
		t.Errorf("the proxy was asked for %v", asked)
	}
}

// An endpoint that is an IPv6 address.
func TestIPv6Endpoint(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	s := newTestServer(t)
	second := httptest.NewUnstartedServer(s)
	second.Listener.Close()
	second.Listener = l
	second.StartTLS()
	t.Cleanup(second.Close)
	s.http.Close()
	s.http = second
	if !strings.HasPrefix(s.http.URL, "https://[::1]:") {
		t.Fatalf("the server is at %s", s.http.URL)
	}
	s.runAgent()
	receive(t, "control channel", s.controls)
}
