package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"

	"sekisho/internal/client"
	"sekisho/internal/platform"
)

// starts measures the time to the first byte of a prompt: from the call of
// StartSession for a plugin, from its start for ssh.
func starts(ctx context.Context, c *contender, n int, into *clientFigures) error {
	whole := make([]float64, n)
	for i := range n {
		t, err := open(ctx, c, false)
		if err != nil {
			return err
		}
		prompt, err := t.prompt()
		if err == nil {
			whole[i] = milliseconds(prompt.Sub(t.began))
			err = t.leave("exit\r")
		}
		t.close()
		if err != nil {
			return err
		}
	}
	into.Start = append(into.Start, median(whole))
	return nil
}

// insideStarts measures what of a start is the server's and the node's: a client
// inside this process, the same package that the plugin is made of, has no program to
// start. It also measures the shell alone, which every start contains.
func insideStarts(ctx context.Context, d *deployment, n int, r *report) error {
	var call, connect, first, shell []float64
	for range n {
		s, err := insideStart(ctx, d)
		if err != nil {
			return err
		}
		call = append(call, milliseconds(s.answered.Sub(s.began)))
		connect = append(connect, milliseconds(s.connected.Sub(s.answered)))
		first = append(first, milliseconds(s.prompt.Sub(s.connected)))
		alone, err := shellStart(ctx)
		if err != nil {
			return err
		}
		shell = append(shell, milliseconds(alone))
	}
	r.Call = append(r.Call, median(call))
	r.Connect = append(r.Connect, median(connect))
	r.First = append(r.First, median(first))
	r.Shell = append(r.Shell, median(shell))
	return nil
}

// stages are the moments of one start.
type stages struct {
	began     time.Time // of the call of StartSession
	answered  time.Time
	connected time.Time // websocket open, opening message sent
	prompt    time.Time // first byte of the shell
}

func insideStart(ctx context.Context, d *deployment) (stages, error) {
	transport, err := client.HTTPClient(d.env["AWS_CA_BUNDLE"])
	if err != nil {
		return stages{}, err
	}
	defer transport.CloseIdleConnections()
	s := stages{began: time.Now()}
	session, err := d.startSession(ctx)
	if err != nil {
		return s, err
	}
	s.answered = time.Now()
	stdin, keys := io.Pipe()
	defer keys.Close()
	seen := &promptWatch{come: make(chan struct{})}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, err := client.Run(ctx, client.Session{ID: session.SessionID, Token: session.TokenValue, StreamURL: session.StreamURL}, client.Options{
			Stdin: stdin, Stdout: seen, Stderr: seen,
			Dial:   dialNoting(transport, &s.connected),
			Resume: client.NewService(d.env["AWS_ENDPOINT_URL"], d.env["AWS_DEFAULT_REGION"], "", transport).Resume,
		})
		ended <- err
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-seen.come:
	case err := <-ended:
		return s, fmt.Errorf("the session ended before its prompt: %w", err)
	case <-timer.C:
		return s, errSilent
	}
	s.prompt = seen.at
	if _, err := keys.Write([]byte("exit\r")); err != nil {
		return s, err
	}
	select {
	case err = <-ended:
	case <-timer.C:
		err = errSilent
	}
	return s, err
}

// dialNoting notes when the connection is open. It is written before the first output
// and read after it.
func dialNoting(transport *http.Client, connected *time.Time) func(context.Context, string, []byte) (client.Conn, error) {
	return func(ctx context.Context, streamURL string, open []byte) (client.Conn, error) {
		conn, err := client.Dialer{HTTP: transport}.Dial(ctx, streamURL, open)
		*connected = time.Now()
		return conn, err
	}
}

// promptWatch is a standard output that notes when the shell first wrote to it.
type promptWatch struct {
	come chan struct{} // closed then

	mu  sync.Mutex   // guards the following until come is closed
	all bytes.Buffer // all output until then
	at  time.Time    // of the first byte; fixed once come is closed
}

func (w *promptWatch) Write(p []byte) (int, error) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() {
		w.all.Write(p)
		if afterBanner(w.all.Bytes(), true) >= 0 {
			w.at = now
			close(w.come)
		}
	}
	return len(p), nil
}

// shellStart starts the user's login shell at a terminal with nothing in between and
// returns how long its first byte took.
func shellStart(ctx context.Context) (time.Duration, error) {
	me := platform.CurrentAccount()
	cmd := exec.CommandContext(ctx, me.Shell)
	cmd.Args = []string{"-" + filepath.Base(me.Shell)}
	cmd.Dir = me.Home
	cmd.Env = []string{
		"HOME=" + me.Home, "USER=" + me.Name, "LOGNAME=" + me.Name, "SHELL=" + me.Shell,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm-256color", "LANG=C.UTF-8",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return 0, err
	}
	defer cmd.Wait()
	defer master.Close() // hangs the shell up
	var b [1]byte
	if _, err := master.Read(b[:]); err != nil {
		return 0, fmt.Errorf("read from %s: %w", me.Shell, err)
	}
	return time.Since(began), nil
}
