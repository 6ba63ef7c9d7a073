package storetest

import (
	"testing"
	"time"

	"sekisho/internal/store"
)

// RunObjects runs the contract for buckets and objects on one kind of database.
func RunObjects(t *testing.T, db Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"Buckets", buckets},
		{"ObjectsRoundTrip", objectsRoundTrip},
		{"Uploads", objectUploads},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, OpenDSN(t, db.New(t)))
		})
	}
}

func bucket(t *testing.T, s *store.Store, name string) store.Bucket {
	t.Helper()
	must(t, s.CreateBucket(t.Context(), store.Bucket{Name: name, CreatedAt: t0}))
	b, err := s.Bucket(t.Context(), name)
	must(t, err)
	return b
}

// blob reserves a blob.
func blob(t *testing.T, s *store.Store) store.Segment {
	t.Helper()
	id, err := s.ReserveBlob(t.Context(), t0)
	must(t, err)
	return store.Segment{Blob: id, Size: 3}
}

func unused(t *testing.T, s *store.Store) []int64 {
	t.Helper()
	ids, err := s.UnusedBlobs(t.Context(), t0.Add(time.Minute), 100)
	must(t, err)
	return ids
}

func object(b store.Bucket, key string, segments ...store.Segment) store.Object {
	return store.Object{BucketID: b.ID, Key: key, Segments: segments, Size: 3, ETag: "e", Headers: map[string]string{"content-type": "text/plain"},
		SealedKey: []byte{1, 0, 2}, ModifiedAt: t0}
}

func buckets(t *testing.T, s *store.Store) {
	ctx := t.Context()
	b := bucket(t, s, "b")
	wantErr(t, s.CreateBucket(ctx, store.Bucket{Name: "b", CreatedAt: t0}), store.ErrExists)
	must(t, s.SetBucketKey(ctx, "b", "arn"))
	got, err := s.Bucket(ctx, "b")
	must(t, err)
	b.KMSKeyID = "arn"
	equal(t, "bucket", got, b)
	_, err = s.Bucket(ctx, "none")
	wantErr(t, err, store.ErrNotFound)
	must(t, s.PutObject(ctx, object(b, "k", blob(t, s)), false))
	wantErr(t, s.DeleteBucket(ctx, "b", t0), store.ErrNotEmpty)
	must(t, s.DeleteObject(ctx, b.ID, "k", t0))
	must(t, s.DeleteBucket(ctx, "b", t0))
	wantErr(t, s.DeleteBucket(ctx, "b", t0), store.ErrNotFound)
	wantErr(t, s.PutObject(ctx, object(b, "k", blob(t, s)), false), store.ErrNotFound)
	list, err := s.Buckets(ctx)
	must(t, err)
	equal(t, "buckets", len(list), 0)
}

func objectsRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	b := bucket(t, s, "b")
	first := blob(t, s)
	equal(t, "a blob nobody names", unused(t, s), []int64{first.Blob})
	want := object(b, "日本/\xff\x00", first)
	must(t, s.PutObject(ctx, want, true))
	wantErr(t, s.PutObject(ctx, want, true), store.ErrExists)
	equal(t, "while it is named", unused(t, s), []int64(nil))
	got, err := s.Object(ctx, b.ID, want.Key)
	must(t, err)
	equal(t, "object", got, want)
	second := blob(t, s)
	must(t, s.PutObject(ctx, object(b, want.Key, second), false))
	equal(t, "the old one", unused(t, s), []int64{first.Blob})
	must(t, s.ForgetBlob(ctx, first.Blob))
	must(t, s.DeleteObject(ctx, b.ID, want.Key, t0))
	must(t, s.DeleteObject(ctx, b.ID, want.Key, t0))
	equal(t, "the deleted one", unused(t, s), []int64{second.Blob})
	_, err = s.Object(ctx, b.ID, want.Key)
	wantErr(t, err, store.ErrNotFound)

	for _, key := range []string{"b", "a/2", "a/1", "B", "a", "é"} {
		must(t, s.PutObject(ctx, object(b, key, blob(t, s)), false))
	}
	keys := func(f store.ObjectFilter) (keys []string) {
		t.Helper()
		f.BucketID = b.ID
		list, err := s.Objects(ctx, f)
		must(t, err)
		for _, o := range list {
			keys = append(keys, o.Key)
		}
		return keys
	}
	equal(t, "all", keys(store.ObjectFilter{}), []string{"B", "a", "a/1", "a/2", "b", "é"})
	equal(t, "prefix", keys(store.ObjectFilter{Prefix: "a/", After: "a/1"}), []string{"a/2"})
	equal(t, "from", keys(store.ObjectFilter{From: "a/2", Limit: 2}), []string{"a/2", "b"})
}

func objectUploads(t *testing.T, s *store.Store) {
	ctx := t.Context()
	b := bucket(t, s, "b")
	u := store.ObjectUpload{ID: "u", BucketID: b.ID, Key: "k", Headers: map[string]string{"a": "b"}, SealedKey: []byte{1}, CreatedAt: t0}
	must(t, s.CreateUpload(ctx, u))
	got, err := s.Upload(ctx, b.ID, "k", "u")
	must(t, err)
	equal(t, "upload", got, u)
	_, err = s.Upload(ctx, b.ID, "other", "u")
	wantErr(t, err, store.ErrNotFound)
	one, again, two := blob(t, s), blob(t, s), blob(t, s)
	for _, p := range []store.ObjectPart{{Number: 2, Segment: two}, {Number: 1, Segment: one}, {Number: 1, Segment: again}} {
		p.MD5, p.CreatedAt = []byte{7}, t0
		must(t, s.PutPart(ctx, "u", p))
	}
	equal(t, "replaced", unused(t, s), []int64{one.Blob})
	must(t, s.ForgetBlob(ctx, one.Blob))
	parts, err := s.Parts(ctx, "u", 0, 10)
	must(t, err)
	equal(t, "parts", len(parts), 2)
	equal(t, "first part", parts[0].Segment, again)
	parts, err = s.Parts(ctx, "u", 1, 10)
	must(t, err)
	equal(t, "after the first", parts[0].Number, 2)
	must(t, s.CompleteUpload(ctx, "u", object(b, "k", again)))
	equal(t, "a part that is not in the object", unused(t, s), []int64{two.Blob})
	must(t, s.ForgetBlob(ctx, two.Blob))
	wantErr(t, s.PutPart(ctx, "u", store.ObjectPart{Number: 1, Segment: blob(t, s), MD5: []byte{7}, CreatedAt: t0}), store.ErrNotFound)
	u.ID = "v"
	must(t, s.CreateUpload(ctx, u))
	must(t, s.AbortUploadsBefore(ctx, t0, t0))
	must(t, s.PutPart(ctx, "v", store.ObjectPart{Number: 1, Segment: blob(t, s), MD5: []byte{7}, CreatedAt: t0}))
	must(t, s.AbortUploadsBefore(ctx, t0.Add(time.Second), t0))
	wantErr(t, s.AbortUpload(ctx, "v", t0), store.ErrNotFound)
	equal(t, "what is left of both", len(unused(t, s)), 2)
}
