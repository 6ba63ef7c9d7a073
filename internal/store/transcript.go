package store

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/ssm"
)

const (
	// blockSize is how many transcripts a block has.
	blockSize = 512
	// noBlock is the block of those that are in none.
	noBlock = -1
	// maxTranscript bounds the text of a transcript, in bytes.
	maxTranscript = 2 << 20
	// maxQueryGrams bounds how many grams of a query are looked up.
	maxQueryGrams = 12
	// maxRead bounds the transcripts that one search reads; what is left is for the next
	// page.
	maxRead = 2000
)

// TranscriptHit is the first place of a transcript that has the text.
type TranscriptHit struct {
	Recording Recording
	Excerpt   string
	Offset    time.Duration // since the beginning of the session
}

// PutTranscript stores the transcript of a recording in the place of an earlier one that
// was not finished. A finished one does not change any more.
func (s *Store) PutTranscript(ctx context.Context, id string, t ssm.Transcript, finished bool) error {
	if len(t.Text) > maxTranscript {
		t.Text = strings.ToValidUTF8(t.Text[:maxTranscript], "")
	}
	text, err := deflate(t.Text)
	if err != nil {
		return fmt.Errorf("transcript of %s: %w", id, err)
	}
	_, err = s.writer().exec(ctx, `
		insert into transcripts (session_id, text, marks, size, finished, block, place) values ($1, $2, $3, $4, $5, $6, 0)
		on conflict (session_id) do update set text = excluded.text, marks = excluded.marks, size = excluded.size, finished = excluded.finished
		where not transcripts.finished`,
		id, text, encodeMarks(t.Marks), len(t.Text), finished, noBlock)
	if err != nil {
		return fmt.Errorf("transcript of %s: %w", id, err)
	}
	return nil
}

func deflate(text string) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}

func inflate(b []byte, size int64) (string, error) {
	if size < 0 || size > maxTranscript {
		return "", errors.New("a transcript has a wrong size")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(b)), text); err != nil && size > 0 {
		return "", fmt.Errorf("transcript: %w", err)
	}
	return string(text), nil
}

// encodeMarks writes marks as differences.
func encodeMarks(marks []ssm.TranscriptMark) []byte {
	b := []byte{}
	var last ssm.TranscriptMark
	for _, m := range marks {
		b = binary.AppendVarint(binary.AppendVarint(b, int64(m.Byte-last.Byte)), m.Millis-last.Millis)
		last = m
	}
	return b
}

// markBefore gives the time of a place of the text.
func markBefore(b []byte, place int) time.Duration {
	var at, millis, found int64
	for len(b) > 0 {
		bytes, n := binary.Varint(b)
		if n <= 0 {
			break
		}
		ms, m := binary.Varint(b[n:])
		if m <= 0 {
			break
		}
		at, millis, b = at+bytes, millis+ms, b[n+m:]
		if at > int64(place) {
			break
		}
		found = millis
	}
	return time.Duration(found) * time.Millisecond
}

