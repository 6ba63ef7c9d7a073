package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"sekisho/internal/ssm"
)

// tagLogGroup is the resource type of log groups in the tags table.
const tagLogGroup = "LogGroup"

// LogGroup is a group of log streams. Times and sizes are those of its streams.
type LogGroup struct {
	ID            int64 // chosen by [Store.CreateLogGroup]
	Name          string
	KMSKeyID      string // ARN of the key that it is encrypted under; empty for none
	SealedKey     []byte // its data key, encrypted under that key
	Class         string
	RetentionDays int // 0 keeps events for ever
	CreatedAt     time.Time
	StoredBytes   int64
	Tags          []ssm.Tag // of [Store.LogGroup] only
}

// LogStream is a sequence of events from one source.
type LogStream struct {
	ID             int64 // chosen by [Store.CreateLogStream]
	GroupID        int64
	Name           string
	CreatedAt      time.Time
	FirstEventAt   time.Time
	LastEventAt    time.Time
	LastIngestedAt time.Time
	StoredBytes    int64
}

// newRowID draws an id for a row: positive, and not guessable by counting.
func newRowID() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// gone is the name that a deleted group or stream has until its events are removed. No
// name that can be asked for has a colon.
func gone(id int64) []byte { return []byte(":" + strconv.FormatInt(id, 10)) }

// CreateLogGroup adds a group with its tags. A name that is taken is [ErrExists].
func (s *Store) CreateLogGroup(ctx context.Context, g LogGroup) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := tx.exec(ctx, `
			insert into log_groups (id, name, kms_key_id, sealed_key, class, retention_days, created_at)
			values ($1, $2, $3, $4, $5, $6, $7)`,
			newRowID(), []byte(g.Name), g.KMSKeyID, orNil(g.SealedKey), g.Class, days(g.RetentionDays), millis(g.CreatedAt))
		if err != nil {
			return err
		}
		return putTags(ctx, tx, tagLogGroup, g.Name, g.Tags)
	})
	if err != nil {
		return fmt.Errorf("create log group: %w", err)
	}
	return nil
}

func orNil(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func days(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

const logGroupColumns = `id, name, kms_key_id, sealed_key, class, coalesce(retention_days, 0), created_at,
	(select coalesce(cast(sum(stored_bytes) as bigint), 0) from log_streams s where s.group_id = log_groups.id)`

func scanLogGroup(g *LogGroup, scan func(...any) error) error {
	return scan(&g.ID, asText(&g.Name), &g.KMSKeyID, &g.SealedKey, &g.Class, &g.RetentionDays, asTime(&g.CreatedAt), &g.StoredBytes)
}

// LogGroup returns a group with its tags.
func (s *Store) LogGroup(ctx context.Context, name string) (LogGroup, error) {
	var g LogGroup
	r := s.reader()
	err := r.rowOf(ctx, `select `+logGroupColumns+` from log_groups where name = $1 and deleted_at is null`, []any{[]byte(name)},
		func(scan func(...any) error) error { return scanLogGroup(&g, scan) })
	var tags map[string][]ssm.Tag
	if err == nil {
		tags, err = tagsOf(ctx, r, tagLogGroup, []string{name})
	}
	if err != nil {
		return LogGroup{}, fmt.Errorf("log group: %w", err)
	}
	g.Tags = tags[name]
	return g, nil
}

// LogGroupFilter chooses groups. Empty fields choose all.
type LogGroupFilter struct {
	Prefix string   // that names begin with
	Names  []string // that names are among
}

// LogGroups returns a page of groups in the order of their names, and the cursor of the
// next page.
func (s *Store) LogGroups(ctx context.Context, f LogGroupFilter, p Page) ([]LogGroup, string, error) {
	var w where
	w.add("deleted_at is null")
	w.prefix("name", f.Prefix)
	w.inBytes("name", f.Names)
	if p.After != "" {
		w.add("name > ?", []byte(p.After))
	}
	groups, next, err := page(ctx, s.reader(), `select `+logGroupColumns+` from log_groups`+w.String()+` order by name`,
		&w, p, scanLogGroup, func(g LogGroup) string { return g.Name })
	if err != nil {
		return nil, "", fmt.Errorf("list log groups: %w", err)
	}
	return groups, next, nil
}

// SetLogRetention sets for how many days a group keeps events; 0 is for ever.
func (s *Store) SetLogRetention(ctx context.Context, name string, retentionDays int) error {
	n, err := s.writer().exec(ctx, `update log_groups set retention_days = $2 where name = $1 and deleted_at is null`, []byte(name), days(retentionDays))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("set retention of log group: %w", err)
	}
	return nil
}

// DeleteLogGroup takes a group, its streams and tags away. The events go with
// [Store.RemoveDeletedLogs].
func (s *Store) DeleteLogGroup(ctx context.Context, name string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		var id int64
		err := tx.row(ctx, `update log_groups set deleted_at = $2 where name = $1 and deleted_at is null returning id`,
			[]any{[]byte(name), millis(at)}, &id)
		if err == nil {
			_, err = tx.exec(ctx, `update log_groups set name = $2 where id = $1`, id, gone(id))
		}
		if err == nil {
			_, err = tx.exec(ctx, `update log_streams set deleted_at = $2 where group_id = $1 and deleted_at is null`, id, millis(at))
		}
		if err != nil {
			return err
		}
		return deleteTags(ctx, tx, tagLogGroup, name)
	})
	if err != nil {
		return fmt.Errorf("delete log group: %w", err)
	}
	return nil
}

