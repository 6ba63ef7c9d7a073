package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/client/clienttest"
	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// counter is an output that notes how much it got and what that was.
type counter struct {
	w     io.Writer
	n     atomic.Int64
	every int64       // after so many bytes
	hook  func(int64) // this is called
}

func (c *counter) Write(b []byte) (int, error) {
	c.w.Write(b)
	was := c.n.Load()
	now := c.n.Add(int64(len(b)))
	if c.hook != nil && was/c.every != now/c.every {
		c.hook(now)
	}
	return len(b), nil
}

func TestConformance28ReconnectsLoseNothing(t *testing.T) {
	const size = 10 << 20
	g, u := gatewayUser(t)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	hash := sha256.New()
	cuts := 0
	out := &counter{w: hash, every: size / 20}
	out.hook = func(int64) {
		if g.Cut() {
			cuts++
		}
	}
	u.options.Stdout = out
	u.start()
	go func() {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(40_000))
			if g.Agent.Send(u.ctx, message.PayloadOutput, rest[:n]) != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	// The user types all the while.
	const lines = 2000
	go func() {
		for n := range lines {
			fmt.Fprintf(u.typed, "line %d\n", n)
		}
	}()
	var typed, wantTyped bytes.Buffer
	for n := range lines {
		fmt.Fprintf(&wantTyped, "line %d\n", n)
	}
	for typed.Len() < wantTyped.Len() {
		_, text := next(t, u.ctx, g)
		typed.WriteString(text)
	}
	if !bytes.Equal(typed.Bytes(), wantTyped.Bytes()) {
		t.Error("input differs")
	}
	if err := g.End(u.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := u.wait(); err != nil {
		t.Fatalf("%v; notices %q", err, u.err)
	}
	want := sha256.New()
	fmt.Fprintf(want, "\nStarting session with SessionId: %s\n", clienttest.SessionID)
	want.Write(content)
	fmt.Fprintf(want, "\n\nExiting session with sessionId: %s.\n\n", clienttest.SessionID)
	if !bytes.Equal(hash.Sum(nil), want.Sum(nil)) {
		t.Errorf("output of %d bytes differs", out.n.Load())
	}
	if cuts < 3 {
		t.Errorf("connection was cut %d times, want several of 20", cuts)
	}
	first := <-g.Opened
	for len(g.Opened) > 0 {
		if again := <-g.Opened; again.ClientId != first.ClientId || again.TokenValue == first.TokenValue {
			t.Errorf("opened again by %+v after %+v; want the same client with another token", again, first)
		}
	}
	for _, call := range g.Calls() {
		if auth := call.Header.Get("Authorization"); !strings.Contains(auth, "Credential=AKIDEXAMPLE/") || !strings.Contains(auth, "/local-1/ssm/aws4_request") {
			t.Fatalf("call is signed %q", auth)
		}
	}
}

// lost is a user whose connection is lost while a session runs.
func lost(t *testing.T, prepare func(*clienttest.Gateway, *user)) (*clienttest.Gateway, *user) {
	g, u := gatewayUser(t)
	if prepare != nil {
		prepare(g, u)
	}
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	if !g.Cut() {
		t.Fatal("no connection to cut")
	}
	return g, u
}

func TestTheUserIsToldOfAnOutage(t *testing.T) {
	for _, c := range []struct {
		name     string
		language Language
		terminal Terminal
		want     string
	}{
		{"pipe", English, nil, "[The connection was lost. Reconnecting...]\n[Connected again.]\n"},
		{"terminal", English, &fakeTerminal{}, "\r\n[The connection was lost. Reconnecting... To give up, press Enter, ~ and .]\r\n\r\n[Connected again.]\r\n"},
		{"Japanese", Japanese, nil, "[接続が切れました。再接続しています...]\n[再接続しました。]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, u := lost(t, func(_ *clienttest.Gateway, u *user) {
				u.options.Language, u.options.Terminal = c.language, c.terminal
			})
			last := c.want[strings.LastIndex(c.want, "["):]
			u.err.await(t, u.ctx, last)
			if got := u.err.String(); got != c.want {
				t.Errorf("notices %q, want %q", got, c.want)
			}
			u.kind("x")
			expect(t, u.ctx, g, message.PayloadOutput, "x")
		})
	}
}

func TestResumeMayNameAnotherStreamURL(t *testing.T) {
	other := clienttest.New(t)
	g, u := lost(t, func(g *clienttest.Gateway, _ *user) {
		g.OnResume(func(string) clienttest.Answer {
			return clienttest.Answer{Status: 200, Body: fmt.Sprintf(`{"SessionId":"s","TokenValue":%q,"StreamUrl":%q}`, other.Token(), other.StreamURL())}
		})
	})
	_ = g
	select {
	case <-other.Opened:
	case <-u.ctx.Done():
		t.Fatal("the other gateway was not asked")
	}
}

