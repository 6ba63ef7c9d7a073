package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func describe(state string) *awsssm.DescribeSessionsInput {
	return &awsssm.DescribeSessionsInput{State: types.SessionState(state)}
}

// history puts sessions into the store: number i started i hours after base.
func (w *world) history(base time.Time, nodeID string, statuses ...ssm.SessionStatus) {
	w.t.Helper()
	for i, status := range statuses {
		owner := "alice"
		if i%2 == 1 {
			owner = "bob"
		}
		at := base.Add(time.Duration(i) * time.Hour)
		id := fmt.Sprintf("%s-%d", owner, i)
		must(w.t, w.store.CreateSession(w.t.Context(), store.Session{
			ID: id, NodeID: nodeID, OwnerARN: "arn:aws:iam::123456789012:user/" + owner, DocumentName: ssm.DefaultSessionDocument,
			Status: ssm.SessionConnecting, AccessType: "Standard", StartedAt: at, IdleTimeout: time.Minute, MaxDuration: 90 * time.Minute, Task: []byte("{}"),
		}, store.AuditEvent{At: at, Action: "ssm:StartSession"}))
		var err error
		if status.Active() {
			_, err = w.store.SetSessionStatus(w.t.Context(), id, status)
		} else {
			_, err = w.store.EndSession(w.t.Context(), id, status, "why", at.Add(time.Minute))
		}
		must(w.t, err)
	}
}

