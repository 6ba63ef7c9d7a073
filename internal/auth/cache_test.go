package auth

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestCacheForgetsOtherRevisionsAndIsBounded(t *testing.T) {
	c := newCache[int](3)
	c.put("a", 1, 10)
	if v, ok := c.get("a", 1); !ok || v != 10 {
		t.Errorf("got %d, %v", v, ok)
	}
	for _, revision := range []int64{0, 2} {
		if _, ok := c.get("a", revision); ok {
			t.Errorf("revision 1 counts at %d", revision)
		}
	}
	for i := range 100 {
		c.put(fmt.Sprint(i), 1, i)
		if v, ok := c.get(fmt.Sprint(i), 1); !ok || v != i || len(c.entries) > 3 {
			t.Fatalf("after %d: got %d, %v among %d", i, v, ok, len(c.entries))
		}
	}
	var touched touches
	for i := range maxTouched + 5 {
		if !touched.due(fmt.Sprint(i), now) || len(touched.at) > maxTouched {
			t.Fatalf("key %d is not due, among %d", i, len(touched.at))
		}
	}
	if touched.due(fmt.Sprint(maxTouched+4), now.Add(touchInterval-1)) || !touched.due(fmt.Sprint(maxTouched+4), now.Add(-time.Hour)) {
		t.Error("a use within the interval is due, or one after the clock was set back is not")
	}
}

// TestManyCallersDuringChanges asks from many goroutines while a policy comes and goes:
// whoever asks after a change sees it.
func TestManyCallersDuringChanges(t *testing.T) {
	s := newStage(t)
	ctx := WithPrincipal(t.Context(), Principal{Kind: User, UserID: aliceID})
	request := Request{Action: "ssm:StartSession", Resource: instanceA}
	done := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = s.auth.Authorize(ctx, request) // either answer may be right here
				}
			}
		})
	}
	for i := range 20 {
		s.give("alice", fullAccess)
		if err := s.auth.Authorize(ctx, request); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		must(t, s.store.DeleteInlinePolicy(t.Context(), entity("alice"), "p"))
		if err := s.auth.Authorize(ctx, request); err == nil {
			t.Errorf("round %d: allowed after the policy went", i)
		}
	}
	close(done)
	callers.Wait()
}

// Policies that came with sessions are kept apart from those of identities, and few of
// them: everybody who may assume a role can make new ones.
func TestPoliciesOfSessionsDoNotFillTheMemory(t *testing.T) {
	s := newStage(t)
	s.give("alice", fullAccess)
	ask := func(sid int) {
		t.Helper()
		p := Principal{Kind: User, UserID: aliceID, Session: &Session{Policies: []string{
			fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Sid":"s%d","Effect":"Allow","Action":"ssm:*","Resource":"*"}}`, sid),
		}}}
		must(t, s.auth.Authorize(WithPrincipal(t.Context(), p), Request{Action: "ssm:StartSession", Resource: instanceA}))
	}
	ask(0)
	before := len(s.auth.parsed.entries)
	for i := range 3 * maxNarrowing {
		ask(i)
	}
	if n := len(s.auth.narrowing.entries); n > maxNarrowing || n == 0 {
		t.Errorf("%d policies of sessions are kept", n)
	}
	if n := len(s.auth.parsed.entries); n != before {
		t.Errorf("%d policies of identities are kept, not %d", n, before)
	}
}
