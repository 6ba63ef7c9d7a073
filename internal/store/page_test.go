package store

import (
	"errors"
	"testing"
	"time"
)

func FuzzTimeCursor(f *testing.F) {
	f.Add("1767323045678.alice-0123456789abcdef0")
	f.Add("-5.")
	f.Add(".x")
	f.Add("9223372036854775807.a.b")
	f.Add("+1.x")
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		var w where
		err := w.afterTime("at", "id", Page{After: cursor})
		if cursor == "" {
			if err != nil || len(w.conditions) != 0 {
				t.Fatalf("no cursor gives %v, %v", w, err)
			}
			return
		}
		if err != nil {
			if !errors.Is(err, ErrCursor) {
				t.Fatalf("got %v", err)
			}
			return
		}
		// What is taken says the same when it is written again, and is a parameter.
		if got := w.String(); got != " where (at, id) < ($1, $2)" {
			t.Fatalf("condition is %q", got)
		}
		var again where
		if err := again.afterTime("at", "id", Page{After: timeCursor(time.UnixMilli(w.args[0].(int64)), w.args[1].(string))}); err != nil {
			t.Fatal(err)
		}
		if again.args[0] != w.args[0] || again.args[1] != w.args[1] {
			t.Fatalf("%v became %v", w.args, again.args)
		}
	})
}

func TestConditionsNumberTheirParameters(t *testing.T) {
	var w where
	w.add("(a = ? or b = ?)", 1, 2)
	w.in("c", []string{"x", "y"})
	w.in("d", nil)
	w.before("e", time.Time{})
	w.notBefore("e", time.UnixMilli(9))
	const want = " where (a = $1 or b = $2) and c in ($3, $4) and e >= $5"
	if w.String() != want || len(w.args) != 5 {
		t.Errorf("got %q with %v, want %q", w.String(), w.args, want)
	}
}
