package iam

import (
	"fmt"
	"testing"
	"time"
)

// What was made as a marker gives back what it was made of, and nothing else is read as
// one: the one marker that the fuzzer sees is alice's.
func FuzzMarker(f *testing.F) {
	s := &Server{cfg: Config{PageKey: []byte("a key of 32 bytes, which is long")}}
	good, err := s.marker("iam:ListUsers", "/", "alice")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("alice", good)
	f.Add("", "")
	f.Add("a", "AAAA")
	f.Fuzz(func(t *testing.T, cursor, foreign string) {
		made, err := s.marker("iam:ListUsers", "/", cursor)
		if err != nil {
			t.Fatal(err)
		}
		if len(made) <= maxMarker {
			p, err := s.page("iam:ListUsers", "/", made, nil)
			if err != nil || p.After != cursor {
				t.Errorf("marker of %q is read as %q, %v", cursor, p.After, err)
			}
		}
		if p, err := s.page("iam:ListUsers", "/", foreign, nil); err == nil && foreign != "" && p.After != "alice" {
			t.Errorf("marker %q is read as %q", foreign, p.After)
		}
	})
}

func TestPagesOfAShortList(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	same := func(s string) string { return s }
	var pages []string
	p, err := (&Server{}).page("", nil, "", new(3))
	if err != nil {
		t.Fatal(err)
	}
	for {
		items, next := pageOf(all, same, p)
		pages = append(pages, fmt.Sprint(items, next))
		if next == "" {
			break
		}
		p.After = next
	}
	if got, want := fmt.Sprint(pages), "[[a b c]c [d]]"; got != want {
		t.Errorf("pages %s, want %s", got, want)
	}
}

func TestGuessesAreBounded(t *testing.T) {
	var g guesses
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	for i := range maxGuessers {
		if !g.begin(fmt.Sprint(i), now) {
			t.Fatalf("user %d may not guess", i)
		}
	}
	if g.begin("one more", now) {
		t.Error("more users are counted than the bound allows")
	}
	if !g.begin("7", now) {
		t.Error("a user who is counted may not guess again")
	}
	if !g.begin("one more", now.Add(guessWindow)) || len(g.users) != 1 {
		t.Errorf("after the window %d users are counted", len(g.users))
	}
}
