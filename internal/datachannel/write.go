package datachannel

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/message"
)

// write is the writing half of Serve. Each round sends the acknowledgements and
// state messages that wait, then one data message, so that neither side of the
// traffic starves the other.
func (c *Channel) write(ctx context.Context, conn FrameConn) error {
	var (
		acks    []ack
		scratch []byte
		timer   = time.NewTimer(time.Hour)
	)
	defer timer.Stop()
	for {
		c.mu.Lock()
		acks, c.acks = c.acks, acks[:0]
		states := c.states
		c.states = nil
		c.mu.Unlock()

		for i, a := range acks {
			scratch = message.AppendAcknowledge(scratch[:0], c.inType, a.id, a.seq)
			if err := conn.WriteFrame(ctx, scratch); err != nil {
				c.unsent(acks[i:], states)
				return fmt.Errorf("write acknowledgement: %w", err)
			}
		}
		for i, s := range states {
			if err := conn.WriteFrame(ctx, s.frame); err != nil {
				c.unsent(nil, states[i:])
				return fmt.Errorf("write control message: %w", err)
			}
			s.sent <- nil
		}

		if o := c.pick(); o != nil {
			err := conn.WriteFrame(ctx, o.frame)
			c.mu.Lock()
			c.out.wrote(o, time.Now())
			c.mu.Unlock()
			if err != nil {
				return fmt.Errorf("write stream message: %w", err)
			}
			continue
		}

		c.mu.Lock()
		busy := len(c.acks) > 0 || len(c.states) > 0
		due, ok := c.out.deadline()
		if !ok {
			due = time.Now().Add(time.Hour)
		}
		c.alarm = due
		c.mu.Unlock()
		if busy {
			continue
		}
		timer.Reset(time.Until(due))
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pick takes the next data message and tells waiters when something was sent
// again or given up, which may let them pass.
func (c *Channel) pick() *outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.out.resends + c.out.forgotten
	o := c.out.next(time.Now())
	if c.out.resends+c.out.forgotten != before {
		c.progressed()
	}
	return o
}

// unsent puts back what a failed connection did not take. Acknowledgements go
// with the next one: the stock client would wait for them through its slow
// resends. States were reported as failed.
func (c *Channel) unsent(acks []ack, states []state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks = append(append([]ack(nil), acks...), c.acks...)
	if len(c.acks) > maxAcks {
		c.acks = c.acks[:maxAcks]
	}
	for _, s := range states {
		s.sent <- ErrNotConnected
	}
}
