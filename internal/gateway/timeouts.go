package gateway

import (
	"fmt"
	"time"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// Last lines of sessions that lasted too long, and details kept with them.
const (
	idleOutput     = "Your session timed out due to inactivity."
	overlongOutput = "Your session reached its maximum duration."
)

// active says whether a stream message from one end shows that the session is used: a
// person's input or a program's output. The rest is the protocol's own (handshakes,
// window sizes, flags), or a warning of ours, which must not put off what it warns of.
// Pings and acknowledgements are no stream messages. The output of a command that runs
// by itself counts, so a watched command keeps its session alive (docs/adr/0016).
func active(fromAgent bool, h message.Header) bool {
	switch h.PayloadType {
	case message.PayloadOutput:
		return !fromAgent || h.Flags&message.FlagNotice == 0
	case message.PayloadStdErr, message.PayloadExitCode:
		return fromAgent
	}
	return false
}

// warning is how long before the end of a session that may last d its user is warned:
// a minute, or a quarter of a short time.
func warning(d time.Duration) time.Duration { return min(time.Minute, d/4) }

// limit ends a session that was idle or lasted too long, and warns before it. It calls
// due for each moment at which it wants to be called again. s.mu is held.
func (s *session) limit(now time.Time, due func(time.Time) bool) {
	if d := s.row.IdleTimeout; d > 0 {
		end := s.activity.Add(d)
		if due(end) {
			s.terminateLocked(&result{status: ssm.SessionTerminated, details: idleOutput, output: idleOutput}, now)
			return
		}
		if !s.idleWarned.Equal(s.activity) && due(end.Add(-warning(d))) && s.warn(
			fmt.Sprintf("This session has had no input or output for %s. It ends in %s.", inWords(d-warning(d)), inWords(end.Sub(now)))) {
			s.idleWarned = s.activity
		}
	}
	if d := s.row.MaxDuration; d > 0 {
		end := s.row.StartedAt.Add(d)
		if due(end) {
			s.terminateLocked(&result{status: ssm.SessionTerminated, details: overlongOutput, output: overlongOutput}, now)
			return
		}
		if !s.endWarned && due(end.Add(-warning(d))) {
			s.endWarned = s.warn(
				fmt.Sprintf("This session reaches its maximum duration of %s in %s and ends then.", inWords(d), inWords(end.Sub(now))))
		}
	}
}

// warn has the agent tell the user something. Without a connection to the agent it says
// false, and is tried again when there is one. Stock agents pass the message over: their
// users learn of the end when it comes. s.mu is held.
func (s *session) warn(text string) bool {
	if s.agent.link == nil {
		return false
	}
	s.agent.push(message.Append(nil, message.Message{
		Type: message.TypeSessionNotice, Flags: message.FlagsControl,
		Payload: message.Marshal(message.SessionNotice{SchemaVersion: 1, SessionId: s.id, Text: text}),
	}))
	return true
}

// inWords is a time as people say it: whole minutes, or seconds below two minutes that
// are not whole ones.
func inWords(d time.Duration) string {
	d = max(d.Round(time.Second), time.Second)
	n, unit := int(d/time.Second), "second"
	if d%time.Minute == 0 || d > 2*time.Minute {
		n, unit = int(d.Round(time.Minute)/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
