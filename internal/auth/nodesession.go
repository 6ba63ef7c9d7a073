package auth

import (
	"context"
	"fmt"

	"sekisho/internal/ssm"
)

// OwnSession refuses a managed node that would write what is of another node's session:
// its log, which is named by the session's id. The role of the nodes is one for many of
// them, so that no policy can say this. For every other caller, and every name that is no
// session's, it is nil.
func (a *Auth) OwnSession(ctx context.Context, sessionID string) error {
	p, ok := From(ctx)
	if !ok || p.NodeID == "" || sessionID == "" {
		return nil
	}
	s, err := a.cfg.Store.Session(ctx, sessionID)
	known, err := found(err)
	if err != nil {
		return fmt.Errorf("look up the session of a log: %w", err)
	}
	if known && s.NodeID != p.NodeID {
		return ssm.Errorf(ssm.CodeAccessDenied, "The log of session %s belongs to another managed node.", sessionID)
	}
	return nil
}