func TestAnEndedSessionTimesOut(t *testing.T) {
	for _, body := range []string{`{"SessionId":"s"}`, `{"SessionId":"s","TokenValue":null}`, `{"SessionId":"s","TokenValue":""}`} {
		_, u := lost(t, func(g *clienttest.Gateway, _ *user) {
			g.OnResume(func(string) clienttest.Answer { return clienttest.Answer{Status: 200, Body: body} })
		})
		outcome, err := u.wait()
		if err != nil || !outcome.TimedOut {
			t.Errorf("ended %+v, %v; want timed out", outcome, err)
		}
		if got, want := u.out.String(), "Session: "+clienttest.SessionID+" timed out.\n"; !strings.HasSuffix(got, want) {
			t.Errorf("output %q does not end %q", got, want)
		}
	}
}

func TestRefusedResumeEndsTheRun(t *testing.T) {
	_, u := lost(t, func(g *clienttest.Gateway, _ *user) {
		g.OnResume(func(string) clienttest.Answer {
			return service(http.StatusBadRequest, "AccessDeniedException", "you shall not pass")
		})
	})
	_, err := u.wait()
	var refused *RefusedError
	if !errors.As(err, &refused) || !ssm.IsCode(err, ssm.CodeAccessDenied) {
		t.Errorf("ended with %v, want a refusal", err)
	}
	if text := Explain(English, err); !strings.Contains(text, "you shall not pass") || !strings.Contains(text, "cannot be resumed") {
		t.Errorf("explained %q", text)
	}
}

func TestMissingCredentialsEndTheRun(t *testing.T) {
	_, u := lost(t, func(g *clienttest.Gateway, u *user) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	})
	_, err := u.wait()
	var missing *CredentialsError
	if !errors.As(err, &missing) {
		t.Errorf("ended with %v, want that credentials are missing", err)
	}
}

func TestPassingTroubleIsWaitedOut(t *testing.T) {
	answers := []clienttest.Answer{
		{Status: http.StatusBadGateway, Body: "<html>"},
		service(http.StatusBadRequest, "ThrottlingException", "slow down"),
		service(http.StatusInternalServerError, "InternalServerError", "oops"),
		{Status: http.StatusOK, Body: "not JSON"},
	}
	var asked, dialled atomic.Int32
	g, u := lost(t, func(g *clienttest.Gateway, _ *user) {
		g.OnResume(func(token string) clienttest.Answer {
			if n := int(asked.Add(1)); n <= len(answers) {
				return answers[n-1]
			}
			return clienttest.Answer{Status: 200, Body: fmt.Sprintf(`{"SessionId":"s","TokenValue":%q}`, token)}
		})
		g.Refuse(func(w http.ResponseWriter) bool {
			if dialled.Add(1) != 2 {
				return false
			}
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return true
		})
	})
	u.err.await(t, u.ctx, "[Connected again.]")
	u.kind("x")
	expect(t, u.ctx, g, message.PayloadOutput, "x")
	if n := asked.Load(); int(n) != len(answers)+2 {
		t.Errorf("asked %d times, want one more than trouble", n)
	}
	if n := strings.Count(u.err.String(), "lost"); n != 1 {
		t.Errorf("told of the outage %d times, want once: %q", n, u.err)
	}
}

func TestFirstConnectionThatIsRefused(t *testing.T) {
	g, u := gatewayUser(t)
	var dialled atomic.Int32
	g.Refuse(func(w http.ResponseWriter) bool {
		dialled.Add(1)
		http.Error(w, "who are you", http.StatusForbidden)
		return true
	})
	u.start()
	_, err := u.wait()
	var status *StatusError
	if !errors.Is(err, ErrNotConnected) || !errors.As(err, &status) || status.Status != http.StatusForbidden {
		t.Errorf("ended with %v, want that it is forbidden", err)
	}
	if n := dialled.Load(); n != 1 {
		t.Errorf("dialled %d times, want once: the answer stays the same", n)
	}
	if text := Explain(English, err); !strings.Contains(text, "who are you") {
		t.Errorf("explained %q without the gateway's words", text)
	}
}