// GatherTranscripts makes a block of finished transcripts that are in none, if there are
// enough for one, and says whether it did.
func (s *Store) GatherTranscripts(ctx context.Context) (bool, error) {
	gathered := false
	err := s.inTx(ctx, func(tx runner) error {
		// One at a time, also of several servers: whoever has this row.
		_, err := tx.exec(ctx, `insert into transcript_grams (gram, block, places) values ($1, $1, $2)
			on conflict (gram, block) do update set places = excluded.places`, noBlock, []byte{})
		if err != nil {
			return err
		}
		var ids []string
		places := map[int64][]byte{}
		last := map[int64]int{}
		err = tx.rows(ctx, `select t.session_id, t.text, t.size from transcripts t join recordings r on r.session_id = t.session_id
			where t.block = $1 and t.finished order by r.ended_at, t.session_id limit $2`, []any{noBlock, blockSize},
			func(scan func(...any) error) error {
				var id string
				var packed []byte
				var size int64
				if err := scan(&id, &packed, &size); err != nil {
					return err
				}
				text, err := inflate(packed, size)
				if err != nil {
					return err
				}
				place := len(ids)
				ids = append(ids, id)
				eachGram(text, func(gram int64) {
					if was, ok := last[gram]; !ok {
						places[gram] = binary.AppendUvarint(nil, uint64(place))
					} else if was < place {
						places[gram] = binary.AppendUvarint(places[gram], uint64(place-was))
					}
					last[gram] = place
				})
				return nil
			})
		if err != nil || len(ids) < blockSize {
			return err
		}
		var block int64
		if err := tx.row(ctx, `select coalesce(max(block), $1) + 1 from transcripts`, []any{noBlock}, &block); err != nil {
			return err
		}
		rows := make([][]any, 0, len(places))
		for gram, list := range places {
			rows = append(rows, []any{gram, block, list})
		}
		slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
		if err := insertRows(ctx, tx, `transcript_grams (gram, block, places)`, rows); err != nil {
			return err
		}
		for place, id := range ids {
			if _, err := tx.exec(ctx, `update transcripts set block = $2, place = $3 where session_id = $1`, id, block, place); err != nil {
				return err
			}
		}
		gathered = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("gather transcripts: %w", err)
	}
	return gathered, nil
}

// ErrShortQuery says that a text to search for has fewer than two characters.
var ErrShortQuery = fmt.Errorf("%w: a query needs two characters at least", ErrInvalid)

// SearchTranscripts finds the sessions whose transcripts have the query in a line, without
// regard to case, width of Latin letters and number of spaces. May decides about each
// session that has it. Those that ended lately come first. A page may have fewer hits than
// its limit although there are more: the cursor tells.
func (s *Store) SearchTranscripts(ctx context.Context, query string, f RecordingFilter, p Page, may func(Recording) (bool, error)) ([]TranscriptHit, string, error) {
	x := &search{store: s, query: foldLine(query), filter: f, limit: p.limit(), may: may}
	if len([]rune(x.query)) < 2 {
		return nil, "", ErrShortQuery
	}
	next, err := x.run(ctx, p.After)
	if err != nil {
		return nil, "", fmt.Errorf("search transcripts: %w", err)
	}
	return x.hits, next, nil
}

// search is one search.
type search struct {
	store  *Store
	query  string // folded
	filter RecordingFilter
	limit  int
	may    func(Recording) (bool, error)

	hits []TranscriptHit
	read int
}

func (x *search) full() bool { return len(x.hits) >= x.limit || x.read >= maxRead }

// run goes on at a cursor: "u.TIME.ID" among transcripts that are in no block, then
// "b.BLOCK.PLACE".
func (x *search) run(ctx context.Context, cursor string) (next string, err error) {
	block, place := int64(math.MaxInt64), int64(0)
	kind, rest, _ := strings.Cut(cursor, ".")
	switch kind {
	case "", "u":
		if next, err := x.unblocked(ctx, rest); err != nil || next != "" {
			return next, err
		}
	case "b":
		number, at, ok := strings.Cut(rest, ".")
		var errBlock, errPlace error
		block, errBlock = strconv.ParseInt(number, 10, 64)
		place, errPlace = strconv.ParseInt(at, 10, 64)
		if !ok || errBlock != nil || errPlace != nil {
			return "", ErrCursor
		}
	default:
		return "", ErrCursor
	}
	return x.blocks(ctx, block, place)
}

const transcriptColumns = recordingColumns + `, t.text, t.marks, t.size, t.place`

// transcript is a row that is read.
type transcript struct {
	Recording
	text, marks []byte
	size, place int64
}

func scanTranscript(t *transcript, scan func(...any) error) error {
	return scanRecording(&t.Recording, func(dest ...any) error {
		return scan(append(dest, &t.text, &t.marks, &t.size, &t.place)...)
	})
}

// unblocked reads the transcripts that are in no block, a few at a time.
func (x *search) unblocked(ctx context.Context, after string) (next string, err error) {
	for {
		var w where
		w.add("t.block = ?", noBlock)
		x.filter.add(&w)
		if err := w.afterTime("started_at", "recordings.session_id", Page{After: after}); err != nil {
			return "", err
		}
		list, more, err := page(ctx, x.store.reader(), `select `+transcriptColumns+` from transcripts t join recordings on recordings.session_id = t.session_id`+
			w.String()+` order by started_at desc, recordings.session_id desc`, &w, Page{Limit: 64}, scanTranscript,
			func(t transcript) string { return timeCursor(t.StartedAt, t.SessionID) })
		if err != nil {
			return "", err
		}
		for _, t := range list {
			if err := x.take(&t); err != nil {
				return "", err
			}
			if x.full() {
				return "u." + timeCursor(t.StartedAt, t.SessionID), nil
			}
		}
		if more == "" {
			return "", nil
		}
		after = more
	}
}

// blocks reads what the grams leave of the blocks, from place on in the first.
func (x *search) blocks(ctx context.Context, from, place int64) (next string, err error) {
	left, err := x.candidates(ctx, from)
	if err != nil {
		return "", err
	}
	numbers := make([]int64, 0, len(left))
	for block := range left {
		numbers = append(numbers, block)
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	for _, block := range numbers {
		places := left[block]
		if block == from { // what was seen is above
			places = slices.DeleteFunc(places, func(p int64) bool { return p >= place })
		}
		// From the last to the first, as they ended.
		for len(places) > 0 {
			n := min(len(places), 128)
			part := places[len(places)-n:]
			places = places[:len(places)-n]
			var w where
			w.add("t.block = ?", block)
			marks := make([]string, n)
			for i, p := range part {
				marks[i] = w.param(p)
			}
			w.add("t.place in (" + strings.Join(marks, ", ") + ")")
			x.filter.add(&w)
			var list []transcript
			err := x.store.reader().rows(ctx, `select `+transcriptColumns+` from transcripts t join recordings on recordings.session_id = t.session_id`+
				w.String()+` order by t.place desc`, w.args, func(scan func(...any) error) error {
				var t transcript
				err := scanTranscript(&t, scan)
				list = append(list, t)
				return err
			})
			if err != nil {
				return "", err
			}
			for _, t := range list {
				if err := x.take(&t); err != nil {
					return "", err
				}
				if x.full() {
					return fmt.Sprintf("b.%d.%d", block, t.place), nil
				}
			}
		}
	}
	return "", nil
}

// candidates gives the places that have all grams of the query, by block.
func (x *search) candidates(ctx context.Context, from int64) (map[int64][]int64, error) {
	var left map[int64][]int64
	for _, gram := range queryGrams(x.query) {
		found := map[int64][]int64{}
		err := x.store.reader().rows(ctx, `select block, places from transcript_grams where gram = $1 and block <= $2`, []any{gram, from},
			func(scan func(...any) error) error {
				var block int64
				var packed []byte
				if err := scan(&block, &packed); err != nil {
					return err
				}
				var places []int64
				if left != nil {
					if places = left[block]; len(places) == 0 {
						return nil
					}
				}
				found[block] = intersect(packed, places, left == nil)
				return nil
			})
		if err != nil {
			return nil, err
		}
		left = found
	}
	return left, nil
}

// intersect gives the places of a packed list that are among places, or all.
func intersect(packed []byte, places []int64, all bool) (both []int64) {
	at, i := int64(0), 0
	for first := true; len(packed) > 0; first = false {
		d, n := binary.Uvarint(packed)
		if n <= 0 || d > blockSize {
			return both
		}
		packed = packed[n:]
		if at += int64(d); first {
			at = int64(d)
		}
		for i < len(places) && places[i] < at {
			i++
		}
		if all || i < len(places) && places[i] == at {
			both = append(both, at)
		}
	}
	return both
}

// take looks at a transcript.
func (x *search) take(t *transcript) error {
	x.read++
	text, err := inflate(t.text, t.size)
	if err != nil {
		return err
	}
	excerpt, at, ok := find(text, x.query)
	if !ok {
		return nil
	}
	if ok, err := x.may(t.Recording); err != nil || !ok {
		return err
	}
	x.hits = append(x.hits, TranscriptHit{Recording: t.Recording, Excerpt: excerpt, Offset: markBefore(t.marks, at)})
	return nil
}
