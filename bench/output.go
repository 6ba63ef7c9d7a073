package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// output measures how fast a shell's output comes through the remote terminal to a
// pipe at this end, and that all of it comes.
func output(ctx context.Context, c *contender, into *clientFigures) error {
	t, err := open(ctx, c, true)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := t.prompt(); err != nil {
		return err
	}
	// The shell goes away, so that the only output is what is counted.
	if err := t.command("stty sane -echo", "exec sh -c 'read x; head -c "+fmt.Sprint(c.outputBytes)+" /dev/zero | tr \"\\000\" x; printf bench-end'"); err != nil {
		return err
	}
	began := time.Now()
	if err := t.write([]byte("\r")); err != nil {
		return err
	}
	count := 0
	for count < c.outputBytes {
		got, err := t.read()
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", count, c.outputBytes, err)
		}
		count += bytes.Count(got, []byte("x"))
	}
	took := time.Since(began)
	if count != c.outputBytes {
		return fmt.Errorf("%d bytes came, %d were sent", count, c.outputBytes)
	}
	into.Output = append(into.Output, float64(count)/1e6/took.Seconds())
	return t.leave("")
}
