package datachannel

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sekisho/internal/message"
)

// exampleKey is the data key of protocol.md §7: the bytes 00 to 3f.
func exampleKey() DataKey {
	key := make(DataKey, DataKeySize)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

func newCipher(t testing.TB, role Role) *Cipher {
	t.Helper()
	c, err := NewCipher(role, exampleKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	vectorNonce  = "000102030405060708090a0b"
	vectorAgent  = vectorNonce + "2f67ba77aa2797ff353b8a046d28236dcd9d057bbb"
	vectorClient = vectorNonce + "343731cb25fb6b6d50e4ed83c749b851c5fa918ab5"
)

func TestConformance24VectorsAreReproduced(t *testing.T) {
	for _, v := range []struct {
		from, to Role
		blob     string
	}{{Agent, Client, vectorAgent}, {Client, Agent, vectorClient}} {
		got, err := newCipher(t, v.to).Open(unhex(t, v.blob))
		if err != nil || string(got) != "hello" {
			t.Errorf("blob of role %d opens to %q, %v", v.from, got, err)
		}
		nonce := unhex(t, vectorNonce)
		if got := hex.EncodeToString(newCipher(t, v.from).seal.Seal(bytes.Clone(nonce), nonce, []byte("hello"), nil)); got != v.blob {
			t.Errorf("role %d seals %s, want %s", v.from, got, v.blob)
		}
	}
	// The agent counts before it seals.
	agent := newCipher(t, Agent)
	copy(agent.nonce[:], unhex(t, "ff0002030405060708090a0b"))
	if got := hex.EncodeToString(agent.Seal(nil, []byte("hello"))); got != vectorAgent {
		t.Errorf("agent seals %s, want %s", got, vectorAgent)
	}
}

func TestAgentCountsNoncesLittleEndian(t *testing.T) {
	c := newCipher(t, Agent)
	for _, tt := range [][2]string{
		{"000000000000000000000000", "010000000000000000000000"},
		{"ff0000000000000000000000", "000100000000000000000000"},
		{"ffffffffffffffff00000000", "000000000000000001000000"},
		{"ffffffffffffffffff000000", "000000000000000000010000"},
		{"ffffffffffffffffffffffff", "000000000000000000000000"},
	} {
		copy(c.nonce[:], unhex(t, tt[0]))
		if got := hex.EncodeToString(c.Seal(nil, nil)[:nonceSize]); got != tt[1] {
			t.Errorf("after %s comes %s, want %s", tt[0], got, tt[1])
		}
	}
}

func TestNoncesAreNeverUsedTwice(t *testing.T) {
	for _, role := range []Role{Agent, Client} {
		c := newCipher(t, role)
		var mu sync.Mutex
		seen := map[string]bool{}
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				for range 500 {
					nonce := string(c.Seal(nil, []byte("x"))[:nonceSize])
					mu.Lock()
					if seen[nonce] {
						t.Errorf("role %d: nonce %x came twice", role, nonce)
					}
					seen[nonce] = true
					mu.Unlock()
				}
			})
		}
		senders.Wait()
	}
	if a, b := newCipher(t, Agent), newCipher(t, Agent); a.nonce == b.nonce {
		t.Error("two ciphers begin with the same nonce")
	}
}

func TestBlobsThatAreNotSealedAreRefused(t *testing.T) {
	good := unhex(t, vectorAgent)
	client := newCipher(t, Client)
	for n := range good {
		if _, err := client.Open(bytes.Clone(good[:n])); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%d bytes: %v", n, err)
		}
		bad := bytes.Clone(good)
		bad[n] ^= 1
		if _, err := client.Open(bad); !errors.Is(err, ErrDecrypt) {
			t.Errorf("byte %d changed: %v", n, err)
		}
	}
	// What an end sealed itself comes back from a gateway that reflects it.
	if _, err := client.Open(client.Seal(nil, []byte("hello"))); !errors.Is(err, ErrDecrypt) {
		t.Errorf("own blob: %v", err)
	}
}

func TestDataKeyIsWipedAndNeverShown(t *testing.T) {
	key := exampleKey()
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("key", "key", key)
	fmt.Fprintf(&b, "%v %s %x %+v %#v %q %d", key, key, key, key, key, key, key)
	for _, secret := range []string{"1 2 3", "010203", "AQID", "\x01\x02", "0x1"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the key is in %q", b.String())
		}
	}
	if _, err := NewCipher(Agent, key); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key, make([]byte, DataKeySize)) {
		t.Error("the key is not wiped")
	}
	for _, n := range []int{0, 32, 63, 65, 128} {
		if _, err := NewCipher(Client, make(DataKey, n)); err == nil {
			t.Errorf("a data key of %d bytes is taken", n)
		}
	}
}

