package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// footprint is what an agent costs its machine.
type footprint struct {
	name      string
	processes int
	binary    int64 // bytes on disk, all programs that it needs
	rss, pss  int64 // bytes, of all its processes
	cpu       float64
	online    time.Duration
}

// TestFootprint measures our agent beside a stock one, both idle on this machine in one
// run. SEKISHO_FOOTPRINT says for how long, such as 10m; without it nothing is measured.
func TestFootprint(t *testing.T) {
	idle, err := time.ParseDuration(os.Getenv("SEKISHO_FOOTPRINT"))
	if err != nil {
		t.Skip("SEKISHO_FOOTPRINT does not say for how long")
	}
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	d.advanced(c)
	var all []*footprint
	measure := func(name, dir string, start func() (node string, began time.Time)) *footprint {
		f := &footprint{name: name}
		node, began := start()
		f.online = d.untilOnline(t, node).Sub(began)
		all = append(all, f)
		return f
	}
	// Ours from a folder of its own, so that its processes can be told.
	ours := t.TempDir()
	program := filepath.Join(ours, "sekisho-agent")
	if out, err := exec.Command("cp", bin(t, "sekisho-agent"), program).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	one := measure("ours", ours, func() (string, time.Time) {
		var began time.Time
		r := joinAs(t, d, c, func(dir string) *exec.Cmd {
			began = time.Now()
			return exec.Command(program, "run", "--dir", dir)
		})
		// Once more, with nothing but the start in the time.
		r.agent.Process.Signal(os.Interrupt)
		r.agent.Wait()
		eventually(t, "the node is gone", func() bool { return !d.isOnline(t, r.node) })
		r.agent = exec.Command(program, "run", "--dir", r.dir)
		r.agent.Env, r.agent.Stderr = cleanEnv(), r.log
		began = time.Now()
		if err := r.agent.Start(); err != nil {
			t.Fatal(err)
		}
		return r.node, began
	})
	one.binary = size(t, program)
	dirs := []string{ours}
	if os.Getenv("STOCK_AGENT_DIR") != "" {
		var stock string
		two := measure("stock", "", func() (string, time.Time) {
			node, dir, began := startStockAgent(t, d, c)
			stock = dir
			return node, began
		})
		for _, name := range []string{"amazon-ssm-agent", "ssm-agent-worker", "ssm-session-worker"} {
			two.binary += size(t, filepath.Join(stock, "bin", name))
		}
		dirs = append(dirs, stock)
	}
	time.Sleep(20 * time.Second) // what an agent does after its start is not idleness
	before := make([]time.Duration, len(all))
	for i := range all {
		before[i], _, _, _ = usage(t, dirs[i])
	}
	began := time.Now()
	time.Sleep(idle)
	for i, f := range all {
		var cpu time.Duration
		cpu, f.rss, f.pss, f.processes = usage(t, dirs[i])
		f.cpu = 100 * float64(cpu-before[i]) / float64(time.Since(began))
		t.Logf("%-6s %d process(es), RSS %.1f MB, PSS %.1f MB, CPU %.4f %% over %s, programs %.1f MB, online after %d ms",
			f.name, f.processes, mega(f.rss), mega(f.pss), f.cpu, idle, mega(f.binary), f.online.Milliseconds())
	}
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// usage sums what the processes use whose program is below dir.
func usage(t *testing.T, dir string) (cpu time.Duration, rss, pss int64, processes int) {
	t.Helper()
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, exe := range exes {
		target, err := os.Readlink(exe)
		if err != nil || !strings.HasPrefix(target, dir+"/") {
			continue
		}
		processes++
		proc := filepath.Dir(exe)
		stat, err := os.ReadFile(filepath.Join(proc, "stat"))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after) // from the third field on, proc(5)
		for _, ticks := range fields[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				t.Fatal(err)
			}
			cpu += time.Duration(n) * 10 * time.Millisecond // USER_HZ is 100
		}
		rollup, err := os.ReadFile(filepath.Join(proc, "smaps_rollup"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(rollup)) {
			var kb int64
			if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kb); n == 1 {
				rss += kb << 10
			}
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
				pss += kb << 10
			}
		}
	}
	return cpu, rss, pss, processes
}

// client is an SDK's, which answers in milliseconds where a CLI takes a second.
func (d *deployment) client(t *testing.T) *ssm.Client {
	t.Helper()
	pem, err := os.ReadFile(d.env["AWS_CA_BUNDLE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return ssm.New(ssm.Options{
		Region: d.env["AWS_DEFAULT_REGION"], BaseEndpoint: aws.String(d.env["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(d.env["AWS_ACCESS_KEY_ID"], d.env["AWS_SECRET_ACCESS_KEY"], ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	})
}

func (d *deployment) isOnline(t *testing.T, node string) bool {
	t.Helper()
	out, err := d.client(t).GetConnectionStatus(t.Context(), &ssm.GetConnectionStatusInput{Target: aws.String(node)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Status == "connected"
}

func (d *deployment) untilOnline(t *testing.T, node string) time.Time {
	t.Helper()
	client := d.client(t)
	eventually(t, "the node is online", func() bool {
		out, err := client.GetConnectionStatus(t.Context(), &ssm.GetConnectionStatusInput{Target: aws.String(node)})
		return err == nil && out.Status == "connected"
	})
	return time.Now()
}
