package recorder

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// Transcript gives the text of a recording in clear, without what only a terminal
// understands: at most about limit bytes of it.
func (a Archive) Transcript(id string, limit int) (ssm.Transcript, error) {
	dir, err := a.path(id)
	if err != nil {
		return ssm.Transcript{}, err
	}
	t := &textFilter{limit: limit}
	full := errors.New("full")
	err = each(dir, func(_ *segmentHead, e *Event) error {
		if e == nil || e.Direction != "o" {
			return nil
		}
		t.write(time.Duration(e.At*float64(time.Second)), strings.ToValidUTF8(string(e.Bytes), "\uFFFD"))
		if t.text.Len() >= limit {
			return full
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) && t.text.Len() == 0 && len(t.line) == 0 {
		return ssm.Transcript{}, err
	}
	t.end() // of a damaged or a growing recording, what there is
	return ssm.Transcript{Text: t.text.String(), Marks: t.marks}, nil
}

// maxColumns bounds a line. A terminal would have wrapped long before.
const maxColumns = 4096

// filler is the second cell of a wide character.
const filler = rune(-1)

// textFilter makes lines of text of what a program sends to a terminal. It knows one line
// and where the cursor is in it: what readline does to edit a line is done, and what moves
// the cursor to another line begins a new one.
type textFilter struct {
	limit int
	text  strings.Builder
	marks []ssm.TranscriptMark

	line   []rune // cells
	column int
	at     time.Duration // of the line's first character

	state  filterState
	params []byte
	string byte // of an OSC or DCS: what came last
}

type filterState int

const (
	inText filterState = iota
	afterEscape
	inControl // CSI
	inString  // OSC, DCS, APC, PM, SOS
	inCharset // one more byte
)

// write takes output of a time.
func (t *textFilter) write(at time.Duration, text string) {
	for _, r := range text {
		switch t.state {
		case inText:
			t.plain(at, r)
		case afterEscape:
			t.escape(r)
		case inControl:
			t.control(r)
		case inString:
			if r == 0x07 || r == 0x9c || r == '\\' && t.string == 0x1b {
				t.state = inText
			}
			t.string = 0
			if r < utf8.RuneSelf {
				t.string = byte(r)
			}
		case inCharset:
			t.state = inText
		}
	}
}

func (t *textFilter) plain(at time.Duration, r rune) {
	switch {
	case r == 0x1b:
		t.state = afterEscape
	case r == 0x9b:
		t.state, t.params = inControl, t.params[:0]
	case r == '\n' || r == 0x0b || r == 0x0c || r == 0x85:
		t.newLine()
	case r == '\r':
		t.column = 0
	case r == '\b':
		t.column = max(t.column-1, 0)
	case r == '\t':
		t.move(t.column/8*8 + 8)
	case r < ' ' || r >= 0x7f && r < 0xa0:
	default:
		if len(t.line) == 0 {
			t.at = at
		}
		t.put(r)
	}
}

// move puts the cursor into a column.
func (t *textFilter) move(column int) { t.column = min(max(column, 0), maxColumns) }

func (t *textFilter) put(r rune) {
	cells := []rune{r}
	if isWide(r) {
		cells = append(cells, filler)
	}
	if t.column+len(cells) > maxColumns {
		t.newLine()
	}
	for len(t.line) < t.column {
		t.line = append(t.line, ' ')
	}
	if t.column < len(t.line) && t.line[t.column] == filler { // half of a wide one is gone
		t.line[t.column-1] = ' '
	}
	for _, c := range cells {
		if t.column < len(t.line) {
			t.line[t.column] = c
		} else {
			t.line = append(t.line, c)
		}
		t.column++
	}
	if t.column < len(t.line) && t.line[t.column] == filler {
		t.line[t.column] = ' '
	}
}

// escape takes what follows ESC.
func (t *textFilter) escape(r rune) {
	t.state = inText
	switch r {
	case '[':
		t.state, t.params = inControl, t.params[:0]
	case ']', 'P', '_', '^', 'X':
		t.state, t.string = inString, 0
	case '(', ')', '*', '+', '-', '.', '/', '#', ' ', '%':
		t.state = inCharset
	case 'D', 'E', 'M', 'c':
		t.newLine()
	case 0x1b:
		t.state = afterEscape
	}
}

// control takes the parameters and the end of a control sequence.
func (t *textFilter) control(r rune) {
	if r < 0x40 || r > 0x7e {
		if r >= 0x20 && r < 0x40 && len(t.params) < 32 {
			t.params = append(t.params, byte(r))
		}
		return
	}
	t.state = inText
	n, given := 0, false
	for _, c := range t.params {
		if c < '0' || c > '9' {
			break
		}
		n, given = min(n*10+int(c-'0'), maxColumns), true
	}
	count := max(n, 1)
	switch r {
	case 'C', 'a':
		t.move(t.column + count)
	case 'D':
		t.move(t.column - count)
	case 'G', '`':
		t.move(count - 1)
	case 'K':
		switch {
		case !given || n == 0:
			t.line = t.line[:min(t.column, len(t.line))]
		case n == 1:
			for i := range min(t.column+1, len(t.line)) {
				t.line[i] = ' '
			}
		default:
			t.line = t.line[:0]
		}
	case 'P':
		if t.column < len(t.line) {
			t.line = slices.Delete(t.line, t.column, min(t.column+count, len(t.line)))
		}
	case '@':
		if t.column < len(t.line) && len(t.line)+count <= maxColumns {
			t.line = slices.Insert(t.line, t.column, []rune(strings.Repeat(" ", count))...)
		}
	case 'X':
		for i := t.column; i < min(t.column+count, len(t.line)); i++ {
			t.line[i] = ' '
		}
	case 'A', 'B', 'E', 'F', 'H', 'f', 'd', 'J':
		if r != 'J' || n > 0 { // readline clears what is below without leaving the line
			t.newLine()
		}
	}
}

// newLine ends a line. Empty ones are not kept: screens have many.
func (t *textFilter) newLine() {
	var b strings.Builder
	for _, c := range t.line {
		if c != filler {
			b.WriteRune(c)
		}
	}
	line := strings.TrimRight(b.String(), " ")
	if line != "" && t.text.Len()+len(line) < t.limit+maxColumns*utf8.UTFMax {
		t.marks = append(t.marks, ssm.TranscriptMark{Byte: t.text.Len(), Millis: t.at.Milliseconds()})
		t.text.WriteString(line)
		t.text.WriteByte('\n')
	}
	t.line, t.column = t.line[:0], 0
}

func (t *textFilter) end() {
	if len(t.line) > 0 {
		t.newLine()
	}
}

// isWide says whether a character takes two cells (Unicode Standard Annex 11, the ranges
// that matter).
func isWide(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0xa4cf, r >= 0xa960 && r <= 0xa97c,
		r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1f64f,
		r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return true
	}
	return false
}

// CastText gives the plain text of lines of asciicast.
func CastText(lines string) string {
	t := &textFilter{limit: len(lines)}
	for line := range strings.Lines(lines) {
		e, err := parseEvent([]byte(line))
		if err != nil || e.Code != "o" {
			continue // the header, sizes
		}
		t.write(time.Duration(e.At*float64(time.Second)), e.Data)
	}
	t.end()
	return t.text.String()
}