// ends are both ends of one session, joined, whose frames the test may look at.
type ends struct {
	agent, client *Channel
	mu            sync.Mutex
	frames        [][]byte // guarded by mu; both ways
}

// recordingConn notes what is written.
type recordingConn struct {
	FrameConn
	e *ends
}

func (c recordingConn) WriteFrame(ctx context.Context, frame []byte) error {
	c.e.mu.Lock()
	c.e.frames = append(c.e.frames, bytes.Clone(frame))
	c.e.mu.Unlock()
	return c.FrameConn.WriteFrame(ctx, frame)
}

func join(t *testing.T) *ends {
	e := &ends{agent: New(Config{Role: Agent}), client: New(Config{Role: Client})}
	a, b := Pipe()
	var served sync.WaitGroup
	served.Go(func() { e.agent.Serve(t.Context(), recordingConn{a, e}) })
	served.Go(func() { e.client.Serve(t.Context(), recordingConn{b, e}) })
	t.Cleanup(func() {
		e.agent.Close()
		e.client.Close()
		served.Wait()
	})
	return e
}

// wire is everything that was on the wire.
func (e *ends) wire() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Join(e.frames, nil)
}

// agreement is a handshake between both ends, with a key service in the test's hands.
type agreement struct {
	*ends
	asked     KeyRequest
	opened    []byte
	challenge string

	newKey NewDataKey
	offer  HandshakeOffer

	version            string
	handshake          Handshake
	agentErr, clientEr error
}

func agree(t *testing.T) *agreement {
	a := &agreement{ends: join(t)}
	a.newKey = func(_ context.Context, r KeyRequest) (DataKey, []byte, error) {
		a.asked = r
		return exampleKey(), []byte("sealed key"), nil
	}
	a.offer = HandshakeOffer{
		SessionType: message.SessionTypeParameters{SessionType: message.SessionTypeStandardStream},
		KMSKeyID:    "alias/sessions",
		OpenDataKey: func(_ context.Context, sealed []byte, challenge string) (DataKey, error) {
			a.opened, a.challenge = bytes.Clone(sealed), challenge
			return exampleKey(), nil
		},
	}
	return a
}

func (a *agreement) shake(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		agreed, err := a.agent.RequestHandshake(ctx, a.offer)
		a.version, a.agentErr = agreed.ClientVersion, err
	})
	both.Go(func() { a.handshake, _, a.clientEr = a.client.AnswerHandshake(ctx, a.newKey) })
	both.Wait()
}

func TestConformance24EncryptedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agree(t)
		a.shake(t)
		if a.agentErr != nil || a.clientEr != nil {
			t.Fatalf("agent: %v, client: %v", a.agentErr, a.clientEr)
		}
		if a.version != message.ClientVersion || !a.handshake.Encrypted || a.handshake.CustomerMessage != "This session is encrypted using AWS KMS." {
			t.Errorf("version %s, handshake %+v", a.version, a.handshake)
		}
		if a.asked.KeyID != "alias/sessions" || len(a.asked.Challenge) != 24 || a.challenge != a.asked.Challenge || string(a.opened) != "sealed key" {
			t.Errorf("asked %+v; opened %q with challenge %q", a.asked, a.opened, a.challenge)
		}
		for _, m := range []struct {
			from, to *Channel
			t        message.PayloadType
			clear    bool
		}{
			{a.agent, a.client, message.PayloadOutput, false},
			{a.agent, a.client, message.PayloadStdErr, false},
			{a.agent, a.client, message.PayloadExitCode, false},
			{a.client, a.agent, message.PayloadOutput, false},
			{a.client, a.agent, message.PayloadSize, true},
			{a.client, a.agent, message.PayloadFlag, true},
		} {
			text := fmt.Sprintf("in clear: %s from %d", m.t, m.from.role)
			if err := m.from.Send(t.Context(), m.t, []byte(text)); err != nil {
				t.Fatal(err)
			}
			in := receive(t, m.to, text)
			if in.PayloadType != m.t {
				t.Errorf("%s arrives as %s", m.t, in.PayloadType)
			}
			in.Done()
			drain(t, m.from)
			if got := bytes.Contains(a.wire(), []byte(text)); got != m.clear {
				t.Errorf("%s of role %d in clear on the wire: %t, want %t", m.t, m.from.role, got, m.clear)
			}
		}
		if a.client.in.readyBytes != 0 || a.agent.in.readyBytes != 0 {
			t.Errorf("%d and %d bytes are left to be processed", a.client.in.readyBytes, a.agent.in.readyBytes)
		}
	})
}

