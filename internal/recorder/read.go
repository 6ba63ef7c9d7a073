package recorder

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sekisho/internal/datachannel"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// Archive reads the recordings of a Recorder. It may be used while they are written.
type Archive struct{ recorder *Recorder }

// Archive gives what reads r's recordings.
func (r *Recorder) Archive() Archive { return Archive{r} }

// path is where the recording of a session is. What is no name of a file is none.
func (a Archive) path(id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", fmt.Errorf("recording %q: %w", id, fs.ErrNotExist)
	}
	return filepath.Join(a.recorder.cfg.Dir, id), nil
}

// List gives the sessions that have recordings.
func (a Archive) List() ([]string, error) {
	entries, err := os.ReadDir(a.recorder.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if e.IsDir() {
			list = append(list, e.Name())
		}
	}
	return list, nil
}

// Facts tells of a recording what its files say.
func (a Archive) Facts(id string) (ssm.RecordingFacts, error) {
	dir, err := a.path(id)
	if err != nil {
		return ssm.RecordingFacts{}, err
	}
	out := ssm.RecordingFacts{SessionID: id}
	if out.Bytes, err = sizeOf(dir); err != nil {
		return out, err
	}
	if h, err := readHead(os.DirFS(dir), a.recorder.Public()); err == nil {
		out.Closed = h.Closed
	}
	f, err := os.Open(filepath.Join(dir, segmentFile(0)))
	if err != nil {
		return out, err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 64<<10).ReadSlice('\n')
	if err != nil {
		return out, err
	}
	var first segmentHead
	if err := json.Unmarshal(line, &first); err != nil || first.Facts == nil {
		return out, errors.New("the recording does not say whose it is")
	}
	facts := first.Facts
	out.NodeID, out.Owner, out.DocumentName = facts.NodeID, facts.Owner, facts.DocumentName
	out.SessionType, out.KMSKeyID, out.StartedAt = facts.SessionType, facts.KMSKeyID, ssm.At(facts.StartedAt)
	return out, nil
}

