package agent

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"sekisho/internal/pty"
)

// keyPatience is how long a program may leave its input unread before the keyboard
// looks whether a signal key waits behind it.
const keyPatience = 100 * time.Millisecond

// keyboard types what the client sends into the terminal, in order, and never makes
// its caller wait: a program that does not read its input holds up its input and
// nothing else.
//
// A terminal delivers Ctrl-C when its turn comes in the input. A program that reads
// nothing lets the kernel's buffer fill up, and then that turn never comes. So once a
// write has made no progress for keyPatience, a signal key anywhere in the waiting
// input is delivered at once, and what was typed before it is thrown away, which is
// what the terminal itself does with unread input at an interrupt. A terminal in raw
// mode has no signal keys, and its input then just waits.
//
// What waits is bounded by the data channel, which counts it until done is called.
type keyboard struct {
	proc *pty.Process
	wake chan struct{} // 1: something to type

	mu    sync.Mutex // guards queue
	queue []keys
}

// keys is one message's input.
type keys struct {
	text []byte
	done func() // called once when the text is typed or thrown away
}

func newKeyboard(proc *pty.Process) *keyboard {
	return &keyboard{proc: proc, wake: make(chan struct{}, 1)}
}

// press queues text.
func (k *keyboard) press(text []byte, done func()) {
	k.mu.Lock()
	k.queue = append(k.queue, keys{text, done})
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run types until ctx ends.
func (k *keyboard) run(ctx context.Context) {
	// A write that waits is woken by the deadline of the past.
	stop := context.AfterFunc(ctx, func() { k.proc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	for ctx.Err() == nil {
		k.mu.Lock()
		waiting := len(k.queue) > 0
		var text []byte
		if waiting {
			text = k.queue[0].text
		}
		k.mu.Unlock()
		if !waiting {
			select {
			case <-k.wake:
			case <-ctx.Done():
			}
			continue
		}
		k.proc.SetWriteDeadline(time.Now().Add(keyPatience))
		n, err := k.proc.Write(text)
		switch {
		case err == nil:
			k.typed(len(text))
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.typed(n)
			k.passSignal()
		default: // the terminal is gone, and its input with it
			k.typed(len(text))
		}
	}
}

// typed takes n bytes off the first message.
func (k *keyboard) typed(n int) {
	k.mu.Lock()
	first := &k.queue[0]
	first.text = first.text[n:]
	var done func()
	if len(first.text) == 0 {
		done = first.done
		k.queue[0] = keys{}
		if k.queue = k.queue[1:]; len(k.queue) == 0 {
			k.queue = nil
		}
	}
	k.mu.Unlock()
	if done != nil {
		done()
	}
}

// passSignal looks for a signal key in the waiting input and lets it overtake.
func (k *keyboard) passSignal() {
	k.mu.Lock()
	var dropped []keys
	for i := range k.queue {
		at, sig, flush := k.proc.FindSignal(k.queue[i].text)
		if at < 0 {
			continue
		}
		text := k.queue[i].text
		if flush {
			dropped, k.queue = k.queue[:i], k.queue[i:]
			k.queue[0].text = text[at+1:]
		} else {
			k.queue[i].text = append(append([]byte(nil), text[:at]...), text[at+1:]...)
		}
		k.proc.Raise(sig, flush)
		break
	}
	// A message of which nothing is left has been typed.
	kept := k.queue[:0:0]
	for _, m := range k.queue {
		if len(m.text) > 0 {
			kept = append(kept, m)
		} else {
			dropped = append(dropped[:len(dropped):len(dropped)], m)
		}
	}
	k.queue = kept
	k.mu.Unlock()
	for _, m := range dropped {
		m.done()
	}
}
