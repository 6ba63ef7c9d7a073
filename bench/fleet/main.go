// Command fleet measures one server with many idle nodes: how long
// DescribeInstanceInformation with a filter by tag takes, and what memory the server
// needs for each node that holds a TLS control channel. `go run ./bench/fleet` runs it on
// the programs in bin/; docs/hybrid.md says what the figures mean.
//
// It starts `sekishod dev` without nodes on loopback, in a directory that it removes. The
// nodes are this program: they register, ask for credentials, report and open their
// channels by the same requests as an agent, with one key for all of them.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

const (
	region   = "fleet-1"
	patience = 5 * time.Minute
	// teams is how many values the tag has: a filter finds one node of so many.
	teams = 10
)

func main() {
	bin := flag.String("bin", "bin", "`DIR`ectory of sekishod")
	nodes := flag.Int("nodes", 5000, "`N`umber of nodes")
	calls := flag.Int("calls", 1000, "`N`umber of calls measured")
	settle := flag.Duration("settle", 150*time.Second, "`TIME` for which the nodes are idle before memory is read: a Go program looks after its memory every two minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *bin, *nodes, *calls, *settle); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// fleet is a server and what its nodes share.
type fleet struct {
	url   string
	admin *awsapi.Client
	http  *http.Client
	key   *rsa.PrivateKey
	der   string // of the key's public half, in base64
	pid   int
}

func run(ctx context.Context, bin string, nodes, calls int, settle time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "sekisho-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, stop, err := start(ctx, bin, dir)
	if err != nil {
		return err
	}
	defer stop()
	if err := f.admin.Call(ctx, "AmazonSSM.UpdateServiceSetting", ssm.UpdateServiceSettingInput{
		SettingID: ssm.ActivationTierSetting, SettingValue: ssm.TierAdvanced}, nil); err != nil {
		return err
	}
	// One call first, so that what every server needs is there.
	if err := f.admin.Call(ctx, "AmazonSSM.DescribeInstanceInformation", ssm.DescribeInstanceInformationInput{}, nil); err != nil {
		return err
	}
	before, err := memory(f.pid)
	if err != nil {
		return err
	}
	began := time.Now()
	channels, err := f.join(ctx, nodes)
	defer func() {
		for _, c := range channels {
			c.CloseNow()
		}
	}()
	if err != nil {
		return err
	}
	fmt.Printf("%d nodes registered, reported and connected in %.1f s\n", nodes, time.Since(began).Seconds())
	joined, err := memory(f.pid)
	if err != nil {
		return err
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	idle, err := memory(f.pid)
	if err != nil {
		return err
	}
	fmt.Printf("server: %.1f MB before, %.1f MB when all were connected, %.1f MB after %s\n", mb(before), mb(joined), mb(idle), settle)
	fmt.Printf("memory per idle node with TLS: %.1f KB\n", float64(idle-before)/float64(nodes)/1024)
	for _, c := range []struct {
		name    string
		filters []ssm.InstanceInformationStringFilter
	}{
		{"no filter", nil},
		{"tag:team", []ssm.InstanceInformationStringFilter{{Key: "tag:team", Values: []string{"team-3"}}}},
		{"tag:team and PingStatus", []ssm.InstanceInformationStringFilter{{Key: "tag:team", Values: []string{"team-3"}}, {Key: "PingStatus", Values: []string{ssm.PingOnline}}}},
		{"tag:team of no node", []ssm.InstanceInformationStringFilter{{Key: "tag:team", Values: []string{"nobody"}}}},
	} {
		if err := f.measure(ctx, c.name, c.filters, calls, nodes); err != nil {
			return err
		}
	}
	return nil
}

// start starts a server and waits until it is ready.
func start(ctx context.Context, bin, dir string) (*fleet, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(filepath.Join(bin, "sekishod"), "dev", "--dir", dir, "--listen", address, "--nodes", "0", "--region", region)
	log, err := os.Create(filepath.Join(dir, "sekishod.log"))
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start sekishod (build it with `make build`): %w", err)
	}
	stop := func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	ready := false
	lines := bufio.NewScanner(out)
	for !ready && lines.Scan() {
		ready = lines.Text() == "ready"
	}
	go io.Copy(io.Discard, out)
	fail := func(err error) (*fleet, func(), error) {
		stop()
		text, _ := os.ReadFile(log.Name())
		return nil, nil, fmt.Errorf("%w\n%s", err, text)
	}
	if !ready {
		return fail(errors.New("sekishod is not ready"))
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return fail(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	text, err := os.ReadFile(filepath.Join(dir, "admin.json"))
	if err != nil {
		return fail(err)
	}
	var admin struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	if err := json.Unmarshal(text, &admin); err != nil {
		return fail(err)
	}
	f := &fleet{url: "https://" + address, pid: cmd.Process.Pid}
	f.http = &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConnsPerHost: 16}}
	f.admin = f.client(sigv4.Credentials{AccessKeyID: admin.ID, SecretAccessKey: admin.Secret})
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return fail(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		return fail(err)
	}
	f.der = base64.StdEncoding.EncodeToString(der)
	return f, stop, nil
}

// client is a caller with these credentials.
func (f *fleet) client(cred sigv4.Credentials) *awsapi.Client {
	return &awsapi.Client{Endpoint: f.url, HTTP: f.http, Sign: func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), cred, region, "ssm", time.Now())
		return nil
	}}
}

