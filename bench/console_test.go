//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// local is a shell at the console's own terminal: a session without a network. Its
// terminal echoes itself, as a remote one does. -i makes it prompt also into a pipe.
func local() *contender {
	return &contender{name: "local", outputBytes: 1 << 20, begin: func(context.Context) ([]string, []string, error) {
		return []string{"/bin/sh", "-i"}, []string{"PATH=/usr/bin:/bin", "TERM=xterm", "PS1=$ "}, nil
	}}
}

func TestMeasurementsOfALocalShell(t *testing.T) {
	figures := &clientFigures{}
	if err := echo(t.Context(), local(), 200, figures); err != nil {
		t.Fatal(err)
	}
	if err := starts(t.Context(), local(), 2, figures); err != nil {
		t.Fatal(err)
	}
	if err := output(t.Context(), local(), figures); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]float64{
		"p50": figures.EchoP50, "p99": figures.EchoP99, "output": figures.Output, "start": figures.Start,
	} {
		if len(values) != 1 || values[0] <= 0 {
			t.Errorf("%s: %v, want one figure above zero", name, values)
		}
	}
}

// A client that ends is an error that shows what it said.
func TestClientThatEndsIsReported(t *testing.T) {
	c := local()
	c.begin = func(context.Context) ([]string, []string, error) {
		return []string{"/bin/sh", "-c", "echo; exit 3"}, nil, nil
	}
	if err := echo(t.Context(), c, 1, &clientFigures{}); !errors.Is(err, io.EOF) {
		t.Errorf("echo: %v, want the end of the output", err)
	}
	c.begin = func(context.Context) ([]string, []string, error) {
		return []string{"/bin/sh", "-c", "echo no such node; read x; exit 3"}, nil, nil
	}
	tty, err := open(t.Context(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.close()
	if err := tty.command("true", ""); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "no such node") {
		t.Errorf("command: %v, want the end and the last output", err)
	}
}

// An end of the context ends a measurement that waits.
func TestInterruptEndsAMeasurement(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := local()
	tty, err := open(ctx, c, false)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.close()
	if _, err := tty.prompt(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = tty.read()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("read: %v, want the end of the output", err)
	}
}
