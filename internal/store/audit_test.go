package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

func TestAuditContract(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.RunAudit(t, db) })
	}
}

// envAuditEvents names the environment variable with the number of events that the
// benchmarks of the audit trail run on; 20,000 if it is not set. The figures in the
// documentation are of 1,000,000.
const envAuditEvents = "SEKISHO_BENCH_AUDIT_EVENTS"

// BenchmarkAuditLookup measures one page of each look-up in a large trail, and its end:
// what is looked for is the oldest event but for the last cases.
func BenchmarkAuditLookup(b *testing.B) {
	count := 20_000
	if text := os.Getenv(envAuditEvents); text != "" {
		if _, err := fmt.Sscan(text, &count); err != nil {
			b.Fatalf("%s: %v", envAuditEvents, err)
		}
	}
	yes, no := true, false
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := storetest.OpenDSN(b, db.New(b))
			start := fillAudit(b, s, count)
			for _, test := range []struct {
				name   string
				filter store.AuditFilter
			}{
				{"EventId", store.AuditFilter{IDs: []string{"rare"}}},
				{"EventName", store.AuditFilter{Names: []string{"Rare"}}},
				{"Username", store.AuditFilter{Usernames: []string{"rare"}}},
				{"AccessKeyId", store.AuditFilter{AccessKeyIDs: []string{"rare"}}},
				{"EventSource", store.AuditFilter{Sources: []string{"rare.amazonaws.com"}}},
				{"ResourceName", store.AuditFilter{ResourceName: "rare"}},
				{"ResourceType", store.AuditFilter{ResourceType: "rare"}},
				{"ReadOnlyTrue", store.AuditFilter{ReadOnly: &yes}},
				{"ReadOnlyFalse", store.AuditFilter{ReadOnly: &no}},
				{"CommonName", store.AuditFilter{Names: []string{"UpdateInstanceInformation"}}},
				{"CommonType", store.AuditFilter{ResourceType: "AWS::SSM::ManagedInstance"}},
				{"Time", store.AuditFilter{After: start.Add(time.Second), Before: start.Add(time.Minute)}},
				{"NameAndTime", store.AuditFilter{Names: []string{"UpdateInstanceInformation"}, Before: start.Add(time.Minute)}},
			} {
				b.Run(test.name, func(b *testing.B) {
					for b.Loop() {
						list, _, err := s.AuditEvents(b.Context(), test.filter, store.Page{Limit: 50})
						if err != nil || len(list) == 0 {
							b.Fatal(len(list), err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkAppendAudits measures group commit: one operation is one batch.
func BenchmarkAppendAudits(b *testing.B) {
	for _, db := range storetest.Databases() {
		for _, size := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", db.Name, size), func(b *testing.B) {
				s := storetest.OpenDSN(b, db.New(b))
				n := 0
				for b.Loop() {
					batch := make([]store.AuditEvent, size)
					for i := range batch {
						batch[i] = benchEvent(n, time.UnixMilli(int64(1_767_323_045_678+n)))
						n++
					}
					if err := s.AppendAudits(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func benchEvent(i int, at time.Time) store.AuditEvent {
	node := fmt.Sprintf("mi-%017d", i%1000)
	action, readOnly := "ssm:UpdateInstanceInformation", false
	if i%3 == 0 {
		action, readOnly = "ssm:DescribeSessions", true
	}
	return store.AuditEvent{
		At: at, Action: action, ReadOnly: readOnly, Username: node, AccessKeyID: fmt.Sprintf("ASIA%016d", i%1000),
		Principal: "arn:aws:sts::123456789012:assumed-role/Nodes/" + node, Resources: []string{"arn:aws:ssm:local-1:123456789012:managed-instance/" + node},
		SourceIP: "192.0.2.1", UserAgent: "agent", RequestID: fmt.Sprint(i), Record: strings.Repeat("x", 1000),
		Named: []store.AuditResource{{Type: "AWS::SSM::ManagedInstance", Name: node}},
	}
}

// fillAudit stores one rare event and then the others, a millisecond apart.
func fillAudit(b *testing.B, s *store.Store, count int) time.Time {
	start := time.UnixMilli(1_767_323_045_678)
	rare := benchEvent(0, start.Add(2*time.Second))
	rare.ID, rare.Action, rare.Username, rare.AccessKeyID = "rare", "rare:Rare", "rare", "rare"
	rare.Named = []store.AuditResource{{Type: "rare", Name: "rare"}}
	batch := []store.AuditEvent{rare}
	for i := range count {
		batch = append(batch, benchEvent(i, start.Add(time.Duration(i)*time.Millisecond)))
		if len(batch) >= 5000 || i == count-1 {
			if err := s.AppendAudits(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	return start
}
