package ssm

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time is a timestamp as AWS JSON 1.1 has it: epoch seconds as a number with up to
// three decimals. In requests a number, a number in a string and ISO 8601 text are
// accepted (api.md §1.2).
type Time struct{ time.Time }

// At makes a *Time, or nil for the zero time, so that absent members stay absent.
func At(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// MarshalJSON writes epoch seconds with up to three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(nil, ms/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

// maxEpoch bounds what a number may say: the year 9999.
const maxEpoch = 253402300799

// UnmarshalJSON reads a number, a number in a string, or ISO 8601 text.
func (t *Time) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
			if at, err := time.Parse(layout, text); err == nil {
				t.Time = at.UTC()
				return nil
			}
		}
	}
	sec, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(sec) || math.Abs(sec) > maxEpoch {
		return fmt.Errorf("%q is not a timestamp", text)
	}
	t.Time = time.UnixMilli(int64(math.Round(sec * 1000))).UTC()
	return nil
}
