package control

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// DescribeSessions lists sessions, newest first. Whoever may call it sees all of them
// (api.md §6.5).
func (s *Server) DescribeSessions(ctx context.Context, in *ssm.DescribeSessionsInput) (*ssm.DescribeSessionsOutput, error) {
	const operation = "ssm:DescribeSessions"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	parameters := []any{in.State, in.Filters}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	filter, err := sessionFilter(in.State, in.Filters)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Store.Sessions(ctx, filter, store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if errors.Is(err, store.ErrCursor) {
		return nil, errPageToken
	}
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, x := range list {
		ids[i] = x.ID
	}
	recorded, err := s.cfg.Store.RecordedSessions(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := &ssm.DescribeSessionsOutput{Sessions: make([]ssm.Session, 0, len(list))}
	for _, x := range list {
		shown := s.describeSession(x)
		if recorded[x.ID] {
			// The logs have members of their own; this is the one that is left.
			shown.Details = strings.TrimSpace(shown.Details + " Recording: " + s.cfg.PublicURL + "/#/recordings/" + x.ID)
		}
		out.Sessions = append(out.Sessions, shown)
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

// sessionFilter reads the filters of DescribeSessions. Different keys must all match,
// one key with any of its values.
func sessionFilter(state string, filters []ssm.SessionFilter) (store.SessionFilter, error) {
	f := store.SessionFilter{State: state}
	for _, given := range filters {
		switch given.Key {
		case "Target":
			f.NodeIDs = append(f.NodeIDs, given.Value)
		case "Owner":
			f.OwnerARNs = append(f.OwnerARNs, given.Value)
		case "SessionId":
			f.IDs = append(f.IDs, given.Value)
		case "Status":
			status := ssm.SessionStatus(given.Value)
			if !slices.Contains(sessionStatuses, status) {
				return f, errSessionFilter
			}
			f.Statuses = append(f.Statuses, status)
		case "AccessType":
			if given.Value != accessStandard && given.Value != "JustInTime" {
				return f, errSessionFilter
			}
			f.AccessTypes = append(f.AccessTypes, given.Value)
		case "InvokedAfter", "InvokedBefore":
			at, err := time.Parse(time.RFC3339, given.Value)
			if err != nil || at.IsZero() {
				return f, errSessionFilter
			}
			// Of several times the widest counts: any of them may match.
			if given.Key == "InvokedAfter" {
				if f.StartedAfter.IsZero() || at.Before(f.StartedAfter) {
					f.StartedAfter = at
				}
			} else if at.After(f.StartedBefore) {
				f.StartedBefore = at
			}
		default:
			return f, errSessionFilter
		}
	}
	return f, nil
}

// errSessionFilter has no text at the service either (api.md §1.2).
var errSessionFilter = ssm.Errorf(ssm.CodeInvalidFilterKey, "")

var sessionStatuses = []ssm.SessionStatus{
	ssm.SessionConnecting, ssm.SessionConnected, ssm.SessionDisconnected,
	ssm.SessionTerminating, ssm.SessionTerminated, ssm.SessionFailed,
}

func (s *Server) describeSession(x store.Session) ssm.Session {
	out := ssm.Session{
		SessionID:    x.ID,
		Target:       x.NodeID,
		Status:       x.Status,
		StartDate:    ssm.At(x.StartedAt),
		EndDate:      ssm.At(x.EndedAt),
		DocumentName: x.DocumentName,
		Owner:        x.OwnerARN,
		Reason:       x.Reason,
		Details:      x.Details,
		AccessType:   x.AccessType,
	}
	if x.MaxDuration > 0 {
		out.MaxSessionDuration = strconv.Itoa(int(x.MaxDuration / time.Minute))
	}
	if !x.Status.Active() {
		out.OutputURL = s.outputURL(x)
	}
	return out
}
