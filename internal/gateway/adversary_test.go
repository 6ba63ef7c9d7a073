package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// relayed is the session as this gateway holds it.
func (o *opened) relayed() *session {
	o.t.Helper()
	o.gateway.mu.Lock()
	defer o.gateway.mu.Unlock()
	s := o.gateway.sessions[o.id]
	if s == nil {
		o.t.Fatal("the gateway does not hold the session")
	}
	return s
}

// A peer that repeats what was acknowledged, and does not read the answers, must not fill
// the server's memory with them.
func TestFloodOfRepeatsIsBounded(t *testing.T) {
	o := open(t, Limits{}, nil)
	frame := o.client.stream(fromClient, 0, "x")
	o.agent.wantStream(0, "x")
	o.agent.acknowledge(fromClient, 0)
	o.client.want(message.TypeAcknowledge)
	ctx, cancel := context.WithCancel(o.ctx())
	flooded := make(chan int)
	go func() {
		n := 0
		for ; n < 150_000 && o.client.ws.Write(ctx, websocket.MessageBinary, frame) == nil; n++ {
		}
		flooded <- n
	}()
	s := o.relayed()
	most := 0
	look := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		kept := 0
		for _, f := range s.client.urgent {
			kept += len(f)
		}
		most = max(most, kept)
	}
	for done := false; !done; {
		select {
		case n := <-flooded:
			t.Logf("%d repeats taken", n)
			done = true
		case <-time.After(20 * time.Millisecond):
			look()
			if most > 5<<20 {
				cancel()
			}
		}
	}
	look()
	cancel()
	if most > 5<<20 {
		t.Errorf("%d bytes of answers kept for a client that does not read", most)
	}
	// The session is none the worse: what the node says comes once the client reads.
	o.agent.stream(fromAgent, 0, "still here")
	newer := o.house.client(o.id, o.resume(o.id))
	for {
		if _, m := newer.next(); string(m.Payload) == "still here" {
			break
		}
	}
}

// Acknowledgements for a node that is away are of no use to it: what they acknowledge is
// repeated, and answered here. They must neither pile up nor hold up what is typed.
func TestAcknowledgementsForANodeThatIsAway(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.agent.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionDisconnected)
	payload, _ := json.Marshal(message.Acknowledge{AcknowledgedMessageType: string(fromAgent), AcknowledgedMessageId: ssm.NewUUID(),
		AcknowledgedMessageSequenceNumber: 7, IsSequentialMessage: true})
	frame := message.Append(nil, message.Message{Type: message.TypeAcknowledge, Flags: 3, Payload: append(payload, strings.Repeat(" ", 3000)...)})
	go func() {
		for range 20_000 {
			if o.client.ws.Write(o.ctx(), websocket.MessageBinary, frame) != nil {
				return
			}
		}
		_ = o.client.ws.Write(o.ctx(), websocket.MessageBinary, message.Append(nil, message.Message{
			Type: fromClient, PayloadType: message.PayloadOutput, Payload: []byte("typed")}))
	}()
	s := o.relayed()
	o.eventually("what was typed waits for the node", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		kept := 0
		for _, f := range s.agent.urgent {
			kept += len(f)
		}
		if kept > 5<<20 {
			t.Fatalf("%d bytes of acknowledgements kept for a node that is away", kept)
		}
		return len(s.agent.in.entries) > 0
	})
	o.house.agent(o.id).wantStream(0, "typed")
}

// A client that takes the last output slowly gets all of it before it hears of the end:
// as long as it takes some, the end waits.
func TestSlowClientGetsAllOfTheLastOutput(t *testing.T) {
	o := open(t, Limits{Flush: 200 * time.Millisecond}, nil)
	// More than the sockets hold, so that the gateway is left with the rest.
	const count, size = 120, 64 << 10
	for seq := range int64(count) {
		o.agent.stream(fromAgent, seq, strings.Repeat("x", size))
	}
	s := o.relayed()
	o.eventually("all of the output is with the gateway", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.client.in.find(count-1) != nil
	})
	o.complete("Success", "")
	o.agent.ws.CloseNow()
	for seq := range int64(count) {
		for {
			_, m := o.client.next()
			if m.Type == message.TypeChannelClosed {
				t.Fatalf("told of the end before message %d", seq)
			}
			if m.Type == fromAgent && m.Sequence == seq {
				break
			}
		}
		time.Sleep(50 * time.Millisecond) // the client's output is slow
		o.client.acknowledge(fromAgent, seq)
	}
	for {
		if _, m := o.client.next(); m.Type == message.TypeChannelClosed {
			break
		}
	}
}

