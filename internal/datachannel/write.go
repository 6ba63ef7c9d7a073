package datachannel

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/message"
)

// write is the writing half of Serve: it writes what there is whenever it is woken. In a
// channel for bulk the senders write themselves as well.
func (c *Channel) write(ctx context.Context, conn FrameConn) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.writing.Lock()
		err := c.flush(ctx, conn)
		c.writing.Unlock()
		if err != nil {
			return err
		}
		c.mu.Lock()
		busy := len(c.acks) > 0 || len(c.states) > 0
		due := c.nextDeadline()
		c.alarm = due
		broken := c.broken
		c.mu.Unlock()
		if broken != nil {
			return broken
		}
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

// nextDeadline is when there is something to write though nobody adds anything. c.mu is
// held.
func (c *Channel) nextDeadline() time.Time {
	due, ok := c.out.deadline()
	if !ok {
		due = time.Now().Add(time.Hour)
	}
	if c.bulk.owed && c.bulk.ackDue.Before(due) {
		due = c.bulk.ackDue
	}
	return due
}

// flush writes what there is. Each round sends the acknowledgements and state messages
// that wait, then one data message, so that neither side of the traffic starves the
// other. c.writing is held.
func (c *Channel) flush(ctx context.Context, conn FrameConn) error {
	for {
		c.mu.Lock()
		c.acking, c.acks = c.acks, c.acking[:0]
		acks := c.acking
		states := c.states
		c.states = nil
		through, owed := c.bulk.settle(time.Now())
		c.mu.Unlock()

		for i, a := range acks {
			c.scratch = message.AppendAcknowledge(c.scratch[:0], c.inType, a.id, a.seq)
			if err := conn.WriteFrame(ctx, c.scratch); err != nil {
				c.unsent(acks[i:], states)
				return fmt.Errorf("write acknowledgement: %w", err)
			}
		}
		if owed {
			c.scratch = message.AppendBulkAcknowledge(c.scratch[:0], c.inType, through)
			if err := conn.WriteFrame(ctx, c.scratch); err != nil {
				c.unsent(nil, states)
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

		o := c.pick()
		if o == nil {
			return nil
		}
		err := conn.WriteFrame(ctx, o.frame)
		c.mu.Lock()
		c.out.wrote(o, time.Now())
		c.mu.Unlock()
		if err != nil {
			return fmt.Errorf("write stream message: %w", err)
		}
	}
}

// release lets go of the connection, which is closed, when nobody writes any more.
func (c *Channel) release() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
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
