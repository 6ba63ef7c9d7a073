package auth

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// BenchmarkAuthorize decides for a user with 1,000 policies: what an API call costs from
// the caller to the answer, one query for the revision of the identities included.
func BenchmarkAuthorize(b *testing.B) {
	s := storetest.Open(b)
	ctx := b.Context()
	try := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	a, err := New(Config{Store: s, ARNs: stageARNs})
	try(err)
	user := store.User{ID: aliceID, Name: "alice", CreatedAt: now}
	try(s.CreateUser(ctx, user))
	e := store.Entity{Type: store.EntityUser, Name: "alice"}
	for i := range 1000 {
		statement := allow("ssm:StartSession ssm:SendCommand", fmt.Sprintf("arn:aws:ec2:us-west-2:111122223333:instance/i-%016x", i), "")
		try(s.PutInlinePolicy(ctx, e, fmt.Sprint("p", i), policyText(statement), 1, 1<<20))
	}
	try(s.PutInlinePolicy(ctx, e, "last", policyText(allow("ssm:StartSession", "*", "")), 1, 1<<20))
	ctx = WithPrincipal(ctx, a.UserPrincipal(user))
	target := Request{Action: "ssm:StartSession", Resource: instanceA, Context: map[string][]string{"ssm:resourceTag/Finance": {"WebServers"}}}
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if err := a.Authorize(ctx, target); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}