func TestDescribeSessionsFilters(t *testing.T) {
	w := newWorld(t)
	one, two := w.node(), w.node()
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	w.history(base, one, ssm.SessionConnecting, ssm.SessionConnected, ssm.SessionDisconnected, ssm.SessionTerminating, ssm.SessionTerminated, ssm.SessionFailed)
	must(t, w.store.CreateSession(t.Context(), store.Session{
		ID: "carol-6", NodeID: two, OwnerARN: "arn:aws:sts::123456789012:assumed-role/R/carol", Status: ssm.SessionConnecting,
		AccessType: "JustInTime", StartedAt: base.Add(6 * time.Hour), Task: []byte("{}"),
	}, store.AuditEvent{At: base, Action: "ssm:StartSession"}))
	f := func(keysAndValues ...string) []ssm.SessionFilter {
		var list []ssm.SessionFilter
		for pair := range slices.Chunk(keysAndValues, 2) {
			list = append(list, ssm.SessionFilter{Key: pair[0], Value: pair[1]})
		}
		return list
	}
	for _, c := range []struct {
		state   string
		filters []ssm.SessionFilter
		want    []string // newest first
	}{
		{"Active", nil, []string{"carol-6", "bob-3", "alice-2", "bob-1", "alice-0"}},
		{"History", nil, []string{"bob-5", "alice-4"}},
		{"Active", f("Target", two), []string{"carol-6"}},
		{"Active", f("Target", one, "Target", two, "Owner", "arn:aws:iam::123456789012:user/bob"), []string{"bob-3", "bob-1"}},
		{"Active", f("Owner", "arn:aws:sts::123456789012:assumed-role/R/carol"), []string{"carol-6"}},
		{"Active", f("Status", "Connected"), []string{"bob-1"}},
		{"Active", f("Status", "Connected", "Status", "Terminating"), []string{"bob-3", "bob-1"}},
		{"Active", f("Status", "Terminated"), nil},
		{"History", f("Status", "Failed"), []string{"bob-5"}},
		{"Active", f("SessionId", "alice-2"), []string{"alice-2"}},
		{"History", f("SessionId", "alice-2"), nil},
		{"Active", f("AccessType", "JustInTime"), []string{"carol-6"}},
		{"Active", f("AccessType", "Standard", "InvokedAfter", "2026-05-01T02:00:00Z"), []string{"bob-3", "alice-2"}},
		{"Active", f("InvokedBefore", "2026-05-01T02:00:00Z"), []string{"bob-1", "alice-0"}},
		{"Active", f("InvokedAfter", "2026-05-01T01:00:00Z", "InvokedBefore", "2026-05-01T03:00:00Z"), []string{"alice-2", "bob-1"}},
		{"Active", f("InvokedAfter", "2026-05-01T10:00:00+09:00", "InvokedAfter", "2026-05-01T05:00:00Z"), []string{"carol-6", "bob-3", "alice-2", "bob-1"}},
	} {
		out, err := w.server.DescribeSessions(w.as("alice"), &ssm.DescribeSessionsInput{State: c.state, Filters: c.filters})
		must(t, err)
		var got []string
		for _, s := range out.Sessions {
			got = append(got, s.SessionID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", c.state, c.filters, diff)
		}
	}
	for _, bad := range [][]ssm.SessionFilter{
		f("InvokedAfter", "yesterday"), f("InvokedBefore", "2026-05-01"), f("InvokedAfter", "0001-01-01T00:00:00Z"),
		f("Status", "Active"), f("AccessType", "none"), f("Colour", "red"),
	} {
		_, err := w.server.DescribeSessions(w.as("alice"), &ssm.DescribeSessionsInput{State: "Active", Filters: bad})
		wantError(t, err, ssm.CodeInvalidFilterKey, "")
	}
}

func TestDescribeSessionsMembers(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	base := time.Date(2026, 5, 1, 0, 0, 0, 123e6, time.UTC)
	w.history(base, node, ssm.SessionConnected, ssm.SessionTerminated)
	client := w.client("alice")
	live, err := client.DescribeSessions(t.Context(), describe("Active"))
	must(t, err)
	ended, err := client.DescribeSessions(t.Context(), describe("History"))
	must(t, err)
	if len(live.Sessions) != 1 || len(ended.Sessions) != 1 {
		t.Fatalf("%d live and %d ended sessions", len(live.Sessions), len(ended.Sessions))
	}
	if s := live.Sessions[0]; s.EndDate != nil || s.Details != nil || s.OutputUrl != nil || s.Status != types.SessionStatusConnected ||
		!s.StartDate.Equal(base) || aws.ToString(s.MaxSessionDuration) != "90" || aws.ToString(s.Target) != node ||
		aws.ToString(s.DocumentName) != "SSM-SessionManagerRunShell" || aws.ToString(s.Owner) != "arn:aws:iam::123456789012:user/alice" {
		t.Errorf("live session = %+v", s)
	}
	if s := ended.Sessions[0]; !s.EndDate.Equal(base.Add(61*time.Minute)) || aws.ToString(s.Details) != "why" ||
		s.OutputUrl == nil || aws.ToString(s.OutputUrl.S3OutputUrl) != "" || s.AccessType != types.AccessTypeStandard {
		t.Errorf("ended session = %+v", s)
	}
	if live.NextToken != nil {
		t.Errorf("the last page has a token")
	}
}

func TestSessionsComeInPages(t *testing.T) {
	w := newWorld(t)
	node := w.node()
	statuses := make([]ssm.SessionStatus, 7)
	for i := range statuses {
		statuses[i] = ssm.SessionConnected
	}
	w.history(time.Now().Add(-10*time.Hour), node, statuses...)
	in := describe("Active")
	in.MaxResults = aws.Int32(3)
	in.Filters = []types.SessionFilter{{Key: types.SessionFilterKeyTargetId, Value: &node}}
	var got []string
	sizes := []int{}
	pages := awsssm.NewDescribeSessionsPaginator(w.client("alice"), in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		sizes = append(sizes, len(page.Sessions))
		for _, s := range page.Sessions {
			got = append(got, aws.ToString(s.SessionId))
		}
	}
	if diff := cmp.Diff([]int{3, 3, 1}, sizes); diff != "" {
		t.Errorf("page sizes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alice-6", "bob-5", "alice-4", "bob-3", "alice-2", "bob-1", "alice-0"}, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}
