package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of a page.
const (
	defaultPage = 50
	maxPage     = 1000
)

// Page asks for one page of a list. Lists are paged by the last key seen and not by
// offset: rows that come or go between two pages never make another row appear twice
// or not at all.
type Page struct {
	// After is the cursor that came with the page before; empty asks for the first.
	// A cursor is not secret and not protected: one that goes to a client belongs
	// under a MAC.
	After string
	// Limit is the most rows to return: 0 means 50, more than 1000 means 1000.
	Limit int
}

func (p Page) limit() int {
	switch {
	case p.Limit <= 0:
		return defaultPage
	case p.Limit > maxPage:
		return maxPage
	}
	return p.Limit
}

// where collects conditions that must all hold, and their parameters.
type where struct {
	conditions []string
	args       []any
}

// add adds a condition in which each ? stands for the next of args.
func (w *where) add(condition string, args ...any) {
	for _, arg := range args {
		condition = strings.Replace(condition, "?", w.param(arg), 1)
	}
	w.conditions = append(w.conditions, condition)
}

// param adds a parameter and returns its placeholder.
func (w *where) param(arg any) string {
	w.args = append(w.args, arg)
	return "$" + strconv.Itoa(len(w.args))
}

// in adds the condition that column is one of values. No values means any.
func (w *where) in(column string, values []string) {
	if len(values) > 0 {
		w.conditions = append(w.conditions, column+" in ("+w.params(values)+")")
	}
}

// inBytes is in for a column of bytes.
func (w *where) inBytes(column string, values []string) {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = w.param([]byte(v))
	}
	if len(values) > 0 {
		w.conditions = append(w.conditions, column+" in ("+strings.Join(marks, ", ")+")")
	}
}

// prefix adds the condition that a column of bytes begins with prefix.
func (w *where) prefix(column, prefix string) {
	if prefix == "" {
		return
	}
	w.add(column+" >= ?", []byte(prefix))
	// The least that is above all that begin so.
	for end := []byte(prefix); len(end) > 0; end = end[:len(end)-1] {
		if end[len(end)-1]++; end[len(end)-1] != 0 {
			w.add(column+" < ?", end)
			return
		}
	}
}

// params adds parameters and returns their placeholders.
func (w *where) params(values []string) string {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = w.param(v)
	}
	return strings.Join(marks, ", ")
}

// before adds the condition that a time column is earlier than t, if t is set.
func (w *where) before(column string, t time.Time) {
	if !t.IsZero() {
		w.add(column+" < ?", t.UnixMilli())
	}
}

// notBefore adds the condition that a time column is not earlier than t, if t is set.
func (w *where) notBefore(column string, t time.Time) {
	if !t.IsZero() {
		w.add(column+" >= ?", t.UnixMilli())
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " where " + strings.Join(w.conditions, " and ")
}

// afterID adds the condition that continues a list in the order of its ids.
func (w *where) afterID(column string, p Page) {
	if p.After != "" {
		w.add(column+" > ?", p.After)
	}
}

// afterTime adds the condition that continues a list that is newest first.
func (w *where) afterTime(at, id string, p Page) error {
	if p.After == "" {
		return nil
	}
	n, key, err := cutTimeCursor(p.After)
	if err != nil {
		return err
	}
	w.add("("+at+", "+id+") < (?, ?)", n, key)
	return nil
}

// cutTimeCursor takes apart what timeCursor made.
func cutTimeCursor(cursor string) (ms int64, key string, err error) {
	text, key, ok := strings.Cut(cursor, ".")
	ms, err = strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0, "", ErrCursor
	}
	return ms, key, nil
}

// timeCursor is the cursor that [where.afterTime] reads.
func timeCursor(at time.Time, id string) string {
	return fmt.Sprintf("%d.%s", at.UnixMilli(), id)
}

// page runs a query and returns one page of its rows, with the cursor of the next
// page or "" if this is the last.
func page[T any](ctx context.Context, r runner, query string, w *where, p Page,
	scan func(*T, func(...any) error) error, cursor func(T) string) ([]T, string, error) {
	limit := p.limit()
	// One row more than wanted says whether there is another page.
	query += " limit " + strconv.Itoa(limit+1)
	var items []T
	err := r.rows(ctx, query, w.args, func(s func(...any) error) error {
		var item T
		if err := scan(&item, s); err != nil {
			return err
		}
		items = append(items, item)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if len(items) <= limit {
		return items, "", nil
	}
	items = items[:limit]
	return items, cursor(items[limit-1]), nil
}

// tagged adds the condition that the resource whose id is in column has a tag that
// meets condition. Parameters of condition are already added.
func (w *where) tagged(resourceType, column, condition string) {
	w.conditions = append(w.conditions, column+" in (select resource_id from tags where resource_type = "+w.param(resourceType)+
		" and "+condition+")")
}
