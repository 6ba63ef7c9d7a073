package iam

import (
	"sync"
	"time"
)

const (
	maxGuesses  = 5           // of one user in a guessWindow
	guessWindow = time.Minute // counted from the first guess
	// maxGuessers bounds the users that are counted. When more guess within a window, none
	// that is new may: failing closed costs them a minute.
	maxGuessers = 10000
)

// guesses counts how often users tried a password, so that nobody tries many. The zero
// value is ready for use.
type guesses struct {
	mu    sync.Mutex // guards the following field
	users map[string]guess
}

type guess struct {
	since time.Time
	count int
}

// begin counts a guess for a user and says whether it may be made.
func (g *guesses) begin(userID string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users == nil {
		g.users = make(map[string]guess)
	}
	of, known := g.users[userID]
	if !known && len(g.users) >= maxGuessers {
		for id, old := range g.users {
			if now.Sub(old.since) >= guessWindow {
				delete(g.users, id)
			}
		}
		if len(g.users) >= maxGuessers {
			return false
		}
	}
	if now.Sub(of.since) >= guessWindow {
		of = guess{since: now}
	}
	if of.count >= maxGuesses {
		return false
	}
	of.count++
	g.users[userID] = of
	return true
}

// forget starts a user's count again, after a right guess.
func (g *guesses) forget(userID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.users, userID)
}