func TestConformance32HandshakeRequestOfAnEncryptedShell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := c.RequestHandshake(ctx, agree(t).offer)
			done <- err
		}()
		m := p.expectData(0)
		var got struct {
			AgentVersion           string
			RequestedClientActions []struct {
				ActionType       string
				ActionParameters map[string]any
			}
		}
		if err := json.Unmarshal(m.Payload, &got); err != nil || m.PayloadType != message.PayloadHandshakeRequest || len(got.RequestedClientActions) != 2 {
			t.Fatalf("%s %s: %v", m.PayloadType, m.Payload, err)
		}
		first, second := got.RequestedClientActions[0], got.RequestedClientActions[1]
		if first.ActionType != "SessionType" || first.ActionParameters["SessionType"] != "Standard_Stream" || first.ActionParameters["Properties"] != nil ||
			second.ActionType != "KMSEncryption" || second.ActionParameters["KMSKeyId"] != "alias/sessions" ||
			!bytes.Contains(m.Payload, []byte(`"Properties":null`)) {
			t.Errorf("request %s", m.Payload)
		}
		cancel()
		<-done
		hangUp()
	})
}

// A stock client does not bind the challenge, so the agent leaves it out too.
func TestClientMayLeaveTheChallengeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agree(t)
		c := New(Config{Role: Agent})
		p, hangUp := serve(t, c)
		done := make(chan error, 1)
		go func() {
			_, err := c.RequestHandshake(t.Context(), a.offer)
			done <- err
		}()
		p.ack(p.expectData(0))
		// Ahead of its answer: acknowledged and thrown away (protocol.md §6.4).
		p.data(0, "typed too early")
		p.send(message.Message{Type: p.out, Sequence: 1, PayloadType: message.PayloadHandshakeResponse, Payload: []byte(
			`{"ClientVersion":"1.2.677.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""},` +
				`{"ActionType":"KMSEncryption","ActionStatus":1,"ActionResult":{"KMSCipherTextKey":"c2VhbGVk","KMSCipherTextHash":null},"Error":""}],"Errors":null}`)})
		m := p.expectData(1)
		p.ack(m)
		challenge, err := message.ParseEncryptionChallenge(m.Payload)
		if err != nil || m.PayloadType != message.PayloadEncChallengeRequest || len(challenge.Challenge) != 92 {
			t.Fatalf("%s %s: %v", m.PayloadType, m.Payload, err)
		}
		client := newCipher(t, Client)
		text, err := client.Open(challenge.Challenge)
		if err != nil || len(text) != 64 {
			t.Fatalf("challenge of %d bytes: %v", len(text), err)
		}
		p.send(message.Message{Type: p.out, Sequence: 2, PayloadType: message.PayloadEncChallengeResponse,
			Payload: message.Marshal(message.EncryptionChallenge{Challenge: client.Seal(nil, text)})})
		if m := p.expectData(2); m.PayloadType != message.PayloadHandshakeComplete {
			t.Errorf("%s %s", m.PayloadType, m.Payload)
		}
		if err := <-done; err != nil || a.challenge != "" || string(a.opened) != "sealed" {
			t.Errorf("error %v, challenge %q, opened %q", err, a.challenge, a.opened)
		}
		hangUp()
	})
}