// A session that ends while its client is away keeps its last output for the client, who
// must be able to ask for a new token meanwhile: control gives none for a session that is
// shown as Terminating.
func TestClientThatWasAwayAtTheEndGetsTheLastOutput(t *testing.T) {
	o := open(t, Limits{Flush: 50 * time.Millisecond}, nil)
	o.client.ws.CloseNow()
	o.waitStatus(o.id, ssm.SessionDisconnected)
	o.agent.stream(fromAgent, 0, "last words")
	o.complete("Success", "")
	o.agent.ws.CloseNow()
	s := o.relayed()
	o.eventually("the session is ending", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.final != nil
	})
	s.poke()
	time.Sleep(200 * time.Millisecond) // long enough for a state to be written
	if status := o.status(o.id); status != ssm.SessionDisconnected {
		t.Fatalf("a session that keeps its last output for its client is %s", status)
	}
	client := o.house.client(o.id, o.resume(o.id))
	client.wantStream(0, "last words")
	client.acknowledge(fromAgent, 0)
	for {
		if _, m := client.next(); m.Type == message.TypeChannelClosed {
			break
		}
	}
	o.waitStatus(o.id, ssm.SessionTerminated)
}

// Who has no right to a session must not make this gateway take it up.
func TestSessionIsTakenUpForItsOwnPeersOnly(t *testing.T) {
	h := newHouse(t, Limits{})
	h.control()
	id, token := h.prepare(func(s *store.Session) { s.Status = ssm.SessionConnected })
	held := func() bool {
		h.gateway.mu.Lock()
		defer h.gateway.mu.Unlock()
		return h.gateway.sessions[id] != nil
	}
	h.client(id, "wrong").wantClosed()
	if held() {
		t.Fatal("a client with a wrong token had the session taken up")
	}
	_, other := h.addNode()
	if status, body := h.create("/v1/data-channel/"+id, &other, "{}"); status != http.StatusBadRequest || !strings.Contains(body, sessionEndedText) {
		t.Fatalf("another node's create call: %d %s", status, body)
	}
	h.dial("/v1/data-channel/"+id, &other, message.OpenDataChannel{TokenValue: "wrong", ClientInstanceId: h.nodeID}).wantClosed()
	if held() {
		t.Fatal("another node had the session taken up")
	}
	h.client(id, token)
	h.eventually("the session is taken up for its client", held)
}

// A node that opens a newer control channel just as it loses the older one stays
// connected: the end of the older must not be noted over the beginning of the newer.
func TestControlChannelReplacedAsItEnds(t *testing.T) {
	h := newHouse(t, Limits{Lease: time.Hour})
	for range 25 {
		older := h.control()
		var both sync.WaitGroup
		both.Go(func() { older.ws.CloseNow() })
		newer := h.control()
		both.Wait()
		for range 20 {
			n, err := h.store.Node(t.Context(), h.nodeID)
			if err != nil {
				t.Fatal(err)
			}
			if !n.Connected(time.Now()) {
				t.Fatal("the node has an open control channel and is not connected")
			}
			time.Sleep(time.Millisecond)
		}
		newer.ws.CloseNow()
	}
}

