package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

func TestDocumentContract(t *testing.T) {
	for _, db := range storetest.Databases() {
		t.Run(db.Name, func(t *testing.T) { storetest.RunDocuments(t, db) })
	}
}

// BenchmarkDocuments lists and filters 10,000 documents of 4 KiB and two versions, and
// reports the time that 99 of 100 pages take at the most.
func BenchmarkDocuments(b *testing.B) {
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := storetest.OpenDSN(b, db.New(b))
			fillDocuments(b, s, 10_000)
			for _, c := range []struct {
				name   string
				filter store.DocumentFilter
				page   store.Page
			}{
				{"first page", store.DocumentFilter{}, store.Page{Limit: 50}},
				{"page in the middle", store.DocumentFilter{}, store.Page{Limit: 50, After: "team-7-5000"}},
				{"name prefix", store.DocumentFilter{NamePrefixes: []string{"team-9-99"}}, store.Page{Limit: 50}},
				{"platform type", store.DocumentFilter{PlatformTypes: []string{"MacOS"}}, store.Page{Limit: 50}},
				{"document type", store.DocumentFilter{Types: []string{"Command"}}, store.Page{Limit: 50}},
				{"tag", store.DocumentFilter{Tags: map[string][]string{"serial": {"9999"}}}, store.Page{Limit: 50}},
				{"keyword that none has", store.DocumentFilter{Keywords: []string{"nothing"}}, store.Page{Limit: 50}},
				{"everything that none has", store.DocumentFilter{NamePrefixes: []string{"t"}, Keywords: []string{"team"},
					PlatformTypes: []string{"Linux"}, Tags: map[string][]string{"serial": {"none"}}}, store.Page{Limit: 50}},
			} {
				b.Run(c.name, func(b *testing.B) {
					var took []time.Duration
					for b.Loop() {
						start := time.Now()
						if _, _, err := s.Documents(b.Context(), c.filter, c.page); err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(start))
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
				})
			}
		})
	}
}

func fillDocuments(tb testing.TB, s *store.Store, n int) {
	tb.Helper()
	text := make([]byte, 4096)
	for i := range text {
		text[i] = 'x'
	}
	for i := range n {
		name := fmt.Sprintf("team-%d-%d", i%10, i)
		v := store.DocumentVersion{Document: name, Hash: fmt.Sprintf("%064x", 2*i), Format: "JSON", SchemaVersion: "1.0",
			PlatformTypes: []string{"Windows", "Linux", "MacOS"}[:2+i%2], CreatedAt: time.Now(), Content: string(text)}
		d := store.Document{Name: name, Type: "Session", CreatedAt: v.CreatedAt,
			Tags: []ssm.Tag{{Key: "team", Value: fmt.Sprint(i % 10)}, {Key: "serial", Value: fmt.Sprint(i)}}}
		if err := s.CreateDocument(tb.Context(), d, v, n); err != nil {
			tb.Fatal(err)
		}
		v.Hash = fmt.Sprintf("%064x", 2*i+1)
		if _, err := s.AddDocumentVersion(tb.Context(), v, 2); err != nil {
			tb.Fatal(err)
		}
	}
}
