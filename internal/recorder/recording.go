package recorder

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"sekisho/internal/message"
)

const (
	// maxWaiting bounds what waits in memory for the disk, in bytes. Beyond it frames are
	// counted and not kept, and the recording says so.
	maxWaiting = 32 << 20
	// maxAhead bounds the frames that came before one that is missing, of one direction.
	maxAhead = 4096
	// flushInterval is how long what was recorded may be in memory only.
	flushInterval = time.Second
)

// Recording is the recording of one session that runs. Its methods may be called
// concurrently; they do not wait for the disk.
type Recording struct {
	r     *Recorder
	dir   string
	facts Facts
	start time.Time

	mu      sync.Mutex
	frames  []frame // guarded by mu: in the order in which they came
	waiting int     // guarded by mu: their bytes
	lost    int64   // guarded by mu: bytes that were not kept
	closed  bool    // guarded by mu

	more chan struct{} // capacity 1
	done chan struct{} // closed when the writer has ended
}

// frame is a message of a session.
type frame struct {
	at       time.Duration
	fromNode bool
	sequence int64
	kind     message.PayloadType
	payload  []byte
	size     int // also where the payload is not kept
}

// Begin begins the recording of a session, or goes on with one that an earlier process
// did not finish.
func (r *Recorder) Begin(facts Facts) *Recording {
	rec := &Recording{r: r, dir: filepath.Join(r.cfg.Dir, facts.SessionID), facts: facts, start: time.Now(),
		more: make(chan struct{}, 1), done: make(chan struct{})}
	go rec.write()
	return rec
}

// Stream takes a message that is new, from the node or from the client. Messages may come
// out of the order of their sequence numbers. The payload is copied.
func (rec *Recording) Stream(fromNode bool, sequence int64, kind message.PayloadType, payload []byte) {
	if !fromNode && !rec.r.cfg.Input && kind == message.PayloadOutput && !rec.facts.tunnel() {
		payload = nil // its place in the order still matters
	}
	f := frame{at: time.Since(rec.start), fromNode: fromNode, sequence: sequence, kind: kind, size: len(payload)}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	if !rec.facts.tunnel() {
		if rec.waiting+len(payload) > maxWaiting {
			rec.lost += int64(len(payload))
		} else {
			f.payload = bytes.Clone(payload)
			rec.waiting += len(payload)
		}
	}
	rec.frames = append(rec.frames, f)
	rec.wake()
}

func (rec *Recording) wake() {
	select {
	case rec.more <- struct{}{}:
	default:
	}
}

// Close ends the recording. finished says that the session is over; else another process
// may go on with it. Close returns when all is on the disk.
func (rec *Recording) Close(finished bool) {
	rec.mu.Lock()
	already := rec.closed
	rec.closed = true
	rec.mu.Unlock()
	if !already {
		rec.wake()
	}
	<-rec.done
	if finished && !already {
		if err := rec.r.finish(rec.dir); err != nil {
			rec.r.cfg.Logger.Error("recording not closed", "session_id", rec.facts.SessionID, "error", err)
		}
	}
}

// finish signs that nothing follows.
func (r *Recorder) finish(dir string) error {
	h, err := readHead(os.DirFS(dir), r.Public())
	if err != nil {
		return err
	}
	h.Closed = true
	return h.write(dir, r.key)
}

// take gives the frames that wait.
func (rec *Recording) take() (frames []frame, lost int64, closed bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	frames, lost, closed = rec.frames, rec.lost, rec.closed
	rec.frames, rec.lost, rec.waiting = nil, 0, 0
	return frames, lost, closed
}

// write brings frames to the disk until the recording is closed.
func (rec *Recording) write() {
	defer close(rec.done)
	logger := rec.r.cfg.Logger.With("session_id", rec.facts.SessionID)
	w, err := rec.open()
	if err != nil {
		logger.Error("session not recorded", "error", err)
		rec.mu.Lock()
		rec.closed, rec.frames = true, nil
		rec.mu.Unlock()
		return
	}
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	complained := false
	for {
		timed := false
		select {
		case <-rec.more:
		case <-flush.C:
			timed = true
		}
		frames, lost, closed := rec.take()
		err := w.put(frames, lost)
		if err == nil && (timed || closed) {
			err = w.flush(closed)
		}
		if err != nil && !complained {
			complained = true
			logger.Error("recording not written", "error", err)
		}
		if closed {
			return
		}
	}
}

// writer writes the segments of a recording. One goroutine has it.
type writer struct {
	rec     *Recording
	head    head
	file    *os.File
	buffer  *bufio.Writer
	size    int64
	hash    hash.Hash // of the segment so far
	began   time.Time // of the segment
	scratch []byte    // of the line that is being written
	offset  time.Duration
	last    float64 // the time of the last event, which none is before

	node, client direction
	flows        [2]int64 // of a tunnel: bytes to the node and from it
	flowsTold    [2]int64
}

