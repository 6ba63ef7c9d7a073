package trail

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Export writes the events from since to before until, oldest first, as JSON lines. A
// zero time is no limit. It holds a few hundred events at a time, and what is stored
// meanwhile may be in it or not.
func Export(ctx context.Context, s *store.Store, w io.Writer, since, until time.Time) error {
	deployment, err := s.Deployment(ctx)
	if err != nil {
		return fmt.Errorf("export audit events: %w", err)
	}
	arns := ssm.ARNs{Region: deployment.Region, Account: deployment.AccountID}
	out := bufio.NewWriter(w)
	err = s.WalkAudit(ctx, store.AuditFilter{After: since, Before: until}, func(e store.AuditEvent) error {
		recordOf(&e, arns)
		out.WriteString(e.Record)
		return out.WriteByte('\n') // fails if what was before it did
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("export audit events: %w", err)
	}
	return nil
}