// A node cannot fill the log.
func TestBadFramesOnTheControlChannelAreLoggedAFewTimes(t *testing.T) {
	lines := &lineCounter{}
	c := &control{g: &Gateway{logger: slog.New(lines)}, nodeID: ssm.NewNodeID()}
	bad := message.Append(nil, message.Message{Type: message.TypeAgentTaskComplete, Payload: []byte("not JSON")})
	for range 100 {
		for _, frame := range [][]byte{[]byte("garbage"), bad} {
			if err := c.handle(t.Context(), frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := lines.count(slog.LevelWarn); n == 0 || n > maxComplaints {
		t.Errorf("%d warnings for what one node sent, want 1 to %d", n, maxComplaints)
	}
}

// Connections of nobody are bounded, and do not keep out who comes from elsewhere.
func TestOpeningsAreBounded(t *testing.T) {
	var o openings
	var ends []func()
	admitted := func(remote string) bool {
		end, ok := o.begin(remote)
		if ok {
			ends = append(ends, end)
		}
		return ok
	}
	for i := range maxOpeningsOfSource {
		if !admitted(net.JoinHostPort("192.0.2.1", strconv.Itoa(i+1))) {
			t.Fatalf("number %d is refused", i+1)
		}
	}
	if admitted("192.0.2.1:9999") {
		t.Error("one address has more than its share")
	}
	for range maxOpeningsOfSource {
		admitted("[2001:db8::1]:1")
	}
	if admitted("[2001:db8::2]:1") {
		t.Error("one network has more than its share")
	}
	for i := 0; len(ends) < maxOpenings; i++ {
		if !admitted(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)) {
			t.Fatalf("refused at %d", len(ends))
		}
	}
	if admitted("198.51.100.1:1") {
		t.Error("there are more than the most")
	}
	for _, end := range ends {
		end()
		end()
	}
	if o.total != 0 || len(o.sources) != 0 {
		t.Errorf("%d of %d sources are left", o.total, len(o.sources))
	}
}

// A client that has presented its token does not count any more.
func TestOpenedChannelsDoNotCount(t *testing.T) {
	o := open(t, Limits{}, nil)
	o.gateway.openings.mu.Lock()
	total := o.gateway.openings.total
	o.gateway.openings.mu.Unlock()
	if total != 0 {
		t.Errorf("%d openings while all channels are open", total)
	}
	silent, _, err := websocket.Dial(o.ctx(), o.server.URL+"/v1/data-channel/x", &websocket.DialOptions{HTTPClient: &http.Client{
		Transport: &http.Transport{TLSClientConfig: o.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}}})
	if err != nil {
		t.Fatal(err)
	}
	counted := func(want int) func() bool {
		return func() bool {
			o.gateway.openings.mu.Lock()
			defer o.gateway.openings.mu.Unlock()
			return o.gateway.openings.total == want
		}
	}
	o.eventually("a silent connection counts", counted(1))
	silent.CloseNow()
	o.eventually("it does no more when it is closed", counted(0))
}

// What a node says at the end of a session is foreign text: the session's row must not
// stay live for it.
func TestSessionEndsWhateverTheNodeSays(t *testing.T) {
	o := open(t, Limits{Flush: 20 * time.Millisecond}, nil)
	o.complete("Failed", "NUL \x00 and much more "+strings.Repeat("é", 1<<20))
	o.agent.ws.CloseNow()
	closed, err := message.ParseChannelClosed(o.client.want(message.TypeChannelClosed).Payload)
	if err != nil || !strings.HasPrefix(closed.Output, "NUL  and much more é") || len(closed.Output) > maxOutput {
		t.Errorf("the client is told %d bytes %.40q (%v)", len(closed.Output), closed.Output, err)
	}
	o.waitStatus(o.id, ssm.SessionFailed)
	row, err := o.store.Session(t.Context(), o.id)
	if err != nil || !strings.HasPrefix(row.Details, "NUL  and") || len(row.Details) > maxDetails {
		t.Errorf("details of %d bytes %.40q (%v)", len(row.Details), row.Details, err)
	}
}

// Neither does its agent's version, or an id in a path, make an error of ours.
func TestForeignTextIsNoErrorOfOurs(t *testing.T) {
	h := newHouse(t, Limits{})
	path := "/v1/control-channel/" + h.nodeID
	h.dial(path, &h.node, message.OpenControlChannel{TokenValue: h.token(path), AgentVersion: "3\x00" + strings.Repeat("1", 5000), PlatformType: "linux"})
	h.eventually("the node is connected", func() bool {
		n, err := h.store.Node(t.Context(), h.nodeID)
		return err == nil && n.Connected(time.Now())
	})
	for _, id := range []string{"%00", "%ff", "alice-%00"} {
		if status, body := h.create("/v1/data-channel/"+id, &h.node, "{}"); status != http.StatusBadRequest || !strings.Contains(body, sessionEndedText) {
			t.Errorf("%s: %d %s", id, status, body)
		}
	}
}

// A session whose worker died with nobody to tell of it ends soon after its node is back,
// and the node is told, in case something of it is left.
func TestSessionWhoseWorkerIsGoneEnds(t *testing.T) {
	o := open(t, Limits{NodeGone: 200 * time.Millisecond}, nil)
	o.close()
	o.open()
	client := o.house.client(o.id, o.resume(o.id))
	control := o.house.control()
	got, err := message.ParseChannelClosed(control.want(message.TypeChannelClosed).Payload)
	if err != nil || got.SessionId != o.id {
		t.Fatalf("the node is told %+v (%v)", got, err)
	}
	got, err = message.ParseChannelClosed(client.want(message.TypeChannelClosed).Payload)
	if err != nil || got.Output != nodeLost {
		t.Fatalf("the client is told %+v (%v)", got, err)
	}
	o.waitStatus(o.id, ssm.SessionFailed)
}

// A node that is gone without a word, with something written to it on the way, is noticed
// by its silence.
func TestNodeThatAnswersNoPingIsNotConnected(t *testing.T) {
	h := newHouse(t, Limits{Ping: 20 * time.Millisecond, Pong: 100 * time.Millisecond})
	control := h.control()
	// The peer answers pings only while it reads: for as long as it does it stays.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	reading := make(chan error, 1)
	go func() { _, _, err := control.ws.Read(ctx); reading <- err }()
	select {
	case <-reading:
		if ctx.Err() == nil {
			t.Fatal("a node that answers was dropped")
		}
	case <-time.After(500 * time.Millisecond):
	}
	if n, err := h.store.Node(t.Context(), h.nodeID); err != nil || !n.Connected(time.Now()) {
		t.Fatalf("a node that answers is not connected (%v)", err)
	}
	h.eventually("the node is not connected", func() bool { // once the read above has ended
		n, err := h.store.Node(t.Context(), h.nodeID)
		return err == nil && !n.Connected(time.Now())
	})
}
