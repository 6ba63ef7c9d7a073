package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// millis is how a time is stored: Unix milliseconds, null for the zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// scanFunc lets a function take a column's value.
type scanFunc func(src any) error

func (f scanFunc) Scan(src any) error { return f(src) }

// asTime scans what [millis] stored.
func asTime(t *time.Time) sql.Scanner {
	return scanFunc(func(src any) error {
		switch v := src.(type) {
		case nil:
			*t = time.Time{}
		case int64:
			*t = time.UnixMilli(v).UTC()
		default:
			return fmt.Errorf("a time column holds %T", src)
		}
		return nil
	})
}

// asDuration scans a duration stored as milliseconds.
func asDuration(d *time.Duration) sql.Scanner {
	return scanFunc(func(src any) error {
		v, ok := src.(int64)
		if !ok {
			return fmt.Errorf("a duration column holds %T", src)
		}
		*d = time.Duration(v) * time.Millisecond
		return nil
	})
}

// asText scans text that may be null.
func asText(s *string) sql.Scanner {
	return scanFunc(func(src any) error {
		switch v := src.(type) {
		case nil:
			*s = ""
		case string:
			*s = v
		case []byte:
			*s = string(v)
		default:
			return fmt.Errorf("a text column holds %T", src)
		}
		return nil
	})
}

// list is how a list of texts is stored: a JSON array.
func list(values []string) string { return jsonList(values) }

// tagList is how tags are stored that are never searched: a JSON array.
func tagList(tags []ssm.Tag) string { return jsonList(tags) }

func jsonList[T any](values []T) string {
	if len(values) == 0 {
		return "[]"
	}
	b, err := json.Marshal(values)
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(b)
}

// textMap is how texts by name are stored that are never searched: a JSON object.
func textMap(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(b)
}

// asTextMap scans what [textMap] stored; an empty map is nil.
func asTextMap(m *map[string]string) sql.Scanner {
	return scanFunc(func(src any) error {
		var text string
		if err := asText(&text).Scan(src); err != nil {
			return err
		}
		*m = nil
		if text == "" || text == "{}" {
			return nil
		}
		return json.Unmarshal([]byte(text), m)
	})
}

// asList scans what [list] stored; an empty list is nil.
func asList(values *[]string) sql.Scanner { return asJSONList(values) }

// asTagList scans what [tagList] stored; an empty list is nil.
func asTagList(tags *[]ssm.Tag) sql.Scanner { return asJSONList(tags) }

func asJSONList[T any](values *[]T) sql.Scanner {
	return scanFunc(func(src any) error {
		var text string
		if err := asText(&text).Scan(src); err != nil {
			return err
		}
		*values = nil
		if text == "" || text == "[]" {
			return nil
		}
		return json.Unmarshal([]byte(text), values)
	})
}
