package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/store"
)

// RunAudit runs the contract of the audit trail on one kind of database.
func RunAudit(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"AuditRoundTrip", auditRoundTrip},
		{"AuditLookups", auditLookups},
		{"AuditLookupPages", auditLookupPages},
		{"AuditsAreAllOrNone", auditsAreAllOrNone},
		{"AuditBatchesOfAnySize", auditBatchesOfAnySize},
		{"AuditWalk", auditWalk},
		{"AuditIsDeleted", auditIsDeleted},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

func auditRoundTrip(t *testing.T, s *store.Store) {
	e := store.AuditEvent{
		ID: "e1", At: t0, Principal: "arn:aws:iam::123456789012:user/alice", Username: "alice", AccessKeyID: "AKIA1",
		Action: "iam:CreateUser", ReadOnly: true, Resources: []string{"arn:aws:iam::123456789012:user/bob"},
		SourceIP: "2001:db8::1", UserAgent: "aws-cli/2", RequestID: "r1", ErrorCode: "EntityAlreadyExists",
		Record: `{"eventVersion":"1.11","関所":"'; drop table audit_events; --"}`,
	}
	must(t, s.AppendAudits(t.Context(), []store.AuditEvent{e}))
	list, next, err := s.AuditEvents(t.Context(), store.AuditFilter{}, store.Page{})
	must(t, err)
	equal(t, "cursor", next, "")
	equal(t, "events", list, []store.AuditEvent{e})
}

// lookupEvents are events of which each differs from the others in something.
func lookupEvents() []store.AuditEvent {
	user := func(name string) []store.AuditResource {
		return []store.AuditResource{{Type: "AWS::IAM::User", Name: name}}
	}
	return []store.AuditEvent{
		{ID: "e1", At: t0, Action: "iam:CreateUser", Username: "alice", AccessKeyID: "AKIA1", Named: user("bob"),
			Resources: []string{"arn:aws:iam::123456789012:user/bob"}},
		{ID: "e2", At: t0.Add(time.Second), Action: "iam:GetUser", Username: "alice", AccessKeyID: "AKIA2", ReadOnly: true, Named: user("bob"),
			Resources: []string{"arn:aws:iam::123456789012:user/b_b", "arn:aws:iam::123456789012:user/a%\"\\"}},
		// Two resources of one type, and one that is named twice.
		{ID: "e3", At: t0.Add(2 * time.Second), Action: "ssm:StartSession", Username: "bob", AccessKeyID: "ASIA1", Named: []store.AuditResource{
			{Type: "AWS::SSM::Session", Name: "bob-1"}, {Type: "AWS::SSM::Session", Name: "bob-2"}, {Type: "AWS::SSM::Document", Name: "bob-1"}, {Name: "bob"}}},
		{ID: "e4", At: t0.Add(3 * time.Second), Action: "ssm:DescribeSessions", Username: "Alice", AccessKeyID: "AKIA1", ReadOnly: true},
	}
}

func auditLookups(t *testing.T, s *store.Store) {
	must(t, s.AppendAudits(t.Context(), lookupEvents()))
	yes, no := true, false
	for name, test := range map[string]struct {
		filter store.AuditFilter
		want   []string
	}{
		"all":           {store.AuditFilter{}, []string{"e4", "e3", "e2", "e1"}},
		"id":            {store.AuditFilter{IDs: []string{"e2"}}, []string{"e2"}},
		"name":          {store.AuditFilter{Names: []string{"StartSession"}}, []string{"e3"}},
		"source":        {store.AuditFilter{Sources: []string{"iam.amazonaws.com"}}, []string{"e2", "e1"}},
		"username":      {store.AuditFilter{Usernames: []string{"alice"}}, []string{"e2", "e1"}},
		"access key":    {store.AuditFilter{AccessKeyIDs: []string{"AKIA1"}}, []string{"e4", "e1"}},
		"read only":     {store.AuditFilter{ReadOnly: &yes}, []string{"e4", "e2"}},
		"writes":        {store.AuditFilter{ReadOnly: &no}, []string{"e3", "e1"}},
		"resource name": {store.AuditFilter{ResourceName: "bob"}, []string{"e3", "e2", "e1"}},
		"named twice":   {store.AuditFilter{ResourceName: "bob-1"}, []string{"e3"}},
		"resource type": {store.AuditFilter{ResourceType: "AWS::SSM::Session"}, []string{"e3"}},
		"arn":           {store.AuditFilter{ResourceName: "bob", ResourceARN: "arn:aws:iam::123456789012:user/bob"}, []string{"e1"}},
		"arn, literal":  {store.AuditFilter{ResourceName: "bob", ResourceARN: "arn:aws:iam::123456789012:user/b_b"}, []string{"e2"}},
		"arn, odd":      {store.AuditFilter{ResourceARN: "arn:aws:iam::123456789012:user/a%\"\\"}, []string{"e2"}},
		"arn, part":     {store.AuditFilter{ResourceARN: "arn:aws:iam::123456789012:user/bo"}, nil},
		"time":          {store.AuditFilter{After: t0.Add(time.Second), Before: t0.Add(3 * time.Second)}, []string{"e3", "e2"}},
		"name, time":    {store.AuditFilter{ResourceName: "bob", After: t0.Add(time.Second), Before: t0.Add(2 * time.Second)}, []string{"e2"}},
		"two":           {store.AuditFilter{Sources: []string{"iam.amazonaws.com"}, ReadOnly: &yes}, []string{"e2"}},
		"none":          {store.AuditFilter{Usernames: []string{"' or 1=1 --"}}, nil},
	} {
		list, _, err := s.AuditEvents(t.Context(), test.filter, store.Page{})
		must(t, err)
		var got []string
		for _, e := range list {
			got = append(got, e.ID)
		}
		equal(t, name, got, test.want)
	}
	_, _, err := s.AuditEvents(t.Context(), store.AuditFilter{ResourceName: "a", ResourceType: "b"}, store.Page{})
	wantErr(t, err, store.ErrInvalid)
	wantErr(t, s.AppendAudit(t.Context(), store.AuditEvent{ID: "e1", At: t0, Action: "x"}), store.ErrExists)
}