func TestTheUserMayGiveUpWhileDisconnected(t *testing.T) {
	g, u := gatewayUser(t)
	u.options.Terminal = &fakeTerminal{}
	u.start()
	say(t, u.ctx, g, "$ ")
	u.out.await(t, u.ctx, "$ ")
	for _, text := range []string{"\r~.", "~."} { // belongs to the node while connected
		u.kind(text)
		expect(t, u.ctx, g, message.PayloadOutput, text)
	}
	g.OnResume(func(string) clienttest.Answer { return clienttest.Answer{Status: 503, Body: ""} })
	g.Cut()
	u.err.await(t, u.ctx, "lost")
	for _, key := range []string{"a", "~", ".", "\r", "~", "."} {
		if _, err := io.WriteString(u.typed, key); err != nil {
			t.Fatalf("gave up before the last key, at %q", key)
		}
	}
	if _, err := u.wait(); !errors.Is(err, ErrAbandoned) {
		t.Errorf("ended with %v, want %v", err, ErrAbandoned)
	}
}

// bubbleUser is a user in a synctest bubble whose gateway is in memory.
func bubbleUser(t *testing.T, dial func(n int) (Conn, error), resume func() (*ssm.ResumeSessionOutput, error)) *user {
	u := newUser(t)
	dials := 0
	u.options.Dial = func(context.Context, string, []byte) (Conn, error) {
		dials++
		return dial(dials)
	}
	u.options.Resume = func(context.Context, string) (*ssm.ResumeSessionOutput, error) { return resume() }
	u.ctx = context.Background()
	return u
}

func TestAttemptsGrowRareAndEndAfterFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut time.Time
		var attempts []time.Duration
		near, far := datachannel.Pipe()
		u := bubbleUser(t,
			func(int) (Conn, error) { return aliveConn{near}, nil },
			func() (*ssm.ResumeSessionOutput, error) {
				attempts = append(attempts, time.Since(cut))
				return nil, errors.New("network is unreachable")
			})
		u.start()
		synctest.Wait()
		cut = time.Now()
		far.Close()
		<-u.done
		if !errors.Is(u.ended, ErrGaveUp) || !strings.Contains(Explain(English, u.ended), "network is unreachable") {
			t.Errorf("ended with %v, want that it gave up and why", u.ended)
		}
		if took := time.Since(cut); took < reconnectPatience || took > reconnectPatience+maxDelay {
			t.Errorf("gave up after %s, want %s", took, reconnectPatience)
		}
		if len(attempts) < 180 || attempts[0] != 0 {
			t.Fatalf("%d attempts, the first after %s", len(attempts), attempts[0])
		}
		for n, full := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			full *= time.Millisecond
			if got := attempts[n+1] - attempts[n]; got > full || got < full*3/4 {
				t.Errorf("attempt %d came %s after the one before, want %s less at most a quarter", n+1, got, full)
			}
		}
	})
}

func TestFirstConnectionIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		u := bubbleUser(t, func(n int) (Conn, error) { tries = n; return nil, errors.New("connection refused") }, nil)
		u.start()
		<-u.done
		if !errors.Is(u.ended, ErrNotConnected) || tries != firstAttempts {
			t.Errorf("ended with %v after %d attempts, want %d", u.ended, tries, firstAttempts)
		}
	})
}

func TestARefusedTokenDoesNotEndTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		resumed := 0
		u := bubbleUser(t,
			func(n int) (Conn, error) { // takes the connection and closes it unheard
				near, far := datachannel.Pipe()
				far.Close()
				return unheard{near}, nil
			},
			func() (*ssm.ResumeSessionOutput, error) {
				resumed++
				return &ssm.ResumeSessionOutput{TokenValue: "t"}, nil
			})
		u.start()
		<-u.done
		if !errors.Is(u.ended, ErrGaveUp) {
			t.Errorf("ended with %v, want %v", u.ended, ErrGaveUp)
		}
		if took := time.Since(began); took < reconnectPatience || resumed > 300 {
			t.Errorf("resumed %d times in %s, want growing waits", resumed, took)
		}
		if n := strings.Count(u.err.String(), "["); n != 1 {
			t.Errorf("notices %q, want one", u.err)
		}
	})
}

// unheard is a connection on which nothing is heard.
type unheard struct{ datachannel.FrameConn }

func (unheard) Alive() <-chan struct{} { return nil }

func TestEscape(t *testing.T) {
	for _, c := range []struct {
		typed []string
		want  bool
	}{
		{[]string{"~."}, true},
		{[]string{"~", "."}, true},
		{[]string{"x~."}, false},
		{[]string{"x\r~."}, true},
		{[]string{"x\n", "~", "."}, true},
		{[]string{"~~."}, false},
		{[]string{"\r~\r~."}, true},
		{[]string{"."}, false},
	} {
		var e escape
		got := slices.ContainsFunc(c.typed, func(s string) bool { return e.asked([]byte(s), true) })
		if got != c.want {
			t.Errorf("%q asks to give up: %v, want %v", c.typed, got, c.want)
		}
		if (&escape{}).asked([]byte(strings.Join(c.typed, "")), false) {
			t.Errorf("%q was looked at while connected", c.typed)
		}
	}
}