// direction puts the messages of one end in order.
type direction struct {
	next  int64
	known bool // next is
	// resumed says that nothing came since another process was killed. What it had and
	// the other end acknowledged, but the disk did not have, does not come again.
	resumed bool
	ahead   map[int64]frame
	broken  []byte // the beginning of a character whose end has not come
}

// open begins a recording, or takes up what there is.
func (rec *Recording) open() (*writer, error) {
	w := &writer{rec: rec, head: head{Format: format, Session: rec.facts.SessionID}}
	w.node.ahead, w.client.ahead = map[int64]frame{}, map[int64]frame{}
	if err := os.Mkdir(rec.dir, 0o700); err == nil {
		w.node.known, w.client.known = true, true
		// A head from the beginning on: a recording cannot lose its first segment unseen.
		return w, w.head.write(rec.dir, rec.r.key)
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	h, err := readHead(os.DirFS(rec.dir), rec.r.Public())
	if err != nil {
		return nil, err
	}
	if h.Closed {
		return nil, errors.New("the recording is closed already")
	}
	w.head = h
	if err := w.takeUp(); err != nil {
		return nil, err
	}
	return w, nil
}

// takeUp seals the segment that a killed process left, up to its last whole line.
func (w *writer) takeUp() error {
	path := filepath.Join(w.rec.dir, segmentFile(len(w.head.Segments)))
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		w.offset = time.Since(w.rec.facts.StartedAt)
		return nil
	}
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		w.remember(line)
	}
	if len(whole) == 0 {
		return os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(len(whole)))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	w.offset = max(time.Since(w.rec.facts.StartedAt), time.Duration(w.last*float64(time.Second)))
	return w.seal(sealed{int64(len(whole)), hashOf(whole)})
}

// remember reads an event for where the order was.
func (w *writer) remember(line []byte) {
	var e []any
	if json.Unmarshal(line, &e) != nil || len(e) != 3 {
		return
	}
	if at, ok := e[0].(float64); ok {
		w.last = max(w.last, at)
	}
	if text, ok := e[2].(string); ok && e[1] == "s" {
		if _, err := fmt.Sscanf(text, "%d %d", &w.node.next, &w.client.next); err == nil {
			w.node.known, w.client.known = true, true
			w.node.resumed, w.client.resumed = true, true
		}
	}
}

// seal adds a finished segment to the head.
func (w *writer) seal(segment sealed) error {
	w.head.Segments = append(w.head.Segments, segment)
	return w.head.write(w.rec.dir, w.rec.r.key)
}

// put records frames.
func (w *writer) put(frames []frame, lost int64) error {
	for _, f := range frames {
		if w.rec.facts.tunnel() {
			if i := 0; f.kind == message.PayloadOutput {
				if f.fromNode {
					i = 1
				}
				w.flows[i] += int64(f.size)
			}
			continue
		}
		d := &w.client
		if f.fromNode {
			d = &w.node
		}
		if err := w.inOrder(d, f); err != nil {
			return err
		}
	}
	if lost > 0 {
		return w.event(w.now(), "l", fmt.Sprintf("%d bytes could not be kept", lost))
	}
	return nil
}

func (w *writer) now() time.Duration { return time.Since(w.rec.start) }

// inOrder records a frame and those that waited for it.
func (w *writer) inOrder(d *direction, f frame) error {
	if !d.known {
		d.next, d.known = f.sequence, true
	}
	if f.sequence < d.next {
		return nil // recorded before the restart
	}
	d.ahead[f.sequence] = f
	if len(d.ahead) > maxAhead { // what is missing does not come any more
		return w.passOver(d)
	}
	return w.drain(d)
}

// drain records what is next.
func (w *writer) drain(d *direction) error {
	for {
		f, ok := d.ahead[d.next]
		if !ok {
			return nil
		}
		delete(d.ahead, d.next)
		d.next++
		d.resumed = false
		if err := w.frame(d, f); err != nil {
			return err
		}
	}
}

// passOver goes on behind messages that are missing, and says so.
func (w *writer) passOver(d *direction) error {
	first := int64(math.MaxInt64)
	for sequence := range d.ahead {
		first = min(first, sequence)
	}
	if err := w.event(w.now(), "l", fmt.Sprintf("messages %d to %d are missing", d.next, first-1)); err != nil {
		return err
	}
	d.next, d.resumed = first, false
	return w.drain(d)
}

// frame records a message that is next.
func (w *writer) frame(d *direction, f frame) error {
	code := "i"
	if f.fromNode {
		code = "o"
	}
	switch f.kind {
	case message.PayloadOutput, message.PayloadStdErr:
		if len(f.payload) == 0 {
			return nil
		}
		return w.text(d, f.at, code, f.payload)
	case message.PayloadSize:
		size, err := message.ParseSize(f.payload)
		if err != nil {
			return nil
		}
		return w.event(f.at, "r", fmt.Sprintf("%dx%d", size.Cols, size.Rows))
	default: // handshakes, exit codes: exactly, for whoever opens an encrypted recording
		return w.event(f.at, "h", fmt.Sprintf("%s %d %s", code, f.kind, base64.StdEncoding.EncodeToString(f.payload)))
	}
}

