package client

import (
	"fmt"
	"testing"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    int
		ok      bool
	}{
		{"EXIT_CODE: 0", 0, true},
		{"EXIT_CODE: 7", 7, true},
		{"EXIT_CODE:7", 7, true},
		{"EXIT_CODE: 127\n", 127, true},
		{"EXIT_CODE: -1073741510", -1073741510, true},
		{"EXIT_CODE: 3221225786", 3221225786, true}, // the same, without the sign
		{"EXIT_CODE: 4294967296", 0, false},
		{"EXIT_CODE: ", 0, false},
		{"EXIT_CODE: seven", 0, false},
		{"exit code: 7", 0, false},
		{"", 0, false},
		{"EXIT_CODE: 0000000000000000000000000000000000000000000000000000000000000000007", 0, false},
	} {
		got, err := ParseExitCode([]byte(c.payload))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: got %d, %v; want %d", c.payload, got, err, c.want)
		}
	}
}

func FuzzExitCode(f *testing.F) {
	for _, seed := range []string{"EXIT_CODE: 0", "EXIT_CODE: 7", "EXIT_CODE: -1", "EXIT_CODE:", "", "EXIT_CODE: 99999999999999999999"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		code, err := ParseExitCode(payload)
		if err != nil {
			return
		}
		again, err := ParseExitCode(fmt.Appendf(nil, "EXIT_CODE: %d", code))
		if err != nil || again != code {
			t.Errorf("%q is %d, which reads back as %d, %v", payload, code, again, err)
		}
	})
}
