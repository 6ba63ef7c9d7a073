package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// BenchmarkCreateSession measures the one write of StartSession: a session and its
// audit event in a transaction that is on the disk when the call returns. On
// PostgreSQL run it with scripts/with-postgres --durable.
func BenchmarkCreateSession(b *testing.B) {
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := storetest.OpenDSN(b, db.New(b))
			start := sessionStarter(b, s)
			b.Run("one", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					start(b)
				}
			})
			b.Run("parallel", func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						start(b)
					}
				})
			})
		})
	}
}

// BenchmarkAccessKey measures the query that every signed request makes.
func BenchmarkAccessKey(b *testing.B) {
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := storetest.OpenDSN(b, db.New(b))
			now := time.Now()
			if err := s.CreateUser(b.Context(), store.User{ID: "AIDA1", Name: "alice", CreatedAt: now}); err != nil {
				b.Fatal(err)
			}
			if err := s.CreateAccessKey(b.Context(), store.AccessKey{ID: "AKIA1", UserID: "AIDA1", Secret: "x", CreatedAt: now}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.AccessKey(b.Context(), "AKIA1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sessionStarter registers a node and returns a function that starts a session on it.
func sessionStarter(tb testing.TB, s *store.Store) func(testing.TB) {
	now := time.Now()
	a := store.Activation{ID: ssm.NewActivationID(), CodeHash: make([]byte, 32), IamRole: "r", RegistrationLimit: 1,
		ExpirationDate: now.Add(time.Hour), CreatedAt: now}
	if err := s.CreateActivation(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
	n, err := s.RegisterNode(tb.Context(), a.ID, a.CodeHash, store.Node{PublicKey: []byte{1}}, now)
	if err != nil {
		tb.Fatal(err)
	}
	var count atomic.Int64
	return func(tb testing.TB) {
		x := store.Session{
			ID: fmt.Sprintf("alice-%d", count.Add(1)), NodeID: n.ID, OwnerARN: "arn:aws:iam::123456789012:user/alice",
			DocumentName: ssm.DefaultSessionDocument, Status: ssm.SessionConnecting, StartedAt: now,
			Task: make([]byte, 1024), ClientTokenHash: make([]byte, 32), ClientTokenExpires: now,
		}
		err := s.CreateSession(tb.Context(), x, store.AuditEvent{At: now, Principal: x.OwnerARN, Action: "ssm:StartSession",
			Resources: []string{"arn:aws:ssm:local-1:123456789012:managed-instance/" + n.ID}})
		if err != nil {
			tb.Error(err)
		}
	}
}
