package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

const (
	// warmUp is how many keystrokes go before those that are measured, so that the
	// round trip times that both sides have learned are those of typing.
	warmUp = 100
	// lineLength is after how many keys the Return key is pressed: a terminal keeps at
	// most 4095 bytes of a line (drivers/tty/n_tty.c, N_TTY_BUF_SIZE).
	lineLength = 64
	// The pauses between keys are random, so that no timer of anybody's falls in step.
	shortestGap = time.Millisecond
	longestGap  = 2 * time.Millisecond
)

// echo measures the time from a key to its echo. The remote terminal echoes, before a
// program that reads what is typed and says nothing, so the work of the remote side is
// the same for every client.
func echo(ctx context.Context, c *contender, keystrokes int, into *clientFigures) error {
	t, err := open(ctx, c, false)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.prompt(); err != nil {
		return err
	}
	if err := t.command("stty sane", "exec cat >/dev/null"); err != nil {
		return err
	}
	times, err := typeKeys(t, keystrokes)
	if err != nil {
		return err
	}
	into.EchoP50 = append(into.EchoP50, percentile(times, 0.50))
	into.EchoP99 = append(into.EchoP99, percentile(times, 0.99))
	return t.leave("\r\x04")
}

// typeKeys types keys one at a time and returns the milliseconds until each was echoed.
func typeKeys(t *console, keystrokes int) ([]float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([]float64, 0, keystrokes)
	for i := range warmUp + keystrokes {
		if i%lineLength == 0 {
			if _, err := keyEcho(t, '\r', '\n'); err != nil {
				return nil, err
			}
		}
		key := byte('a' + i%26)
		took, err := keyEcho(t, key, key)
		if err != nil {
			return nil, fmt.Errorf("keystroke %d: %w", i, err)
		}
		if i >= warmUp {
			times = append(times, milliseconds(took))
		}
		time.Sleep(shortestGap + rand.N(longestGap-shortestGap))
	}
	return times, nil
}

// keyEcho types a key and waits for output that ends in its echo.
func keyEcho(t *console, key, want byte) (time.Duration, error) {
	began := time.Now()
	if err := t.write([]byte{key}); err != nil {
		return 0, err
	}
	for {
		got, err := t.read()
		if err != nil {
			return 0, err
		}
		if got[len(got)-1] == want {
			return time.Since(began), nil
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
