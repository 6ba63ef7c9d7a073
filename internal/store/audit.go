package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// AuditEvent is one line of the audit trail: who did, or tried, what to what.
type AuditEvent struct {
	ID          string // made when it is stored, if empty
	At          time.Time
	Principal   string // ARN; empty for an unsigned request
	Username    string // of a user; the session's name of a role session
	AccessKeyID string
	Action      string // "ssm:StartSession"
	ReadOnly    bool
	Resources   []string // ARNs
	SourceIP    string
	UserAgent   string
	RequestID   string
	ErrorCode   string // empty for success
	Record      string // the whole event in JSON; empty if there is none

	// Named is what the event is found by with AuditFilter.ResourceName and
	// ResourceType. It is not read back: Record tells.
	Named []AuditResource
}

// AuditResource is a resource as people look for it: without its ARN.
type AuditResource struct {
	Type string // "AWS::IAM::User"
	Name string // "alice"
}

// auditSource gives the columns event_source and event_name of an action.
func auditSource(action string) (source, name string) {
	service, name, ok := strings.Cut(action, ":")
	if !ok {
		return "", action
	}
	return service + ".amazonaws.com", name
}

// AppendAudit adds an event to the audit trail.
func (s *Store) AppendAudit(ctx context.Context, e AuditEvent) error {
	return s.AppendAudits(ctx, []AuditEvent{e})
}

// AppendAudits adds events to the audit trail, all or none.
func (s *Store) AppendAudits(ctx context.Context, events []AuditEvent) error {
	err := s.inTx(ctx, func(tx runner) error { return insertAudit(ctx, tx, events...) })
	if err != nil {
		return fmt.Errorf("append audit events: %w", err)
	}
	return nil
}

// auditRows is how many rows one statement adds. It has fewer parameters than either
// database allows (32766 and 65535).
const auditRows = 64

func insertAudit(ctx context.Context, r runner, events ...AuditEvent) error {
	var rows, resources [][]any
	for _, e := range events {
		if e.ID == "" {
			// Version 7 orders the events of one millisecond as this process made them.
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make audit event id: %w", err)
			}
			e.ID = id.String()
		}
		source, name := auditSource(e.Action)
		rows = append(rows, []any{e.ID, millis(e.At), e.Principal, e.Action, list(e.Resources), e.SourceIP, e.UserAgent,
			e.RequestID, e.ErrorCode, source, name, e.Username, e.AccessKeyID, e.ReadOnly, e.Record})
		seen := make(map[[2]string]bool, 2*len(e.Named))
		for _, n := range e.Named {
			for _, pair := range [][2]string{{"name", n.Name}, {"type", n.Type}} {
				if pair[1] != "" && !seen[pair] {
					seen[pair] = true
					resources = append(resources, []any{pair[0], pair[1], millis(e.At), e.ID})
				}
			}
		}
	}
	err := insertRows(ctx, r, `audit_events (`+auditColumns+`, event_source, event_name, username, access_key_id, read_only, record)`, rows)
	if err != nil {
		return err
	}
	return insertRows(ctx, r, `audit_resources (attribute, value, at, event_id)`, resources)
}

