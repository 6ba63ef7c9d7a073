package store

import (
	"context"
	"fmt"
	"time"

	"sekisho/internal/ssm"
)

// SetSessionStatus moves a live session to another live state, if it is in one of the
// states from (in any, if none is given), and says whether it did: of several callers
// at once exactly one is told so. An ended session never changes. An unknown session
// is [ErrNotFound]; [Store.EndSession] is the way to the final states.
func (s *Store) SetSessionStatus(ctx context.Context, id string, to ssm.SessionStatus, from ...ssm.SessionStatus) (bool, error) {
	if !to.Active() {
		return false, fmt.Errorf("set status of session %s to %s: %w", id, to, ErrInvalid)
	}
	var w where
	status := w.param(string(to))
	w.add("id = ?", id)
	w.add("ended_at is null")
	w.add("status <> ?", string(to))
	states := make([]string, len(from))
	for i, f := range from {
		states[i] = string(f)
	}
	w.in("status", states)
	changed, err := s.changeSession(ctx, id, `update sessions set status = `+status+w.String(), w.args...)
	if err != nil {
		return false, fmt.Errorf("set status of session %s to %s: %w", id, to, err)
	}
	return changed, nil
}

// EndSession ends a session with status SessionTerminated or SessionFailed and says
// whether this call did: later calls change nothing. Details, if not empty, replace
// what was stored. An ended session has no client token. An unknown session is
// [ErrNotFound].
func (s *Store) EndSession(ctx context.Context, id string, status ssm.SessionStatus, details string, at time.Time) (bool, error) {
	if status.Active() {
		return false, fmt.Errorf("end session %s with status %s: %w", id, status, ErrInvalid)
	}
	changed, err := s.changeSession(ctx, id, `
		update sessions set status = $2, details = coalesce(nullif($3, ''), details), ended_at = $4,
			client_token_hash = null, client_token_expires_at = null
		where id = $1 and ended_at is null`,
		id, string(status), details, at.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("end session %s: %w", id, err)
	}
	return changed, nil
}

// SetClientToken replaces the client's token of a live session and says whether it
// did: an ended session gets none. An unknown session is [ErrNotFound].
func (s *Store) SetClientToken(ctx context.Context, id string, hash []byte, expires time.Time) (bool, error) {
	changed, err := s.changeSession(ctx, id, `
		update sessions set client_token_hash = $2, client_token_expires_at = $3
		where id = $1 and ended_at is null`, id, hash, expires.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("set client token of session %s: %w", id, err)
	}
	return changed, nil
}

// RedeemClientToken voids the client's token of a live session and says whether hash was
// that token's and in time. Of two calls with one token only one succeeds.
func (s *Store) RedeemClientToken(ctx context.Context, id string, hash []byte, now time.Time) (bool, error) {
	n, err := s.writer().exec(ctx, `
		update sessions set client_token_hash = null, client_token_expires_at = null
		where id = $1 and client_token_hash = $2 and client_token_expires_at > $3 and ended_at is null`,
		id, hash, now.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("redeem client token of session %s: %w", id, err)
	}
	return n > 0, nil
}

// changeSession runs an update of one session and says whether it changed the row.
func (s *Store) changeSession(ctx context.Context, id, query string, args ...any) (bool, error) {
	n, err := s.writer().exec(ctx, query, args...)
	if err != nil || n > 0 {
		return n > 0, err
	}
	var one int
	return false, s.reader().row(ctx, `select 1 from sessions where id = $1`, []any{id}, &one)
}

// DeleteSessionsEndedBefore removes the history of sessions that ended before t and
// says how many there were.
func (s *Store) DeleteSessionsEndedBefore(ctx context.Context, t time.Time) (int64, error) {
	n, err := s.writer().exec(ctx, `delete from sessions where ended_at < $1`, t.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("delete ended sessions: %w", err)
	}
	return n, nil
}