// text records bytes of a terminal: as text if they are, with a character that is cut in
// two kept whole, and else as they are.
func (w *writer) text(d *direction, at time.Duration, code string, payload []byte) error {
	if len(d.broken) > 0 {
		payload = append(d.broken, payload...)
		d.broken = nil
	}
	if w.rec.facts.KMSKeyID == "" {
		if n := incomplete(payload); n > 0 {
			d.broken = bytes.Clone(payload[len(payload)-n:])
			payload = payload[:len(payload)-n]
		}
	}
	switch {
	case len(payload) == 0:
		return nil
	case utf8.Valid(payload):
		return w.bytes(at, code, payload)
	}
	return w.event(at, "x", code+" "+base64.StdEncoding.EncodeToString(payload))
}

// incomplete is how many bytes at the end of b are the beginning of a character.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// event writes one line.
func (w *writer) event(at time.Duration, code, data string) error {
	return w.bytes(at, code, []byte(data))
}

// bytes is event for data that is UTF-8. It is most of the work of a recording.
func (w *writer) bytes(at time.Duration, code string, data []byte) error {
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.last = max(w.last, (w.offset + at).Seconds())
	w.scratch = append(w.scratch[:0], '[')
	w.scratch = strconv.AppendFloat(w.scratch, w.last, 'f', 6, 64)
	w.scratch = append(append(append(w.scratch, `,"`...), code...), `",`...)
	w.scratch = append(appendText(w.scratch, data), ']')
	return w.line(w.scratch)
}

// appendText appends UTF-8 as a string of JSON.
func appendText(line, text []byte) []byte {
	const digits = "0123456789abcdef"
	line = append(line, '"')
	done := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		line = append(line, text[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			line = append(line, '\\', c)
		case '\n':
			line = append(line, `\n`...)
		case '\r':
			line = append(line, `\r`...)
		case '\t':
			line = append(line, `\t`...)
		default:
			line = append(line, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(line, text[done:]...), '"')
}

func (w *writer) line(line []byte) error {
	line = append(line, '\n')
	n, err := w.buffer.Write(line)
	w.size += int64(n)
	w.hash.Write(line)
	return err
}

// begin begins a segment.
func (w *writer) begin() error {
	n := len(w.head.Segments)
	f, err := os.OpenFile(filepath.Join(w.rec.dir, segmentFile(n)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w.file, w.buffer, w.size, w.began = f, bufio.NewWriterSize(f, 64<<10), 0, time.Now()
	w.hash = sha256.New()
	first := segmentHead{Format: format, Session: w.head.Session, Segment: n, Previous: hashOfNothing}
	if n > 0 {
		first.Previous = w.head.Segments[n-1].SHA256
	} else {
		first.Facts = &w.rec.facts
	}
	line, err := json.Marshal(first)
	if err != nil {
		return err
	}
	return w.line(line)
}

// flush brings what was written to the file, and ends the segment if it is large or old
// enough, or end is set.
func (w *writer) flush(end bool) error {
	if err := w.tunnelled(end); err != nil {
		return err
	}
	for _, d := range []*direction{&w.node, &w.client} {
		for len(d.ahead) > 0 && (end || d.resumed) {
			if err := w.passOver(d); err != nil {
				return err
			}
		}
	}
	if end {
		for code, d := range map[string]*direction{"o": &w.node, "i": &w.client} {
			if len(d.broken) > 0 {
				if err := w.event(w.now(), "x", code+" "+base64.StdEncoding.EncodeToString(d.broken)); err != nil {
					return err
				}
				d.broken = nil
			}
		}
	}
	if w.file == nil {
		return nil
	}
	if w.buffer.Buffered() > 0 && !w.rec.facts.tunnel() {
		// Where the order is, for whoever goes on after this process was killed.
		if err := w.event(w.now(), "s", fmt.Sprintf("%d %d", w.node.next, w.client.next)); err != nil {
			return err
		}
	}
	if err := w.buffer.Flush(); err != nil {
		return err
	}
	if !end && w.size < w.rec.r.cfg.SegmentBytes && time.Since(w.began) < w.rec.r.cfg.SegmentTime {
		return nil
	}
	err := errors.Join(w.file.Sync(), w.file.Close())
	w.file = nil
	if err != nil {
		return err
	}
	// What was written, not what is there: who changed the file meanwhile is found out.
	return w.seal(sealed{w.size, hex.EncodeToString(w.hash.Sum(nil))})
}

// tunnelled records how much a tunnel has carried.
func (w *writer) tunnelled(end bool) error {
	if !w.rec.facts.tunnel() || w.flows == w.flowsTold && !end {
		return nil
	}
	w.flowsTold = w.flows
	return w.event(w.now(), "f", fmt.Sprintf("%d bytes to the node, %d from it", w.flows[0], w.flows[1]))
}