// insertRows adds rows to a table with as few statements as their number allows.
func insertRows(ctx context.Context, r runner, into string, rows [][]any) error {
	for len(rows) > 0 {
		n := min(len(rows), auditRows)
		var w where
		marks := make([]string, n)
		for i, row := range rows[:n] {
			columns := make([]string, len(row))
			for j, value := range row {
				columns[j] = w.param(value)
			}
			marks[i] = "(" + strings.Join(columns, ", ") + ")"
		}
		if _, err := r.exec(ctx, `insert into `+into+` values `+strings.Join(marks, ", "), w.args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

const auditColumns = `id, at, principal, action, resources, source_ip, user_agent, request_id, error_code`

func scanAudit(e *AuditEvent, scan func(...any) error) error {
	return scan(&e.ID, asTime(&e.At), &e.Principal, &e.Action, asList(&e.Resources), &e.SourceIP, &e.UserAgent,
		&e.RequestID, &e.ErrorCode, &e.Username, &e.AccessKeyID, &e.ReadOnly, &e.Record)
}

// AuditFilter narrows the audit trail. All fields that are set must match; one field
// matches with any of its values.
type AuditFilter struct {
	IDs          []string
	Principals   []string
	Actions      []string
	Sources      []string // "ssm.amazonaws.com"
	Names        []string // "StartSession"
	Usernames    []string
	AccessKeyIDs []string
	RequestIDs   []string
	ReadOnly     *bool
	// At most one of ResourceName and ResourceType may be set.
	ResourceName string // of AuditEvent.Named
	ResourceType string
	ResourceARN  string    // of AuditEvent.Resources; slow unless ResourceName is there too
	After        time.Time // at this time or later
	Before       time.Time // before this time
}

// where gives the tables and the conditions of a query. The columns that order it are
// those of the table whose index finds the rows.
func (f *AuditFilter) where() (w where, from, at, id string, err error) {
	from, at, id = "audit_events e", "e.at", "e.id"
	if f.ResourceName != "" && f.ResourceType != "" {
		return w, "", "", "", fmt.Errorf("%w: resource name and resource type together", ErrInvalid)
	}
	if f.ResourceName != "" || f.ResourceType != "" {
		from, at, id = "audit_resources r join audit_events e on e.id = r.event_id", "r.at", "r.event_id"
		attribute, value := "name", f.ResourceName
		if value == "" {
			attribute, value = "type", f.ResourceType
		}
		w.add("r.attribute = ?", attribute)
		w.add("r.value = ?", value)
	}
	w.in("e.id", f.IDs)
	w.in("e.principal", f.Principals)
	w.in("e.action", f.Actions)
	w.in("e.event_source", f.Sources)
	w.in("e.event_name", f.Names)
	w.in("e.username", f.Usernames)
	w.in("e.access_key_id", f.AccessKeyIDs)
	w.in("e.request_id", f.RequestIDs)
	if f.ReadOnly != nil {
		w.add("e.read_only = ?", *f.ReadOnly)
	}
	if f.ResourceARN != "" {
		w.add(`e.resources like ? escape '!'`, likeMember(f.ResourceARN))
	}
	w.notBefore(at, f.After)
	w.before(at, f.Before)
	return w, from, at, id, nil
}

// likeMember is the pattern of a list, as [list] stores it, with that member.
func likeMember(member string) string {
	text := list([]string{member})
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text[1:len(text)-1]) + "%"
}

func (f *AuditFilter) query(from string, w *where) string {
	columns := "e." + strings.ReplaceAll(auditColumns, ", ", ", e.") + ", e.username, e.access_key_id, e.read_only, e.record"
	return "select " + columns + " from " + from + w.String()
}

// AuditEvents returns a page of the audit trail, newest first, and the cursor of the
// next page ("" after the last). A cursor that is not one of this list's is
// [ErrCursor].
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter, p Page) ([]AuditEvent, string, error) {
	w, from, at, id, err := f.where()
	if err == nil {
		err = w.afterTime(at, id, p)
	}
	if err != nil {
		return nil, "", fmt.Errorf("list audit events: %w", err)
	}
	events, next, err := page(ctx, s.reader(), f.query(from, &w)+" order by "+at+" desc, "+id+" desc", &w, p, scanAudit,
		func(e AuditEvent) string { return timeCursor(e.At, e.ID) })
	if err != nil {
		return nil, "", fmt.Errorf("list audit events: %w", err)
	}
	return events, next, nil
}

// auditWalkPage is how many events [Store.WalkAudit] holds at a time. Records are at
// most 64 KiB, and mostly one or two.
const auditWalkPage = 200

// WalkAudit calls f for the events that a filter leaves, oldest first, until f fails.
// It reads page by page, so that it neither holds them all nor keeps the database in one
// state for as long as it takes.
func (s *Store) WalkAudit(ctx context.Context, filter AuditFilter, f func(AuditEvent) error) error {
	var last *AuditEvent
	for {
		w, from, at, id, err := filter.where()
		if err != nil {
			return fmt.Errorf("walk audit events: %w", err)
		}
		if last != nil {
			w.add("("+at+", "+id+") > (?, ?)", last.At.UnixMilli(), last.ID)
		}
		events, next, err := page(ctx, s.reader(), filter.query(from, &w)+" order by "+at+", "+id, &w, Page{Limit: auditWalkPage},
			scanAudit, func(AuditEvent) string { return "more" })
		if err != nil {
			return fmt.Errorf("walk audit events: %w", err)
		}
		for i := range events {
			if err := f(events[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		last = &events[len(events)-1]
	}
}

// auditDeleteRows bounds one transaction of [Store.DeleteAuditBefore], so that it does
// not keep other writers waiting.
const auditDeleteRows = 2000

// DeleteAuditBefore removes the events before a time and says how many there were.
// It takes several transactions: what it removed before it failed stays removed.
func (s *Store) DeleteAuditBefore(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		n, err := s.writer().exec(ctx, fmt.Sprintf(`
			delete from audit_events where id in (
				select id from audit_events where at < $1 order by at, id limit %d)`, auditDeleteRows), before.UnixMilli())
		total += n
		if err != nil {
			return total, fmt.Errorf("delete audit events: %w", err)
		}
		if n < auditDeleteRows {
			return total, nil
		}
	}
}