// auditLookupPages reads by a resource's name, with events that come meanwhile.
func auditLookupPages(t *testing.T, s *store.Store) {
	named := []store.AuditResource{{Type: "T", Name: "n"}}
	add := func(id string, at time.Time) {
		must(t, s.AppendAudit(t.Context(), store.AuditEvent{ID: id, At: at, Action: "ssm:X", Named: named}))
		must(t, s.AppendAudit(t.Context(), store.AuditEvent{ID: "other-" + id, At: at, Action: "ssm:X"}))
	}
	for i := range 7 {
		add(fmt.Sprint("e", i), t0) // all of one time
	}
	var got []string
	p := store.Page{Limit: 3}
	for {
		list, next, err := s.AuditEvents(t.Context(), store.AuditFilter{ResourceName: "n"}, p)
		must(t, err)
		for _, e := range list {
			got = append(got, e.ID)
		}
		if next == "" {
			break
		}
		add("new-"+next, t0.Add(time.Hour))
		p.After = next
	}
	equal(t, "events", got, []string{"e6", "e5", "e4", "e3", "e2", "e1", "e0"})
}

func auditsAreAllOrNone(t *testing.T, s *store.Store) {
	events := append(lookupEvents(), store.AuditEvent{ID: "e1", At: t0, Action: "x"})
	wantErr(t, s.AppendAudits(t.Context(), events), store.ErrExists)
	list, _, err := s.AuditEvents(t.Context(), store.AuditFilter{}, store.Page{})
	must(t, err)
	equal(t, "events", len(list), 0)
	must(t, s.AppendAudits(t.Context(), nil))
}

func auditBatchesOfAnySize(t *testing.T, s *store.Store) {
	total := 0
	for _, n := range []int{1, 63, 64, 65, 300} {
		events := make([]store.AuditEvent, n)
		for i := range events {
			events[i] = store.AuditEvent{At: t0, Action: "ssm:X", Named: []store.AuditResource{{Type: "T", Name: "a"}, {Type: "T", Name: "b"}}}
		}
		must(t, s.AppendAudits(t.Context(), events))
		total += n
	}
	list, _, err := s.AuditEvents(t.Context(), store.AuditFilter{ResourceType: "T"}, store.Page{Limit: 1000})
	must(t, err)
	equal(t, "events", len(list), total)
}

func auditWalk(t *testing.T, s *store.Store) {
	var events []store.AuditEvent
	var want []string
	for i := range 1001 {
		id := fmt.Sprintf("e%04d", i)
		events = append(events, store.AuditEvent{ID: id, At: t0.Add(time.Duration(i/10) * time.Second), Action: "ssm:X"})
		if i >= 10 && i < 1000 {
			want = append(want, id)
		}
	}
	slices.Reverse(events)
	must(t, s.AppendAudits(t.Context(), events))
	var got []string
	filter := store.AuditFilter{After: t0.Add(time.Second), Before: t0.Add(100 * time.Second)}
	must(t, s.WalkAudit(t.Context(), filter, func(e store.AuditEvent) error {
		got = append(got, e.ID)
		return nil
	}))
	equal(t, "events, oldest first", got, want)
	stop := errors.New("stop")
	count := 0
	err := s.WalkAudit(t.Context(), store.AuditFilter{}, func(store.AuditEvent) error {
		count++
		return stop
	})
	wantErr(t, err, stop)
	equal(t, "calls", count, 1)
}

func auditIsDeleted(t *testing.T, s *store.Store) {
	events := make([]store.AuditEvent, 4100)
	for i := range events {
		events[i] = store.AuditEvent{At: t0, Action: "ssm:X", Named: []store.AuditResource{{Type: "T", Name: "a"}}}
	}
	must(t, s.AppendAudits(t.Context(), events))
	last := store.AuditEvent{ID: "last", At: t0.Add(time.Minute), Action: "ssm:X", Named: []store.AuditResource{{Type: "T", Name: "a"}}}
	must(t, s.AppendAudit(t.Context(), last))
	n, err := s.DeleteAuditBefore(t.Context(), t0.Add(time.Minute))
	must(t, err)
	equal(t, "deleted", n, int64(4100))
	list, _, err := s.AuditEvents(t.Context(), store.AuditFilter{ResourceName: "a"}, store.Page{})
	must(t, err)
	equal(t, "left", len(list), 1)
	// What is deleted leaves nothing behind: the id may be used again.
	n, err = s.DeleteAuditBefore(t.Context(), t0.Add(time.Hour))
	must(t, err)
	equal(t, "deleted", n, int64(1))
	must(t, s.AppendAudit(t.Context(), last))
}
