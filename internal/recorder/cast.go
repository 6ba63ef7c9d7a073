package recorder

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLine bounds a line of a segment, in bytes: a payload of at most 64 KiB, six bytes
// each when they are control characters.
const maxLine = 1 << 20

// Cast writes a recording as one file of asciicast v2, which asciinema plays. Bytes that
// are no text become U+FFFD there; events of our own are left out.
func Cast(dir string, to io.Writer) error {
	w := bufio.NewWriter(to)
	err := each(dir, func(first *segmentHead, e *Event) error {
		if first != nil {
			if first.Facts == nil {
				return nil
			}
			line, err := json.Marshal(map[string]any{"version": 2, "width": 80, "height": 24,
				"timestamp": first.Facts.StartedAt.Unix(), "title": first.Session})
			if err != nil {
				return err
			}
			_, err = w.Write(append(line, '\n'))
			return err
		}
		code, text := e.Code, e.Data
		if code == "x" {
			code, text = e.Direction, strings.ToValidUTF8(string(e.Bytes), "\uFFFD")
		}
		if code != "o" && code != "i" && code != "r" {
			return nil
		}
		line, err := json.Marshal([]any{json.Number(fmt.Sprintf("%.6f", e.At)), code, text})
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// Output writes the bytes that the user saw, exactly.
func Output(dir string, to io.Writer) error {
	return each(dir, func(_ *segmentHead, e *Event) error {
		if e == nil || e.Direction != "o" {
			return nil
		}
		_, err := to.Write(e.Bytes)
		return err
	})
}

// Event is one event of a recording.
type Event struct {
	At        float64 // seconds since the beginning
	Code      string
	Data      string
	Direction string // "o" or "i" of bytes of a terminal
	Bytes     []byte
}

// each calls f for the first line of each segment and for each event, in order.
func each(dir string, f func(*segmentHead, *Event) error) error {
	for n := 0; ; n++ {
		file, err := os.Open(filepath.Join(dir, segmentFile(n)))
		if os.IsNotExist(err) && n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		err = eachLine(file, f)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", segmentFile(n), err)
		}
	}
}

func eachLine(from io.Reader, f func(*segmentHead, *Event) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for number := 0; lines.Scan(); number++ {
		if number == 0 {
			var first segmentHead
			if err := json.Unmarshal(lines.Bytes(), &first); err != nil {
				return err
			}
			if err := f(&first, nil); err != nil {
				return err
			}
			continue
		}
		e, err := parseEvent(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		if err := f(nil, e); err != nil {
			return err
		}
	}
	return lines.Err()
}

func parseEvent(line []byte) (*Event, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	var parts []json.RawMessage
	if err := dec.Decode(&parts); err != nil {
		return nil, err
	}
	if len(parts) != 3 {
		return nil, fmt.Errorf("an event has three parts, not %d", len(parts))
	}
	e := &Event{}
	for i, into := range []any{&e.At, &e.Code, &e.Data} {
		if err := json.Unmarshal(parts[i], into); err != nil {
			return nil, err
		}
	}
	switch e.Code {
	case "o", "i":
		e.Direction, e.Bytes = e.Code, []byte(e.Data)
	case "x":
		direction, text, _ := strings.Cut(e.Data, " ")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		e.Direction, e.Bytes = direction, b
	}
	return e, nil
}
