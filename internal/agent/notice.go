package agent

import (
	"context"
	"time"
	"unicode"

	"sekisho/internal/message"
)

const (
	// noticePatience is how long a notice waits for room: a client that takes nothing
	// would only read late what was due now.
	noticePatience = 5 * time.Second
	maxNotice      = 500 // characters
)

// notice shows the user of a shell what the gateway has to say about the session, on
// lines of its own. Only shells have it: what other sessions carry is not for people.
func (w *worker) notice(ctx context.Context, m message.Message) {
	n, err := message.ParseSessionNotice(m.Payload)
	if err != nil || n.SessionId != w.id {
		w.logger.Debug("notice passed over", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noticePatience)
	defer cancel()
	if err := w.ch.SendNotice(ctx, []byte("\r\n["+plain(n.Text)+"]\r\n")); err != nil {
		w.logger.Debug("notice not shown", "error", err)
	}
}

// plain is a text without what a terminal would take as orders, and not too long.
func plain(text string) string {
	var out []rune
	for _, r := range text {
		if len(out) == maxNotice {
			break
		}
		if unicode.IsPrint(r) {
			out = append(out, r)
		}
	}
	return string(out)
}
