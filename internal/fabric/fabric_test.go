package fabric

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Fabric {
	t.Helper()
	f, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestRequestReachesTheHandler(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// An id with everything that means something in a subject.
	id := "al.ice *>@example,com-0123"
	stop, err := f.Handle(Session(id), func(_ context.Context, data []byte) ([]byte, error) {
		if string(data) == "bad" {
			return nil, errors.New("refused")
		}
		return append([]byte("got "), data...), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Request(ctx, Session(id), []byte("hello")); err != nil || string(got) != "got hello" {
		t.Fatalf("Request = %q, %v", got, err)
	}
	if _, err := f.Request(ctx, Session(id), []byte("bad")); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("handler's error: got %v", err)
	}
	if _, err := f.Request(ctx, Node(id), nil); !errors.Is(err, ErrNoResponder) {
		t.Fatalf("another subject: got %v, want ErrNoResponder", err)
	}
	stop()
	stop() // harmless
	if _, err := f.Request(ctx, Session(id), nil); !errors.Is(err, ErrNoResponder) {
		t.Fatalf("after stop: got %v, want ErrNoResponder", err)
	}
}

func TestSlowHandlerDelaysNobodyElse(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	entered, release := make(chan struct{}), make(chan struct{})
	stop, err := f.Handle(Node("slow"), func(context.Context, []byte) ([]byte, error) {
		close(entered)
		<-release
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stop2, err := f.Handle(Node("quick"), func(context.Context, []byte) ([]byte, error) { return []byte("ok"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop2()
	done := make(chan error, 1)
	go func() { _, err := f.Request(ctx, Node("slow"), nil); done <- err }()
	<-entered
	if _, err := f.Request(ctx, Node("quick"), nil); err != nil {
		t.Fatalf("while another handler waits: %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestStopEndsTheHandlersContext(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	entered := make(chan struct{})
	stop, err := f.Handle(Node("n"), func(ctx context.Context, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := f.Request(ctx, Node("n"), nil); done <- err }()
	<-entered
	stop()
	if err := <-done; err == nil {
		t.Fatal("the request succeeded though its handler was stopped")
	}
}
