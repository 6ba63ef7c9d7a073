package control

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
	"sekisho/internal/trail"
)

// BenchmarkDocuments10000 asks for documents among 10,000, through the operations as a
// user with a policy may, and says the 99th percentile. The aim is 20 ms.
func BenchmarkDocuments10000(b *testing.B) {
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) { benchmarkDocuments(b, db.New(b)) })
	}
}

func benchmarkDocuments(b *testing.B, dsn string) {
	const documents = 10000
	st := storetest.OpenDSN(b, dsn)
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	f, err := fabric.Open(fabric.Config{})
	must(err)
	b.Cleanup(f.Close)
	a, err := auth.New(auth.Config{Store: st, ARNs: arns})
	must(err)
	events, err := trail.New(trail.Config{Store: st, ARNs: arns})
	must(err)
	b.Cleanup(func() { must(events.Close(context.Background())) })
	s, err := New(Config{
		Store: st, Auth: a, Fabric: f, ARNs: arns, PublicURL: "https://sekisho.test:8443", Event: events.Event, Recorded: trail.Recorded,
	})
	must(err)
	b.Cleanup(s.Close)
	user := store.User{ID: "AIDAAAAAAAAAAAAAAAAAA", Name: "alice", CreatedAt: time.Now()}
	must(st.CreateUser(ctx, user))
	must(st.PutInlinePolicy(ctx, store.Entity{Type: store.EntityUser, Name: "alice"}, "documents",
		`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:*Document*", "Resource": "*"}}`, 100, 2048))
	ctx = auth.WithPrincipal(ctx, a.UserPrincipal(user))

	name := func(i int) string { return fmt.Sprintf("Team%02d-Document-%05d", i%40, i) }
	for i := range documents {
		d := store.Document{Name: name(i), Type: ssm.DocumentTypeSession, CreatedAt: time.Now(),
			Tags: []ssm.Tag{{Key: "team", Value: fmt.Sprint(i % 40)}, {Key: "rare", Value: fmt.Sprint(i % 5000)}}}
		must(st.CreateDocument(ctx, d, store.DocumentVersion{
			Hash: fmt.Sprintf("%064d", i), Format: "JSON", SchemaVersion: "1.0", PlatformTypes: []string{"Windows", "Linux", "MacOS"},
			TargetType: "/AWS::SSM::ManagedInstance", CreatedAt: time.Now(), Parameters: "[]",
			Content: fmt.Sprintf(`{"schemaVersion":"1.0","description":"document %d","sessionType":"Standard_Stream","inputs":{"idleSessionTimeout":"30"}}`, i),
		}, documents))
	}
	// PostgreSQL does it by itself within a minute.
	_, err = storetest.Raw(b, dsn).ExecContext(ctx, "analyze")
	must(err)
	list := func(in ssm.ListDocumentsInput, want int) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			out, err := s.ListDocuments(ctx, &in)
			if err == nil && len(out.DocumentIdentifiers) != want {
				err = fmt.Errorf("%d documents, want %d", len(out.DocumentIdentifiers), want)
			}
			return err
		}
	}
	fifty := 50
	filter := func(key string, values ...string) ssm.ListDocumentsInput {
		return ssm.ListDocumentsInput{MaxResults: &fifty, Filters: []ssm.DocumentKeyValuesFilter{{Key: key, Values: values}}}
	}
	// The last page of a walk through all of them.
	deep := filter("Owner", "Self")
	token := func() string {
		page := deep
		last := ""
		for {
			out, err := s.ListDocuments(ctx, &page)
			must(err)
			if out.NextToken == "" {
				return last
			}
			last, page.NextToken = out.NextToken, out.NextToken
		}
	}()
	deep.NextToken = token
	for _, x := range []struct {
		name string
		ask  func(ctx context.Context, i int) error
	}{
		{"list/first page", list(filter("Owner", "Self"), 50)},
		{"list/last page", list(deep, 50)},
		{"list/name prefix", list(filter("Name", "Team39-Document-09"), 25)},
		{"list/platform", list(filter("PlatformTypes", "Linux"), 50)},
		{"list/tag of many", list(filter("tag:team", "39"), 50)},
		{"list/tag of two", list(filter("tag:rare", "4999"), 2)},
		{"list/keyword of one", list(filter("SearchKeyword", "document-09999"), 1)},
		{"list/nothing", list(filter("SearchKeyword", "not there"), 0)},
		{"describe", func(ctx context.Context, i int) error {
			_, err := s.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: name(i * 7919 % documents)})
			return err
		}},
		{"get", func(ctx context.Context, i int) error {
			_, err := s.GetDocument(ctx, &ssm.GetDocumentInput{Name: name(i * 7919 % documents)})
			return err
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			took := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				if err := x.ask(ctx, i); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
