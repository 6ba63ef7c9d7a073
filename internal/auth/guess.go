package auth

import (
	"strings"
	"sync"
	"time"
)

// Wrong sign-ins. The first few of a user from one address cost nothing; each further one
// doubles the wait. One address may be wrong for many users only so often, and so may
// many addresses for one user: that last wait is short, for it keeps the user out too.
const (
	freeGuesses    = 3
	firstWait      = 2 * time.Second
	longestWait    = 5 * time.Minute
	perAddress     = 20 // wrong guesses before an address waits
	perUser        = 50 // wrong guesses before a user waits
	longestForUser = 10 * time.Second
	guessMemory    = 15 * time.Minute // after the last wrong one, all is forgotten
	maxGuessed     = 30_000           // names that are kept
)

// guesses counts wrong sign-ins. The zero value is ready for use.
type guesses struct {
	mu     sync.Mutex // guards the following field
	wrongs map[string]wrongs
}

type wrongs struct {
	count int
	last  time.Time
}

type guessRule struct {
	key     string
	free    int
	longest time.Duration
}

func guessRules(user, address string) [3]guessRule {
	user = strings.ToLower(user)
	if len(user) > 64 { // no user has such a name
		user = user[:64]
	}
	return [3]guessRule{
		{"both/" + address + "/" + user, freeGuesses, longestWait},
		{"address/" + address, perAddress, longestWait},
		{"user/" + user, perUser, longestForUser},
	}
}

// wait says how long the next guess must wait.
func (g *guesses) wait(user, address string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var longest time.Duration
	for _, rule := range guessRules(user, address) {
		w, ok := g.wrongs[rule.key]
		if !ok || w.count < rule.free || now.Sub(w.last) >= guessMemory {
			continue
		}
		pause := min(firstWait<<min(w.count-rule.free, 16), rule.longest)
		longest = max(longest, w.last.Add(pause).Sub(now))
	}
	return longest
}

// wrong counts a guess. When more names are guessed than are kept, those whose time is
// over go, and if that is not enough, any.
func (g *guesses) wrong(user, address string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wrongs == nil {
		g.wrongs = make(map[string]wrongs)
	}
	if len(g.wrongs) > maxGuessed {
		for key, w := range g.wrongs {
			if now.Sub(w.last) >= guessMemory {
				delete(g.wrongs, key)
			}
		}
		for key := range g.wrongs {
			if len(g.wrongs) <= maxGuessed {
				break
			}
			delete(g.wrongs, key)
		}
	}
	for _, rule := range guessRules(user, address) {
		w := g.wrongs[rule.key]
		if now.Sub(w.last) >= guessMemory {
			w.count = 0
		}
		g.wrongs[rule.key] = wrongs{count: w.count + 1, last: now}
	}
}

// forget starts the count of a user at an address again, after a right guess.
func (g *guesses) forget(user, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.wrongs, guessRules(user, address)[0].key)
}
