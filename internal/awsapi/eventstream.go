package awsapi

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"time"
)

// contentEvents is the type of an answer that goes on: messages of
// application/vnd.amazon.eventstream, one after the other, until the connection ends.
const contentEvents = "application/vnd.amazon.eventstream"

// EventSource is an answer that goes on after it was given. An operation's Out may be
// one: the call is observed as a success, and then Serve sends events until it returns.
type EventSource interface {
	// Serve is called once. ctx is that of the operation, and ends when the client leaves.
	Serve(ctx context.Context, to *EventWriter)
}

// eventPatience is how long a client may take nothing. The server's limits of a request
// would end a stream that lasts.
const eventPatience = 30 * time.Second

// EventWriter sends events. One goroutine has it.
type EventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newEventWriter(w http.ResponseWriter) *EventWriter {
	e := &EventWriter{w: w, control: http.NewResponseController(w)}
	_ = e.control.SetReadDeadline(time.Time{}) // the request was read; not all connections have one
	return e
}

// Event sends an event with a payload that marshals to JSON.
func (e *EventWriter) Event(name string, payload any) error {
	return e.send([]string{":message-type", "event", ":event-type", name, ":content-type", "application/json"}, payload)
}

// Exception sends an error, after which nothing may follow.
func (e *EventWriter) Exception(code, message string) error {
	return e.send([]string{":message-type", "exception", ":exception-type", code, ":content-type", "application/json"},
		struct {
			Message string `json:"message"`
		}{message})
}

func (e *EventWriter) send(headers []string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(eventPatience)) // not all connections can
	if _, err := e.w.Write(appendEvent(nil, headers, body)); err != nil {
		return err
	}
	return e.control.Flush()
}

// headerString is the type of a header's value that is text.
const headerString = 7

// appendEvent appends a message: its length, that of the headers, and a CRC-32 of the
// two; headers, as names and values in turn; payload; and a CRC-32 of all
// (AWS: "Event stream encoding", Amazon Transcribe developer guide).
func appendEvent(b []byte, headers []string, payload []byte) []byte {
	start := len(b)
	var head []byte
	for i := 0; i < len(headers); i += 2 {
		head = append(append(head, byte(len(headers[i]))), headers[i]...)
		head = append(head, headerString)
		head = append(binary.BigEndian.AppendUint16(head, uint16(len(headers[i+1]))), headers[i+1]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(head)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
	b = append(append(b, head...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// serveEvents sends the events of a source. Clients of AWS JSON want an initial response
// first, which has the members of the answer that are no events: none.
func serveEvents(ctx context.Context, w http.ResponseWriter, source EventSource) {
	w.Header().Set("Content-Type", contentEvents)
	w.WriteHeader(http.StatusOK)
	to := newEventWriter(w)
	if err := to.Event("initial-response", struct{}{}); err != nil {
		// Serve is called all the same, with a context that says so: it may hold something.
		gone, cancel := context.WithCancelCause(ctx)
		cancel(err)
		ctx = gone
	}
	source.Serve(ctx, to)
}