func sizeOf(dir string) (size int64, err error) {
	for n := 0; ; n++ {
		info, err := os.Stat(filepath.Join(dir, segmentFile(n)))
		if errors.Is(err, fs.ErrNotExist) && n > 0 {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
}

// Finish signs that nothing follows, for a session that is over and whose server was
// killed. The recording must not be running.
func (a Archive) Finish(id string) error {
	dir, err := a.path(id)
	if err != nil {
		return err
	}
	facts, err := a.Facts(id)
	if err != nil {
		return err
	}
	if facts.Closed {
		return nil
	}
	rec := a.recorder.Begin(Facts{SessionID: id, NodeID: facts.NodeID, Owner: facts.Owner, DocumentName: facts.DocumentName,
		SessionType: facts.SessionType, KMSKeyID: facts.KMSKeyID, StartedAt: facts.StartedAt.Time})
	rec.Close(true)
	h, err := readHead(os.DirFS(dir), a.recorder.Public())
	if err == nil && !h.Closed {
		err = errors.New("the recording could not be closed")
	}
	return err
}

// Remove removes the files of a recording. None are there to remove is no error.
func (a Archive) Remove(id string) error {
	dir, err := a.path(id)
	if err != nil {
		return nil
	}
	return os.RemoveAll(dir)
}

// Verify holds a recording against the key of this server.
func (a Archive) Verify(id string) (*ssm.VerifyRecordingOutput, error) {
	dir, err := a.path(id)
	if err != nil {
		return nil, err
	}
	report, err := Verify(dir, a.recorder.Public())
	if damage, ok := errors.AsType[*Damage](err); ok {
		return &ssm.VerifyRecordingOutput{Problem: damage.What, File: damage.File}, nil
	}
	if err != nil {
		return nil, err
	}
	return &ssm.VerifyRecordingOutput{Verified: true, Segments: report.Segments, Closed: report.Closed, Unsigned: report.Unsigned}, nil
}

// errNoKey says that the handshake of an encrypted session is not in its recording.
var errNoKey = errors.New("the recording has no data key in it")

// Key finds the sealed data key of an encrypted recording: in the handshake, at its
// beginning.
func (a Archive) Key(id string) (ssm.RecordingKey, error) {
	dir, err := a.path(id)
	if err != nil {
		return ssm.RecordingKey{}, err
	}
	var node, challenge string
	var sealed []byte
	found := errors.New("found")
	err = each(dir, func(first *segmentHead, e *Event) error {
		if first != nil {
			if first.Facts != nil {
				node = first.Facts.NodeID
			}
			return nil
		}
		if e.Code != "h" {
			return nil
		}
		part := strings.SplitN(e.Data, " ", 3)
		if len(part) != 3 {
			return nil
		}
		payload, err := base64.StdEncoding.DecodeString(part[2])
		if err != nil {
			return nil
		}
		if request, err := message.ParseHandshakeRequest(payload); err == nil && part[0] == "o" {
			for _, action := range request.RequestedClientActions {
				var p message.KMSEncryptionParameters
				if action.ActionType == message.ActionKMSEncryption && json.Unmarshal(action.ActionParameters, &p) == nil {
					challenge = p.Challenge
				}
			}
		}
		if response, err := message.ParseHandshakeResponse(payload); err == nil && part[0] == "i" {
			for _, action := range response.ProcessedClientActions {
				var result message.KMSEncryptionResult
				if action.ActionType == message.ActionKMSEncryption && json.Unmarshal(action.ActionResult, &result) == nil && len(result.KMSCipherTextKey) > 0 {
					sealed = result.KMSCipherTextKey
					if !result.ChallengeAcknowledgement {
						challenge = ""
					}
					return found
				}
			}
		}
		return nil
	})
	if err == nil {
		err = errNoKey
	}
	if !errors.Is(err, found) {
		return ssm.RecordingKey{}, err
	}
	return ssm.RecordingKey{Sealed: sealed, Context: message.EncryptionContext(id, node, challenge)}, nil
}

// player turns lines of segments into lines of asciicast.
type player struct {
	input      bool
	node, user *datachannel.Cipher // nil for a recording in clear
	broken     map[string][]byte   // by direction: the beginning of a character
	cast       bytes.Buffer
	flows      []ssm.RecordingFlow
}

// Read gives what a recording has from an offset on, in whole lines of about limit bytes
// together. The offset counts the bytes of its files; one that is not the beginning of a
// line means the next. key opens an encrypted recording.
func (a Archive) Read(id string, from int64, limit int, input bool, key []byte) (ssm.RecordingPart, error) {
	dir, err := a.path(id)
	if err != nil {
		return ssm.RecordingPart{}, err
	}
	p := &player{input: input, broken: map[string][]byte{}}
	if key != nil {
		if p.node, err = datachannel.NewCipher(datachannel.Client, bytes.Clone(key)); err == nil {
			p.user, err = datachannel.NewCipher(datachannel.Agent, bytes.Clone(key))
		}
		if err != nil {
			return ssm.RecordingPart{}, err
		}
	}
	next, end, err := p.read(dir, max(from, 0), int64(limit))
	if err != nil {
		return ssm.RecordingPart{}, fmt.Errorf("recording %s: %w", id, err)
	}
	return ssm.RecordingPart{Cast: p.cast.String(), Flows: p.flows, Next: next, End: end}, nil
}

// read reads lines from an offset on, and gives the offset of what follows.
func (p *player) read(dir string, from, limit int64) (next int64, end bool, err error) {
	var start int64 // of the segment
	taken := int64(0)
	for n := 0; ; n++ {
		f, err := os.Open(filepath.Join(dir, segmentFile(n)))
		if errors.Is(err, fs.ErrNotExist) && n > 0 {
			return max(from, start), true, nil
		}
		if err != nil {
			return 0, false, err
		}
		info, err := f.Stat()
		if err == nil && from >= start+info.Size() {
			start += info.Size()
			f.Close()
			// The end of the last segment, which may still grow.
			if _, err := os.Stat(filepath.Join(dir, segmentFile(n+1))); errors.Is(err, fs.ErrNotExist) {
				return from, true, nil
			}
			continue
		}
		var used int64
		if err == nil {
			used, err = p.segment(dir, f, n, from-start, limit-taken)
		}
		f.Close()
		if err != nil {
			return 0, false, fmt.Errorf("%s: %w", segmentFile(n), err)
		}
		from += used
		taken += used
		if taken >= limit {
			_, err := os.Stat(filepath.Join(dir, segmentFile(n+1)))
			return from, errors.Is(err, fs.ErrNotExist) && from >= start+info.Size(), nil
		}
		if _, err := os.Stat(filepath.Join(dir, segmentFile(n+1))); errors.Is(err, fs.ErrNotExist) {
			return from, true, nil
		}
		from = max(from, start+info.Size()) // what is left of a line here is not one
		start += info.Size()
	}
}

// segment reads lines of one segment until limit is reached and no character is cut.
func (p *player) segment(dir string, f *os.File, n int, at, limit int64) (used int64, err error) {
	skip := at > 0
	if skip {
		at--
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	lines := bufio.NewReaderSize(f, maxLine)
	if skip {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		used = int64(len(line)) - 1
		at += int64(len(line))
	}
	for used < limit || p.waits() && used < limit+maxLine {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return used, nil
		}
		if err != nil {
			return used, err
		}
		if at == 0 {
			err = p.first(dir, n, line)
		} else {
			err = p.line(line)
		}
		if err != nil {
			return used, err
		}
		at += int64(len(line))
		used += int64(len(line))
	}
	return used, nil
}

func (p *player) waits() bool { return len(p.broken["o"])+len(p.broken["i"]) > 0 }

// first takes the first line of a segment. The one of the recording makes the header.
func (p *player) first(dir string, n int, line []byte) error {
	var first segmentHead
	if err := json.Unmarshal(line, &first); err != nil {
		return err
	}
	if n > 0 || first.Facts == nil || first.Facts.tunnel() {
		return nil
	}
	columns, rows := firstSize(dir)
	header, err := json.Marshal(map[string]any{"version": 2, "width": columns, "height": rows,
		"timestamp": first.Facts.StartedAt.Unix(), "title": first.Session})
	if err != nil {
		return err
	}
	p.cast.Write(append(header, '\n'))
	return nil
}

// sizeWithin is how many lines at the beginning may come before the terminal's size.
const sizeWithin = 100

// firstSize is the size that the terminal had first, or 80 by 24.
func firstSize(dir string) (columns, rows int) {
	columns, rows = 80, 24
	n, found := 0, errors.New("found")
	_ = each(dir, func(_ *segmentHead, e *Event) error {
		if n++; n > sizeWithin {
			return found
		}
		if e == nil || e.Code != "r" {
			return nil
		}
		c, r, _ := strings.Cut(e.Data, "x")
		wide, errC := strconv.Atoi(c)
		high, errR := strconv.Atoi(r)
		if errC == nil && errR == nil && wide > 0 && high > 0 {
			columns, rows = wide, high
		}
		return found
	})
	return columns, rows
}

// line takes an event.
func (p *player) line(line []byte) error {
	e, err := parseEvent(line)
	if err != nil {
		return err
	}
	switch {
	case e.Code == "r":
		return p.event(e.At, "r", e.Data)
	case e.Code == "f":
		flow := ssm.RecordingFlow{OffsetSeconds: e.At, Detail: e.Data}
		if _, err := fmt.Sscanf(e.Data, "%d bytes to the node, %d from it", &flow.BytesToNode, &flow.BytesFromNode); err == nil {
			flow.Detail = ""
		}
		p.flows = append(p.flows, flow)
		return nil
	case e.Direction != "o" && (e.Direction != "i" || !p.input):
		return nil
	}
	text := e.Bytes
	if p.node != nil {
		by := p.node
		if e.Direction == "i" {
			by = p.user
		}
		if text, err = by.Open(text); err != nil {
			return err
		}
	}
	text = append(p.broken[e.Direction], text...)
	delete(p.broken, e.Direction)
	if n := incomplete(text); n > 0 && p.node != nil {
		p.broken[e.Direction] = bytes.Clone(text[len(text)-n:])
		text = text[:len(text)-n]
	}
	if len(text) == 0 {
		return nil
	}
	return p.event(e.At, e.Direction, strings.ToValidUTF8(string(text), "\uFFFD"))
}

func (p *player) event(at float64, code, text string) error {
	line, err := json.Marshal([]any{json.Number(strconv.FormatFloat(at, 'f', 6, 64)), code, text})
	if err != nil {
		return err
	}
	p.cast.Write(append(line, '\n'))
	return nil
}
