package control

import (
	"context"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/store"
)

// auditEvent describes what the caller of ctx does.
func (s *Server) auditEvent(ctx context.Context, action string, resources ...string) store.AuditEvent {
	p, _ := auth.From(ctx)
	info := awsapi.Info(ctx)
	return store.AuditEvent{
		At:        s.cfg.Now(),
		Principal: p.ARN,
		Action:    action,
		Resources: resources,
		SourceIP:  info.SourceIP,
		UserAgent: info.UserAgent,
		RequestID: info.RequestID,
	}
}

// record adds what the caller did to the audit trail. It is stored also when the
// caller has gone meanwhile: the deed is done.
func (s *Server) record(ctx context.Context, action string, resources ...string) error {
	return s.cfg.Store.AppendAudit(context.WithoutCancel(ctx), s.auditEvent(ctx, action, resources...))
}

// auditTimeout bounds the writing of an event that no answer waits for.
const auditTimeout = 5 * time.Second

// Observe records refused calls of proved callers in the audit trail; it is made for
// [awsapi.Config]. What an operation did, the operation itself has recorded. Calls of
// nobody are not recorded: anybody could fill the database with them.
func (s *Server) Observe(ctx context.Context, r awsapi.Result) {
	if _, proved := auth.From(ctx); !proved || r.Code == "" || r.Operation == "" {
		return
	}
	event := s.auditEvent(ctx, r.Service+":"+r.Operation)
	event.RequestID, event.SourceIP, event.UserAgent = r.RequestID, r.SourceIP, r.UserAgent
	event.ErrorCode = r.Code
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := s.cfg.Store.AppendAudit(ctx, event); err != nil {
		s.cfg.Logger.Error("audit event not stored", "request_id", r.RequestID, "error", err)
	}
}
