package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// AuditEvent is one line of the audit trail: who did, or tried, what to what.
type AuditEvent struct {
	ID        string // made when it is stored, if empty
	At        time.Time
	Principal string // ARN; empty for an unsigned request
	Action    string // "ssm:StartSession"
	Resources []string
	SourceIP  string
	UserAgent string
	RequestID string
	ErrorCode string // empty for success
}

// AuditFilter narrows the audit trail. All fields that are set must match; one field
// matches with any of its values.
type AuditFilter struct {
	Principals []string
	Actions    []string
	RequestIDs []string
	After      time.Time // at this time or later
	Before     time.Time // before this time
}

// AppendAudit adds an event to the audit trail.
func (s *Store) AppendAudit(ctx context.Context, e AuditEvent) error {
	if err := insertAudit(ctx, s.writer(), e); err != nil {
		return fmt.Errorf("append audit event: %w", err)
	}
	return nil
}

func insertAudit(ctx context.Context, r runner, e AuditEvent) error {
	if e.ID == "" {
		// Version 7 orders the events of one millisecond as this process made them.
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make audit event id: %w", err)
		}
		e.ID = id.String()
	}
	_, err := r.exec(ctx, `
		insert into audit_events (id, at, principal, action, resources, source_ip, user_agent, request_id, error_code)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.ID, millis(e.At), e.Principal, e.Action, list(e.Resources), e.SourceIP, e.UserAgent, e.RequestID, e.ErrorCode)
	return err
}

// AuditEvents returns a page of the audit trail, newest first, and the cursor of the
// next page ("" after the last). A cursor that is not one of this list's is
// [ErrCursor].
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter, p Page) ([]AuditEvent, string, error) {
	var w where
	w.in("principal", f.Principals)
	w.in("action", f.Actions)
	w.in("request_id", f.RequestIDs)
	w.notBefore("at", f.After)
	w.before("at", f.Before)
	err := w.afterTime("at", "id", p)
	if err != nil {
		return nil, "", fmt.Errorf("list audit events: %w", err)
	}
	events, next, err := page(ctx, s.reader(), `
		select id, at, principal, action, resources, source_ip, user_agent, request_id, error_code
		from audit_events`+w.String()+` order by at desc, id desc`, &w, p,
		func(e *AuditEvent, scan func(...any) error) error {
			return scan(&e.ID, asTime(&e.At), &e.Principal, &e.Action, asList(&e.Resources),
				&e.SourceIP, &e.UserAgent, &e.RequestID, &e.ErrorCode)
		},
		func(e AuditEvent) string { return timeCursor(e.At, e.ID) })
	if err != nil {
		return nil, "", fmt.Errorf("list audit events: %w", err)
	}
	return events, next, nil
}