// join makes the nodes and gives their open control channels.
func (f *fleet) join(ctx context.Context, nodes int) ([]*websocket.Conn, error) {
	activations := make([]ssm.CreateActivationOutput, teams)
	limit := nodes/teams + 1
	for i := range activations {
		if err := f.admin.Call(ctx, "AmazonSSM.CreateActivation", ssm.CreateActivationInput{
			IamRole: "SSMServiceRole", RegistrationLimit: &limit, DefaultInstanceName: fmt.Sprintf("rack-%d", i),
			Tags: []ssm.Tag{{Key: "team", Value: fmt.Sprintf("team-%d", i)}, {Key: "site", Value: "bench"}}}, &activations[i]); err != nil {
			return nil, err
		}
	}
	var (
		mu       sync.Mutex
		channels []*websocket.Conn
		failed   error
		next     atomic.Int64
		workers  sync.WaitGroup
	)
	for range 8 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < nodes; i = int(next.Add(1)) - 1 {
				ws, err := f.node(ctx, i, activations[i%teams])
				mu.Lock()
				if err != nil && failed == nil {
					failed = fmt.Errorf("node %d: %w", i, err)
				}
				if ws != nil {
					channels = append(channels, ws)
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	workers.Wait()
	return channels, failed
}

// node is one node, as its agent would be: it registers, asks for credentials, reports,
// and opens its control channel.
func (f *fleet) node(ctx context.Context, i int, a ssm.CreateActivationOutput) (*websocket.Conn, error) {
	anonymous := &awsapi.Client{Endpoint: f.url, HTTP: f.http}
	print := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	var registered ssm.RegisterManagedInstanceOutput
	if err := anonymous.Call(ctx, "AmazonSSM.RegisterManagedInstance", ssm.RegisterManagedInstanceInput{
		ActivationID: a.ActivationID, ActivationCode: a.ActivationCode, Fingerprint: print, PublicKey: f.der, PublicKeyType: "Rsa"}, &registered); err != nil {
		return nil, err
	}
	id := registered.InstanceID
	own := &awsapi.Client{Endpoint: f.url, HTTP: f.http, Sign: func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, sigv4.Hash(body), id, f.key, region, "ssm", time.Now())
	}}
	var token ssm.RequestManagedInstanceRoleTokenOutput
	if err := own.Call(ctx, "AmazonSSM.RequestManagedInstanceRoleToken", ssm.RequestManagedInstanceRoleTokenInput{Fingerprint: print}, &token); err != nil {
		return nil, err
	}
	cred := sigv4.Credentials{AccessKeyID: token.AccessKeyID, SecretAccessKey: token.SecretAccessKey, SessionToken: token.SessionToken}
	if err := f.client(cred).Call(ctx, "AmazonSSM.UpdateInstanceInformation", ssm.UpdateInstanceInformationInput{
		InstanceID: id, AgentName: "amazon-ssm-agent", AgentVersion: "3.4.0.0", PlatformType: "Linux", PlatformName: "Debian GNU/Linux",
		PlatformVersion: "13", ComputerName: fmt.Sprintf("node-%d.example.net", i), IPAddress: "192.0.2.1"}, nil); err != nil {
		return nil, err
	}
	return f.openChannel(ctx, id, cred)
}

func (f *fleet) openChannel(ctx context.Context, id string, cred sigv4.Credentials) (*websocket.Conn, error) {
	path := f.url + "/v1/control-channel/" + id
	body := []byte(`{"MessageSchemaVersion":"1.0","RequestId":"` + ssm.NewUUID() + `"}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	sigv4.Sign(r, sigv4.Hash(body), cred, region, "ssmmessages", time.Now())
	res, err := f.http.Do(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	var answer struct{ TokenValue string }
	if err := xml.Unmarshal(text, &answer); err != nil || answer.TokenValue == "" {
		return nil, fmt.Errorf("create a control channel: %s %s", res.Status, text)
	}
	path += "?role=subscribe&stream=input"
	r, err = http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	sigv4.Sign(r, sigv4.Hash(nil), cred, region, "ssmmessages", time.Now())
	ws, _, err := websocket.Dial(ctx, path, &websocket.DialOptions{HTTPClient: f.http, HTTPHeader: r.Header, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	go func() { // answers pings
		for {
			if _, _, err := ws.Read(ctx); err != nil {
				return
			}
		}
	}()
	open := `{"MessageSchemaVersion":"1.0","RequestId":"` + ssm.NewUUID() + `","TokenValue":"` + answer.TokenValue + `","AgentVersion":"3.4.0.0","PlatformType":"linux"}`
	return ws, ws.Write(ctx, websocket.MessageText, []byte(open))
}

// measure calls DescribeInstanceInformation one after the other, page by page as a client
// does that wants all of them, and prints how long a call takes.
func (f *fleet) measure(ctx context.Context, name string, filters []ssm.InstanceInformationStringFilter, calls, nodes int) error {
	times := make([]time.Duration, 0, calls)
	size, found, most := 50, 0, 0
	in := ssm.DescribeInstanceInformationInput{Filters: filters, MaxResults: &size}
	for range calls {
		var out ssm.DescribeInstanceInformationOutput
		began := time.Now()
		if err := f.admin.Call(ctx, "AmazonSSM.DescribeInstanceInformation", in, &out); err != nil {
			return err
		}
		times = append(times, time.Since(began))
		found += len(out.InstanceInformationList)
		if in.NextToken = out.NextToken; out.NextToken == "" {
			most, found = max(most, found), 0
		}
	}
	slices.Sort(times)
	at := func(part float64) float64 {
		return float64(times[int(part*float64(len(times)-1))].Microseconds()) / 1000
	}
	fmt.Printf("DescribeInstanceInformation, %s (%d of %d nodes), pages of %d: median %.1f ms, p99 %.1f ms, longest %.1f ms\n",
		name, most, nodes, size, at(0.5), at(0.99), at(1))
	return nil
}

// memory is what a process has in RAM, in bytes.
func memory(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("the memory of the server is not known on this system")
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }
