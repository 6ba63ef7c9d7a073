package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// Session is one session, live or ended.
type Session struct {
	ID           string
	NodeID       string
	OwnerARN     string
	OwnerUserID  string
	DocumentName string
	Reason       string
	Details      string
	Status       ssm.SessionStatus
	AccessType   string // empty or "Standard", "JustInTime"
	StartedAt    time.Time
	EndedAt      time.Time // zero for a live session
	IdleTimeout  time.Duration
	MaxDuration  time.Duration // zero means no limit
	Task         []byte        // what the node must run, in JSON; opaque here
	Starter      []byte        // what the starter was then, in JSON; opaque here

	// ClientTokenHash is the SHA-256 of the token with which the client may open its
	// data channel, ClientTokenExpires its end. An ended session has none.
	ClientTokenHash    []byte
	ClientTokenExpires time.Time
}

// Values of SessionFilter.State, as the API has them.
const (
	StateActive  = "Active"
	StateHistory = "History"
)

// SessionFilter narrows a list of sessions. All fields that are set must match; one
// field matches with any of its values.
type SessionFilter struct {
	State         string // StateActive, StateHistory, or empty for both
	IDs           []string
	NodeIDs       []string
	OwnerARNs     []string
	Statuses      []ssm.SessionStatus
	AccessTypes   []string
	StartedAfter  time.Time // started at this time or later
	StartedBefore time.Time // started before this time
}

// CreateSession adds a session together with the audit event of its start: both are
// stored or neither. A node that does not exist or is deregistered is [ErrNotFound].
func (s *Store) CreateSession(ctx context.Context, x Session, start AuditEvent) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := holdNode(ctx, tx, x.NodeID); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `
			insert into sessions (`+sessionColumns+`)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
			x.ID, x.NodeID, x.OwnerARN, x.OwnerUserID, x.DocumentName, x.Reason, x.Details, string(x.Status),
			x.AccessType, millis(x.StartedAt), millis(x.EndedAt), x.IdleTimeout.Milliseconds(), x.MaxDuration.Milliseconds(),
			x.Task, x.ClientTokenHash, millis(x.ClientTokenExpires), x.Starter)
		if err != nil {
			return err
		}
		return insertAudit(ctx, tx, start)
	})
	if err != nil {
		return fmt.Errorf("create session %s: %w", x.ID, err)
	}
	return nil
}

const sessionColumns = `id, node_id, owner_arn, owner_user_id, document_name, reason, details, status,
	access_type, started_at, ended_at, idle_timeout_ms, max_duration_ms, task,
	client_token_hash, client_token_expires_at, starter`

func scanSession(x *Session, scan func(...any) error) error {
	return scan(&x.ID, &x.NodeID, &x.OwnerARN, &x.OwnerUserID, &x.DocumentName, &x.Reason, &x.Details, &x.Status,
		&x.AccessType, asTime(&x.StartedAt), asTime(&x.EndedAt), asDuration(&x.IdleTimeout), asDuration(&x.MaxDuration),
		&x.Task, &x.ClientTokenHash, asTime(&x.ClientTokenExpires), &x.Starter)
}

// Session returns the session with that id, or [ErrNotFound].
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	var x Session
	err := s.reader().rows(ctx, `select `+sessionColumns+` from sessions where id = $1`, []any{id},
		func(scan func(...any) error) error { return scanSession(&x, scan) })
	if err == nil && x.ID == "" {
		err = ErrNotFound
	}
	if err != nil {
		return Session{}, fmt.Errorf("session %s: %w", id, err)
	}
	return x, nil
}

// Sessions returns a page of sessions, newest first, and the cursor of the next page
// ("" after the last). A cursor that is not one of this list's is [ErrCursor].
func (s *Store) Sessions(ctx context.Context, f SessionFilter, p Page) ([]Session, string, error) {
	var w where
	switch f.State {
	case StateActive:
		w.add("ended_at is null")
	case StateHistory:
		w.add("ended_at is not null")
	case "":
	default:
		return nil, "", fmt.Errorf("list sessions: state %q: %w", f.State, ErrInvalid)
	}
	w.in("id", f.IDs)
	w.in("node_id", f.NodeIDs)
	w.in("owner_arn", f.OwnerARNs)
	statuses := make([]string, len(f.Statuses))
	for i, status := range f.Statuses {
		statuses[i] = string(status)
	}
	w.in("status", statuses)
	w.in("access_type", f.AccessTypes)
	w.notBefore("started_at", f.StartedAfter)
	w.before("started_at", f.StartedBefore)
	err := w.afterTime("started_at", "id", p)
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	list, next, err := page(ctx, s.reader(),
		`select `+sessionColumns+` from sessions`+w.String()+` order by started_at desc, id desc`,
		&w, p, scanSession, func(x Session) string { return timeCursor(x.StartedAt, x.ID) })
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	return list, next, nil
}

// LiveSessions returns all sessions that have not ended, oldest first.
func (s *Store) LiveSessions(ctx context.Context) ([]Session, error) {
	return s.live(ctx, &where{})
}

// LiveSessionsOfNode returns the sessions of a node that have not ended, oldest first.
func (s *Store) LiveSessionsOfNode(ctx context.Context, nodeID string) ([]Session, error) {
	var w where
	w.add("node_id = ?", nodeID)
	return s.live(ctx, &w)
}

func (s *Store) live(ctx context.Context, w *where) ([]Session, error) {
	w.add("ended_at is null")
	var list []Session
	err := s.reader().rows(ctx, `select `+sessionColumns+` from sessions`+w.String()+` order by started_at, id`, w.args,
		func(scan func(...any) error) error {
			var x Session
			if err := scanSession(&x, scan); err != nil {
				return err
			}
			list = append(list, x)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("list live sessions: %w", err)
	}
	return list, nil
}