// TagLogGroup puts tags on a group; a tag with the same key is replaced. More than limit
// tags afterwards are a [LimitError].
func (s *Store) TagLogGroup(ctx context.Context, name string, tags []ssm.Tag, limit int) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockLogGroup(ctx, tx, name); err != nil {
			return err
		}
		for _, t := range tags {
			_, err := tx.exec(ctx, `delete from tags where resource_type = $1 and resource_id = $2 and key = $3`, tagLogGroup, name, t.Key)
			if err != nil {
				return err
			}
		}
		if err := putTags(ctx, tx, tagLogGroup, name, tags); err != nil {
			return err
		}
		var count int
		err := tx.row(ctx, `select count(*) from tags where resource_type = $1 and resource_id = $2`, []any{tagLogGroup, name}, &count)
		if err == nil && count > limit {
			err = &LimitError{Name: "TagsPerLogGroup", Limit: limit}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("tag log group: %w", err)
	}
	return nil
}

// UntagLogGroup takes tags from a group. Those that it does not have are none to take.
func (s *Store) UntagLogGroup(ctx context.Context, name string, keys []string) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockLogGroup(ctx, tx, name); err != nil || len(keys) == 0 {
			return err
		}
		var w where
		w.add("resource_type = ?", tagLogGroup)
		w.add("resource_id = ?", name)
		w.in("key", keys)
		_, err := tx.exec(ctx, `delete from tags`+w.String(), w.args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("untag log group: %w", err)
	}
	return nil
}

// lockLogGroup holds a group's row until the end of the transaction.
func lockLogGroup(ctx context.Context, tx runner, name string) error {
	n, err := tx.exec(ctx, `update log_groups set id = id where name = $1 and deleted_at is null`, []byte(name))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// CreateLogStream adds a stream to a group. A name that is taken is [ErrExists].
func (s *Store) CreateLogStream(ctx context.Context, st LogStream) error {
	err := s.inTx(ctx, func(tx runner) error {
		// Inside the transaction, for the group may go at any time.
		n, err := tx.exec(ctx, `update log_groups set id = id where id = $1 and deleted_at is null`, st.GroupID)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `insert into log_streams (id, group_id, name, stored_bytes, created_at) values ($1, $2, $3, 0, $4)`,
			newRowID(), st.GroupID, []byte(st.Name), millis(st.CreatedAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("create log stream: %w", err)
	}
	return nil
}

const logStreamColumns = `id, group_id, name, created_at, first_event_at, last_event_at, last_ingested_at, stored_bytes`

func scanLogStream(st *LogStream, scan func(...any) error) error {
	return scan(&st.ID, &st.GroupID, asText(&st.Name), asTime(&st.CreatedAt), asTime(&st.FirstEventAt), asTime(&st.LastEventAt),
		asTime(&st.LastIngestedAt), &st.StoredBytes)
}

// LogStream returns a stream of a group.
func (s *Store) LogStream(ctx context.Context, groupID int64, name string) (LogStream, error) {
	var st LogStream
	err := s.reader().rowOf(ctx, `select `+logStreamColumns+` from log_streams where group_id = $1 and name = $2 and deleted_at is null`,
		[]any{groupID, []byte(name)}, func(scan func(...any) error) error { return scanLogStream(&st, scan) })
	if err != nil {
		return LogStream{}, fmt.Errorf("log stream: %w", err)
	}
	return st, nil
}

// LogStreamFilter chooses streams of a group.
type LogStreamFilter struct {
	GroupID     int64
	Prefix      string // that names begin with
	ByLastEvent bool   // in the order of their last events, those without any first
	Descending  bool
}

// LogStreams returns a page of streams in the order of their names, or as f says, and
// the cursor of the next page.
func (s *Store) LogStreams(ctx context.Context, f LogStreamFilter, p Page) ([]LogStream, string, error) {
	var w where
	w.add("group_id = ?", f.GroupID)
	w.add("deleted_at is null")
	w.prefix("name", f.Prefix)
	order, direction, sign := "name", "", ">"
	if f.Descending {
		direction, sign = " desc", "<"
	}
	cursor := func(st LogStream) string { return st.Name }
	if f.ByLastEvent {
		order = "coalesce(last_event_at, 0)" + direction + ", name"
		cursor = func(st LogStream) string {
			at := st.LastEventAt
			if at.IsZero() {
				at = time.UnixMilli(0)
			}
			return timeCursor(at, st.Name)
		}
		if p.After != "" {
			at, name, err := cutTimeCursor(p.After)
			if err != nil {
				return nil, "", fmt.Errorf("list log streams: %w", err)
			}
			w.add("(coalesce(last_event_at, 0), name) "+sign+" (?, ?)", at, []byte(name))
		}
	} else if p.After != "" {
		w.add("name "+sign+" ?", []byte(p.After))
	}
	streams, next, err := page(ctx, s.reader(), `select `+logStreamColumns+` from log_streams`+w.String()+` order by `+order+direction,
		&w, p, scanLogStream, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("list log streams: %w", err)
	}
	return streams, next, nil
}

// DeleteLogStream takes a stream away. Its events go with [Store.RemoveDeletedLogs].
func (s *Store) DeleteLogStream(ctx context.Context, groupID int64, name string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		var id int64
		err := tx.row(ctx, `update log_streams set deleted_at = $3 where group_id = $1 and name = $2 and deleted_at is null returning id`,
			[]any{groupID, []byte(name), millis(at)}, &id)
		if err == nil {
			_, err = tx.exec(ctx, `update log_streams set name = $2 where id = $1`, id, gone(id))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete log stream: %w", err)
	}
	return nil
}
