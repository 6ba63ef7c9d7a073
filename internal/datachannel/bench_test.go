package datachannel

import (
	"context"
	"fmt"
	"testing"

	"sekisho/internal/message"
)

// BenchmarkStream moves messages from agent to client over an in-memory
// connection, processed and acknowledged. Allocations are for both ends
// together: two are the pipe's copies (data and acknowledgement), which a real
// connection replaces by its own, two the message's entry at each end.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{1, 1 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			agent, client := New(Config{Role: Agent}), New(Config{Role: Client})
			hangUp := connect(b, agent, client)
			defer hangUp()
			received := make(chan struct{})
			go func() {
				defer close(received)
				for range b.N {
					in, err := client.Receive(b.Context())
					if err != nil {
						b.Error(err)
						return
					}
					in.Done()
				}
			}()
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := agent.Send(b.Context(), message.PayloadOutput, payload); err != nil {
					b.Fatal(err)
				}
			}
			<-received
		})
	}
}

// BenchmarkKeystroke is the path of a key: client to agent and its echo back.
func BenchmarkKeystroke(b *testing.B) {
	agent, client := New(Config{Role: Agent}), New(Config{Role: Client})
	hangUp := connect(b, agent, client)
	defer hangUp()
	ctx, stop := context.WithCancel(b.Context())
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		for {
			in, err := agent.Receive(ctx)
			if err != nil {
				return
			}
			_ = agent.Send(ctx, in.PayloadType, in.Payload)
			in.Done()
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Send(ctx, message.PayloadOutput, []byte{'a'}); err != nil {
			b.Fatal(err)
		}
		in, err := client.Receive(ctx)
		if err != nil {
			b.Fatal(err)
		}
		in.Done()
	}
	stop()
	<-echoed
}
