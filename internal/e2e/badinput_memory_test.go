package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/message"
)

// plainPrograms are the programs as operators have them: the race detector takes many
// times the memory and the time, and so would hide what these tests measure.
var plainPrograms = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("SEKISHO_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	race, err := programs()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(race, "plain")
	build := exec.Command("go", "build", "-o", dir+"/", "sekisho/cmd/sekishod", "sekisho/cmd/sekisho-agent", "sekisho/cmd/session-manager-plugin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs under test: %w\n%s", err, out)
	}
	return dir, nil
})

// usePlainPrograms makes bin name the plain programs for the rest of a test.
func usePlainPrograms(t *testing.T) {
	t.Helper()
	if _, err := plainPrograms(); err != nil {
		t.Fatal(err)
	}
	race := programs
	programs = plainPrograms
	t.Cleanup(func() { programs = race })
}

// memory watches how much memory the programs under test take.
type memory struct {
	dir string

	mu   sync.Mutex
	most map[string]int // guarded by mu: program and process id to bytes
}

// watchMemory looks at all processes of our programs until the test ends.
func watchMemory(t *testing.T) *memory {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{dir: dir, most: map[string]int{}}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			m.look()
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return m
}

// look notes the largest resident size that the kernel has seen of each process.
func (m *memory) look() {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		path, err := os.Readlink(link)
		if err != nil || filepath.Dir(path) != m.dir {
			continue // gone, or somebody else's
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(link), "status"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		kib, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "kB", 2)[0]))
		if err != nil {
			continue
		}
		m.mu.Lock()
		key := filepath.Base(path) + " " + filepath.Base(filepath.Dir(link))
		m.most[key] = max(m.most[key], kib<<10)
		m.mu.Unlock()
	}
}

// below checks that no process of a program went over a limit.
func (m *memory) below(t *testing.T, program string, limit int) {
	t.Helper()
	m.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := 0
	for key, most := range m.most {
		if strings.HasPrefix(key, program+" ") {
			seen = max(seen, most)
		}
	}
	t.Logf("%s took %d MB at the most", program, seen>>20)
	if seen == 0 || seen > limit {
		t.Errorf("%s took %d MB of memory, want at most %d", program, seen>>20, limit>>20)
	}
}

// Far above what is taken, and far below what passes through.
const (
	serverMemory = 200 << 20
	peerMemory   = 100 << 20
)

// TestSlowReader has one end send 1 GB to another that reads nothing, in both directions.
// The server holds back who sends, and other sessions go on.
func TestSlowReader(t *testing.T) {
	usePlainPrograms(t)
	d := deploy(t, 1)
	p := newRawPeer(t, d)
	node := d.env["SEKISHO_NODE_ID"]
	m := watchMemory(t)
	responsive := func() {
		t.Helper()
		started := p.start(node)
		p.talk(p.dialClient(started.StreamURL, started.TokenValue), "echo respon''sive\n", "responsive")
		p.terminate(started.SessionID)
	}
	typed := func(sequence int64, text string) []byte {
		return message.Append(nil, message.Message{Type: message.TypeInputStreamData, Sequence: sequence,
			PayloadType: message.PayloadOutput, Payload: []byte(text)})
	}

	// Output that the client does not read.
	flood := p.start(node)
	deaf := p.dialClient(flood.StreamURL, flood.TokenValue)
	progress := filepath.Join(t.TempDir(), "progress")
	command := fmt.Sprintf("stty raw -echo; for i in $(seq 64); do head -c 16M /dev/zero | tr '\\0' x; echo $i >'%s'; done\n", progress)
	if err := deaf.Write(p.ctx(), websocket.MessageBinary, typed(0, command)); err != nil {
		t.Fatal(err)
	}
	stalled(t, "the output of the node", func() int64 {
		text, _ := os.ReadFile(progress)
		n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n
	}, 8) // of 64 parts of 16 MB: what sockets and queues on the way hold
	responsive()
	p.terminate(flood.SessionID)

	// Input that the shell does not read.
	flood = p.start(node)
	mute := p.dialClient(flood.StreamURL, flood.TokenValue)
	if err := mute.Write(p.ctx(), websocket.MessageBinary, typed(0, "stty raw -echo; exec sleep 1000\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.ctx())
	defer cancel()
	var mu sync.Mutex
	var sent int64
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		text := strings.Repeat("y", 64<<10)
		for sequence := int64(1); sequence <= 1<<30/int64(len(text)); sequence++ {
			if mute.Write(ctx, websocket.MessageBinary, typed(sequence, text)) != nil {
				return
			}
			mu.Lock()
			sent += int64(len(text))
			mu.Unlock()
		}
	}()
	stalled(t, "the input of the client", func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return sent
	}, 128<<20)
	responsive()
	cancel()
	<-wrote
	p.terminate(flood.SessionID)

	m.below(t, "sekishod", serverMemory)
	m.below(t, "sekisho-agent", peerMemory)
}

// stalled waits until a measure has stood still for two seconds, below a limit. Two
// seconds are long beside what passes in them, and a pause of a busy machine only makes
// the test less sharp.
func stalled(t *testing.T, what string, measure func() int64, limit int64) {
	t.Helper()
	last, since := int64(-1), time.Now()
	eventually(t, what+" is held back", func() bool {
		now := measure()
		if now > limit {
			t.Fatalf("%s got to %d, want at most %d", what, now, limit)
		}
		if now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

// TestGigabyteLine sends a line of 1 GB from the node through the real CLI, and then one of
// 32 MB the other way.
func TestGigabyteLine(t *testing.T) {
	usePlainPrograms(t)
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c)
	m := watchMemory(t)
	const shown, typed = 1 << 30, 32 << 20
	p := r.pipe(t, c)
	fmt.Fprintf(p.stdin, "stty raw -echo; printf 'BEG''IN'; head -c %d /dev/zero | tr '\\0' x; printf 'E''ND'; head -c %d | tr -d '\\n' | wc -c; exit\n", shown, typed)
	p.until(t, "BEGIN", nil)
	line, got := bytes.Repeat([]byte("x"), 256<<10), 0
	take := func(b []byte) {
		if !bytes.Equal(b, line[:len(b)]) {
			t.Fatalf("after %d bytes something else than the line: %q", got, tail(strings.Trim(string(b), "x"), 500))
		}
		got += len(b)
	}
	buf := make([]byte, len(line))
	for got < shown {
		n := copy(buf, p.rest)
		p.rest = p.rest[n:]
		if n == 0 {
			var err error
			if n, err = p.stdout.Read(buf[:min(len(buf), shown-got)]); n == 0 {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
		take(buf[:n])
	}
	if rest := p.until(t, "END", nil); len(rest) != 0 {
		t.Errorf("after the line comes %q", tail(string(rest), 500))
	}
	m.look()
	typing := make(chan error, 1)
	go func() {
		_, err := p.stdin.Write(bytes.Repeat([]byte("y"), typed))
		typing <- err
	}()
	p.until(t, fmt.Sprint(typed), nil)
	if err := <-typing; err != nil {
		t.Error(err)
	}
	m.look()
	if _, err := io.Copy(io.Discard, p.stdout); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	m.below(t, "sekishod", serverMemory)
	m.below(t, "sekisho-agent", peerMemory)
	m.below(t, "session-manager-plugin", peerMemory)
}
