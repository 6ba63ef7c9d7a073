package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// clocked is a session under a clock of its own: what run does, without a store and
// without connections that carry anything.
type clocked struct {
	*session
	began time.Time
}

// newClocked makes a session with both ends connected; call it inside a bubble.
func newClocked(idle, longest time.Duration) *clocked {
	now := time.Now()
	s := &session{
		g: &Gateway{limits: Limits{}.withDefaults()}, id: "alice-0123", wake: make(chan struct{}, 1),
		row:   store.Session{ID: "alice-0123", NodeID: "mi-1", IdleTimeout: idle, MaxDuration: longest, StartedAt: now},
		began: now, activity: now,
	}
	s.agent.in, s.client.in = newQueue(false), newQueue(false)
	for _, end := range []*side{&s.agent, &s.client} {
		end.link = &link{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
		end.ever = true
	}
	return &clocked{s, now}
}

// frame is a stream message from one end.
func (c *clocked) frame(end *side, seq int64, p message.PayloadType, flags uint64) {
	t := message.TypeInputStreamData
	if end == &c.agent {
		t = message.TypeOutputStreamData
	}
	frame := message.Append(nil, message.Message{Type: t, PayloadType: p, Sequence: seq, Flags: flags, Payload: []byte("x")})
	h, err := message.ParseHeader(frame)
	if err != nil {
		panic(err)
	}
	c.takeStream(end, c.otherEnd(end), h, frame)
}

// pass lets time go by as run does, and says what the agent was told, and when.
func (c *clocked) pass(d time.Duration) (told []string) {
	for until := time.Now().Add(d); ; {
		c.mu.Lock()
		next := c.step(time.Now(), c.began)
		for _, frame := range c.agent.urgent {
			m, err := message.Parse(frame)
			if err != nil {
				panic(err)
			}
			switch m.Type {
			case message.TypeSessionNotice:
				n, err := message.ParseSessionNotice(m.Payload)
				if err != nil || n.SessionId != c.id {
					panic(fmt.Sprint(n, err))
				}
				told = append(told, fmt.Sprintf("%s: %s", time.Since(c.began), n.Text))
			case message.TypeChannelClosed:
				if c.final != nil { // said once more to whoever missed it
					continue
				}
				told = append(told, fmt.Sprintf("%s: closed", time.Since(c.began)))
			}
		}
		c.agent.urgent, c.agent.urgentBytes = nil, 0
		c.mu.Unlock()
		if !time.Now().Add(next).Before(until) {
			time.Sleep(time.Until(until))
			return told
		}
		time.Sleep(next)
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the agent was told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestIdleSessionIsWarnedAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(20*time.Minute, 0)
		equal(t, c.pass(time.Hour), []string{
			"19m0s: This session has had no input or output for 19 minutes. It ends in 1 minute.",
			"20m0s: closed",
		})
		if c.stopping == nil || c.stopping.output != idleOutput || c.stopping.status != ssm.SessionTerminated {
			t.Errorf("ended with %+v", c.stopping)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(time.Minute, 0)
		equal(t, c.pass(time.Hour), []string{
			"45s: This session has had no input or output for 45 seconds. It ends in 15 seconds.",
			"1m0s: closed",
		})
	})
}

func TestMaximumDurationIsWarnedOfAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(0, 90*time.Minute)
		var told []string
		for i := range int64(1000) { // whatever the user does
			c.frame(&c.client, i, message.PayloadOutput, 0)
			c.frame(&c.agent, i, message.PayloadOutput, 0)
			told = append(told, c.pass(6*time.Second)...)
		}
		equal(t, told, []string{
			"1h29m0s: This session reaches its maximum duration of 90 minutes in 1 minute and ends then.",
			"1h30m0s: closed",
		})
		if c.stopping == nil || c.stopping.output != overlongOutput {
			t.Errorf("ended with %+v", c.stopping)
		}
	})
}

// What counts: a person's input, a program's output.
func TestWhatKeepsASessionFromBeingIdle(t *testing.T) {
	for _, x := range []struct {
		what  string
		agent bool // who sends it
		p     message.PayloadType
		flags uint64
		keeps bool
	}{
		{"input", false, message.PayloadOutput, 0, true},
		{"output", true, message.PayloadOutput, 0, true},
		{"output to standard error", true, message.PayloadStdErr, 0, true},
		{"exit code", true, message.PayloadExitCode, 0, true},
		{"a warning", true, message.PayloadOutput, message.FlagNotice, false},
		{"a client that says it warns", false, message.PayloadOutput, message.FlagNotice, true},
		{"window size", false, message.PayloadSize, 0, false},
		{"flag", false, message.PayloadFlag, 0, false},
		{"handshake", true, message.PayloadHandshakeRequest, 0, false},
		{"handshake answer", false, message.PayloadHandshakeResponse, 0, false},
		{"standard error of a client", false, message.PayloadStdErr, 0, false},
	} {
		t.Run(x.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClocked(10*time.Minute, 0)
				end := &c.client
				if x.agent {
					end = &c.agent
				}
				c.pass(8 * time.Minute)
				c.frame(end, 0, x.p, x.flags)
				c.pass(7 * time.Minute)
				if kept := c.stopping == nil; kept != x.keeps {
					t.Errorf("after 15 minutes: running %v, want %v", kept, x.keeps)
				}
			})
		})
	}
}

// A repeated message is the protocol's, whoever repeats it.
func TestRepeatsAreNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(10*time.Minute, 0)
		for range 100 {
			c.frame(&c.agent, 0, message.PayloadOutput, 0)
			c.pass(30 * time.Second)
		}
		if c.stopping == nil || c.stopping.at.Sub(c.began) != 10*time.Minute {
			t.Errorf("ended %+v", c.stopping)
		}
	})
}

// Use after a warning puts the end off, and the next idle time is warned of again.
func TestActivityAfterAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(4*time.Minute, 0)
		told := c.pass(3*time.Minute + 30*time.Second)
		c.frame(&c.agent, 0, message.PayloadOutput, message.FlagNotice) // the agent shows it
		c.frame(&c.client, 0, message.PayloadOutput, 0)
		told = append(told, c.pass(time.Hour)...)
		equal(t, told, []string{
			"3m0s: This session has had no input or output for 3 minutes. It ends in 1 minute.",
			"6m30s: This session has had no input or output for 3 minutes. It ends in 1 minute.",
			"7m30s: closed",
		})
	})
}

// An agent that is away hears the warning when it is back.
func TestWarningWaitsForTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocked(0, 10*time.Minute)
		l := c.agent.link
		c.agent.link, c.agent.lostAt = nil, time.Now()
		c.began = time.Now()
		equal(t, c.pass(30*time.Second), nil)
		c.row.StartedAt = c.row.StartedAt.Add(-9 * time.Minute) // due while it is away
		equal(t, c.pass(10*time.Second), nil)
		c.agent.link = l
		equal(t, c.pass(10*time.Second), []string{
			"40s: This session reaches its maximum duration of 10 minutes in 20 seconds and ends then.",
		})
	})
}