// Whatever goes wrong, no data goes in clear afterwards.
func TestHandshakeThatFailsLeavesNothingInClear(t *testing.T) {
	other := exampleKey()
	other[0]++
	for _, tt := range []struct {
		name   string
		change func(a *agreement)
		agent  string // what the agent's error says
		client string
	}{
		{"no data key for the client", func(a *agreement) {
			a.newKey = func(context.Context, KeyRequest) (DataKey, []byte, error) {
				return nil, nil, errors.New("DisabledException: the key is disabled")
			}
		}, "the key is disabled", "the key is disabled"},
		{"a data key that is too short", func(a *agreement) {
			a.newKey = func(context.Context, KeyRequest) (DataKey, []byte, error) { return exampleKey()[:32], []byte("x"), nil }
		}, "32 bytes", "32 bytes"},
		{"no ciphertext", func(a *agreement) {
			a.newKey = func(context.Context, KeyRequest) (DataKey, []byte, error) { return exampleKey(), nil, nil }
		}, "no data key", ""},
		{"the node may not decrypt", func(a *agreement) {
			a.offer.OpenDataKey = func(context.Context, []byte, string) (DataKey, error) {
				return nil, errors.New("AccessDeniedException: not you")
			}
		}, "not you", ""},
		{"another key at the node", func(a *agreement) {
			a.offer.OpenDataKey = func(context.Context, []byte, string) (DataKey, error) { return bytes.Clone(other), nil }
		}, "", "another data key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := agree(t)
				tt.change(a)
				// An end that fails closes, as the session is over then.
				var both sync.WaitGroup
				both.Go(func() {
					_, a.agentErr = a.agent.RequestHandshake(t.Context(), a.offer)
					if err := a.agent.Send(t.Context(), message.PayloadOutput, []byte("secret")); tt.agent != "" && !errors.Is(err, ErrNotEncrypted) {
						t.Errorf("agent sends output: %v", err)
					}
					a.client.Close()
				})
				both.Go(func() {
					_, _, a.clientEr = a.client.AnswerHandshake(t.Context(), a.newKey)
					if err := a.client.Send(t.Context(), message.PayloadOutput, []byte("secret")); err == nil && a.clientEr == nil {
						t.Error("client sends output")
					}
					if a.clientEr != nil {
						a.agent.Close()
					}
				})
				both.Wait()
				if a.agentErr == nil || tt.agent != "" && (!errors.Is(a.agentErr, ErrEncryption) || !strings.Contains(a.agentErr.Error(), tt.agent)) {
					t.Errorf("agent: %v, want %q", a.agentErr, tt.agent)
				}
				if a.clientEr == nil || tt.client != "" && (!errors.Is(a.clientEr, ErrEncryption) || !strings.Contains(a.clientEr.Error(), tt.client)) {
					t.Errorf("client: %v, want %q", a.clientEr, tt.client)
				}
				if bytes.Contains(a.wire(), []byte("secret")) {
					t.Error("data went in clear")
				}
			})
		})
	}
}

func TestConformance33HandshakeTimesOutAfter15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		done := make(chan error, 1)
		go func() {
			_, err := c.RequestHandshake(t.Context(), agree(t).offer)
			done <- err
		}()
		time.Sleep(time.Hour) // the clock waits for the connection
		began := time.Now()
		p, hangUp := serve(t, c)
		p.ack(p.expectData(0))
		if err := <-done; !errors.Is(err, ErrHandshakeTimeout) {
			t.Errorf("handshake: %v", err)
		}
		if took := time.Since(began); took < 15*time.Second || took > 16*time.Second {
			t.Errorf("gave up after %s", took)
		}
		hangUp()
	})
}

func TestClearDataInAnEncryptedSessionIsNotHandedOut(t *testing.T) {
	for _, t1 := range []message.PayloadType{message.PayloadOutput, message.PayloadStdErr, message.PayloadExitCode, message.PayloadError} {
		synctest.Test(t, func(t *testing.T) {
			c := New(Config{Role: Client})
			c.encrypt(newCipher(t, Client))
			p, hangUp := serve(t, c)
			p.send(message.Message{Type: p.out, PayloadType: t1, Payload: []byte("put in by the gateway, long enough to be sealed")})
			in, err := c.Receive(t.Context())
			if in != nil || !errors.Is(err, ErrDecrypt) {
				t.Errorf("%s: received %+v, %v", t1, in, err)
			}
			p.silent(time.Minute) // and not acknowledged
			hangUp()
		})
	}
}

// A connection that breaks costs nothing: what is sent again is what was sealed first.
func TestConformance28EncryptedSessionIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Role: Agent})
		c.encrypt(newCipher(t, Agent))
		p, hangUp := serve(t, c)
		send(t, c, "once")
		first := p.expectData(0)
		hangUp()
		p, hangUp = serve(t, c)
		again := p.expectData(0)
		if !bytes.Equal(first.Payload, again.Payload) {
			t.Error("a message was sealed anew")
		}
		if text, err := newCipher(t, Client).Open(again.Payload); err != nil || string(text) != "once" {
			t.Errorf("opens to %q, %v", text, err)
		}
		hangUp()
	})
}

// FuzzOpen holds that no blob panics, and that only what was sealed opens.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, []byte("hello"))
	f.Add(make([]byte, nonceSize), []byte{})
	f.Add(make([]byte, nonceSize+tagSize), []byte("x"))
	f.Fuzz(func(t *testing.T, blob, text []byte) {
		client := newCipher(t, Client)
		if got, err := client.Open(bytes.Clone(blob)); err == nil {
			t.Fatalf("%x opens to %x", blob, got)
		}
		got, err := client.Open(newCipher(t, Agent).Seal(nil, text))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%x comes back as %x, %v", text, got, err)
		}
	})
}
