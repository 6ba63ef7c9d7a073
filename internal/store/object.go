package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotEmpty says that a bucket has objects.
var ErrNotEmpty = errors.New("not empty")

// Bucket is a place for objects.
type Bucket struct {
	ID        int64 // chosen by [Store.CreateBucket]
	Name      string
	KMSKeyID  string // ARN of the key that new objects are encrypted under; empty for the deployment's own
	CreatedAt time.Time
}

// Segment is a part of an object that is in one blob.
type Segment struct {
	Blob int64 `json:"b"`
	Size int64 `json:"s"` // bytes of the object
}

// Object is what a bucket has under a key.
type Object struct {
	BucketID   int64
	Key        string
	Segments   []Segment
	Size       int64
	ETag       string            // without quotation marks
	Headers    map[string]string // that came with it and go with it, by their names in lower case
	KMSKeyID   string
	SealedKey  []byte // of the blobs; opaque here
	ModifiedAt time.Time
}

// CreateBucket adds a bucket. A name that is taken is [ErrExists].
func (s *Store) CreateBucket(ctx context.Context, b Bucket) error {
	_, err := s.writer().exec(ctx, `insert into buckets (id, name, kms_key_id, created_at) values ($1, $2, $3, $4)`,
		newRowID(), b.Name, b.KMSKeyID, millis(b.CreatedAt))
	if err != nil {
		return fmt.Errorf("create bucket: %w", err)
	}
	return nil
}

const bucketColumns = `id, name, kms_key_id, created_at`

func scanBucket(b *Bucket, scan func(...any) error) error {
	return scan(&b.ID, &b.Name, &b.KMSKeyID, asTime(&b.CreatedAt))
}

// Bucket returns a bucket.
func (s *Store) Bucket(ctx context.Context, name string) (Bucket, error) {
	var b Bucket
	err := s.reader().rowOf(ctx, `select `+bucketColumns+` from buckets where name = $1`, []any{name},
		func(scan func(...any) error) error { return scanBucket(&b, scan) })
	if err != nil {
		return Bucket{}, fmt.Errorf("bucket: %w", err)
	}
	return b, nil
}

// Buckets returns all buckets, in no order that can be relied on.
func (s *Store) Buckets(ctx context.Context) ([]Bucket, error) {
	var list []Bucket
	err := s.reader().rows(ctx, `select `+bucketColumns+` from buckets`, nil, func(scan func(...any) error) error {
		var b Bucket
		err := scanBucket(&b, scan)
		list = append(list, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	return list, nil
}

// SetBucketKey sets the key that new objects are encrypted under.
func (s *Store) SetBucketKey(ctx context.Context, name, kmsKeyID string) error {
	n, err := s.writer().exec(ctx, `update buckets set kms_key_id = $2 where name = $1`, name, kmsKeyID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("set key of bucket: %w", err)
	}
	return nil
}

// DeleteBucket deletes a bucket that has no objects, with the uploads that were begun.
// Otherwise it is [ErrNotEmpty].
func (s *Store) DeleteBucket(ctx context.Context, name string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		id, err := lockBucket(ctx, tx, `name = $1`, name)
		if err != nil {
			return err
		}
		var objects int
		if err := tx.row(ctx, `select count(*) from (select 1 from objects where bucket_id = $1 limit 1) o`, []any{id}, &objects); err != nil {
			return err
		}
		if objects > 0 {
			return ErrNotEmpty
		}
		_, err = tx.exec(ctx, `
			insert into unused_blobs (id, at) select p.blob_id, $2 from object_parts p join object_uploads u on u.id = p.upload_id
			where u.bucket_id = $1`, id, millis(at))
		if err == nil {
			_, err = tx.exec(ctx, `delete from object_uploads where bucket_id = $1`, id)
		}
		if err == nil {
			_, err = tx.exec(ctx, `delete from buckets where id = $1`, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete bucket: %w", err)
	}
	return nil
}

// lockBucket holds a bucket's row until the end of the transaction.
func lockBucket(ctx context.Context, tx runner, condition string, arg any) (id int64, err error) {
	err = tx.row(ctx, `update buckets set id = id where `+condition+` returning id`, []any{arg}, &id)
	return id, err
}

// PutObject puts an object in the place of the one that its key had. With ifAbsent there
// must be none, or it is [ErrExists]. Its blobs are in use from then on, those of the
// old object not.
func (s *Store) PutObject(ctx context.Context, o Object, ifAbsent bool) error {
	err := s.inTx(ctx, func(tx runner) error { return putObject(ctx, tx, o, ifAbsent) })
	if err != nil {
		return fmt.Errorf("put object: %w", err)
	}
	return nil
}

func putObject(ctx context.Context, tx runner, o Object, ifAbsent bool) error {
	if _, err := lockBucket(ctx, tx, `id = $1`, o.BucketID); err != nil {
		return err
	}
	existed, err := removeObject(ctx, tx, o.BucketID, o.Key, o.ModifiedAt)
	if err != nil {
		return err
	}
	if existed && ifAbsent {
		return ErrExists
	}
	for _, segment := range o.Segments {
		if _, err := tx.exec(ctx, `delete from unused_blobs where id = $1`, segment.Blob); err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, `
		insert into objects (bucket_id, key, segments, size, etag, headers, kms_key_id, sealed_key, modified_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		o.BucketID, []byte(o.Key), jsonList(o.Segments), o.Size, o.ETag, textMap(o.Headers), o.KMSKeyID, o.SealedKey, millis(o.ModifiedAt))
	return err
}

// removeObject deletes an object and lets its blobs go.
func removeObject(ctx context.Context, tx runner, bucketID int64, key string, at time.Time) (existed bool, err error) {
	var segments []Segment
	err = tx.row(ctx, `delete from objects where bucket_id = $1 and key = $2 returning segments`, []any{bucketID, []byte(key)}, asJSONList(&segments))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	for _, segment := range segments {
		if err == nil {
			_, err = tx.exec(ctx, `insert into unused_blobs (id, at) values ($1, $2)`, segment.Blob, millis(at))
		}
	}
	return true, err
}

// DeleteObject deletes an object, if it is there.
func (s *Store) DeleteObject(ctx context.Context, bucketID int64, key string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error {
		_, err := removeObject(ctx, tx, bucketID, key, at)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	return nil
}

const objectColumns = `bucket_id, key, segments, size, etag, headers, kms_key_id, sealed_key, modified_at`

func scanObject(o *Object, scan func(...any) error) error {
	return scan(&o.BucketID, asText(&o.Key), asJSONList(&o.Segments), &o.Size, &o.ETag, asTextMap(&o.Headers), &o.KMSKeyID, &o.SealedKey,
		asTime(&o.ModifiedAt))
}

// Object returns an object.
func (s *Store) Object(ctx context.Context, bucketID int64, key string) (Object, error) {
	var o Object
	err := s.reader().rowOf(ctx, `select `+objectColumns+` from objects where bucket_id = $1 and key = $2`, []any{bucketID, []byte(key)},
		func(scan func(...any) error) error { return scanObject(&o, scan) })
	if err != nil {
		return Object{}, fmt.Errorf("object: %w", err)
	}
	return o, nil
}

// ObjectFilter chooses objects of a bucket.
type ObjectFilter struct {
	BucketID int64
	Prefix   string // that keys begin with
	From     string // the first key, if it is there
	After    string // exclusive; empty for none
	Limit    int
}

// Objects returns objects in the order of their keys, as bytes.
func (s *Store) Objects(ctx context.Context, f ObjectFilter) ([]Object, error) {
	var w where
	w.add("bucket_id = ?", f.BucketID)
	w.prefix("key", f.Prefix)
	if f.From != "" {
		w.add("key >= ?", []byte(f.From))
	}
	if f.After != "" {
		w.add("key > ?", []byte(f.After))
	}
	list, _, err := page(ctx, s.reader(), `select `+objectColumns+` from objects`+w.String()+` order by key`, &w, Page{Limit: f.Limit},
		scanObject, func(Object) string { return "" })
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	return list, nil
}

// ReserveBlob chooses the id of a blob that is about to be written. If nothing names it
// by then, it is unused.
func (s *Store) ReserveBlob(ctx context.Context, until time.Time) (int64, error) {
	id := newRowID()
	_, err := s.writer().exec(ctx, `insert into unused_blobs (id, at) values ($1, $2)`, id, millis(until))
	if err != nil {
		return 0, fmt.Errorf("reserve blob: %w", err)
	}
	return id, nil
}

// UnusedBlobs returns blobs that nothing names, and that may be removed.
func (s *Store) UnusedBlobs(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	var ids []int64
	err := s.reader().rows(ctx, `select id from unused_blobs where at <= $1 order by at limit $2`, []any{millis(now), limit},
		func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list unused blobs: %w", err)
	}
	return ids, nil
}

// ForgetBlob is called when an unused blob was removed.
func (s *Store) ForgetBlob(ctx context.Context, id int64) error {
	if _, err := s.writer().exec(ctx, `delete from unused_blobs where id = $1`, id); err != nil {
		return fmt.Errorf("forget blob: %w", err)
	}
	return nil
}

// ObjectUpload is an object that comes in parts.
type ObjectUpload struct {
	ID        string
	BucketID  int64
	Key       string
	Headers   map[string]string
	KMSKeyID  string
	SealedKey []byte
	CreatedAt time.Time
}

// ObjectPart is a part of such an object.
type ObjectPart struct {
	Number    int
	Segment   Segment
	MD5       []byte
	CreatedAt time.Time
}

// CreateUpload begins an upload.
func (s *Store) CreateUpload(ctx context.Context, u ObjectUpload) error {
	_, err := s.writer().exec(ctx, `
		insert into object_uploads (id, bucket_id, key, headers, kms_key_id, sealed_key, created_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		u.ID, u.BucketID, []byte(u.Key), textMap(u.Headers), u.KMSKeyID, u.SealedKey, millis(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("create upload: %w", err)
	}
	return nil
}

const uploadColumns = `id, bucket_id, key, headers, kms_key_id, sealed_key, created_at`

func scanUpload(u *ObjectUpload, scan func(...any) error) error {
	return scan(&u.ID, &u.BucketID, asText(&u.Key), asTextMap(&u.Headers), &u.KMSKeyID, &u.SealedKey, asTime(&u.CreatedAt))
}

// Upload returns an upload of that key.
func (s *Store) Upload(ctx context.Context, bucketID int64, key, id string) (ObjectUpload, error) {
	var u ObjectUpload
	err := s.reader().rowOf(ctx, `select `+uploadColumns+` from object_uploads where id = $1 and bucket_id = $2 and key = $3`,
		[]any{id, bucketID, []byte(key)}, func(scan func(...any) error) error { return scanUpload(&u, scan) })
	if err != nil {
		return ObjectUpload{}, fmt.Errorf("upload: %w", err)
	}
	return u, nil
}

// PutPart puts a part in the place of the one of that number. For an upload that is over
// it is [ErrNotFound].
func (s *Store) PutPart(ctx context.Context, uploadID string, p ObjectPart) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := lockUpload(ctx, tx, uploadID); err != nil {
			return err
		}
		var old int64
		err := tx.row(ctx, `delete from object_parts where upload_id = $1 and number = $2 returning blob_id`, []any{uploadID, p.Number}, &old)
		if err == nil {
			_, err = tx.exec(ctx, `insert into unused_blobs (id, at) values ($1, $2)`, old, millis(p.CreatedAt))
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		_, err = tx.exec(ctx, `insert into object_parts (upload_id, number, blob_id, size, md5, created_at) values ($1, $2, $3, $4, $5, $6)`,
			uploadID, p.Number, p.Segment.Blob, p.Segment.Size, p.MD5, millis(p.CreatedAt))
		if err == nil {
			_, err = tx.exec(ctx, `delete from unused_blobs where id = $1`, p.Segment.Blob)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put part: %w", err)
	}
	return nil
}

func lockUpload(ctx context.Context, tx runner, id string) error {
	n, err := tx.exec(ctx, `update object_uploads set id = id where id = $1`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Parts returns the parts of an upload in the order of their numbers, after the number
// after, at most limit.
func (s *Store) Parts(ctx context.Context, uploadID string, after, limit int) ([]ObjectPart, error) {
	var parts []ObjectPart
	err := s.reader().rows(ctx, `
		select number, blob_id, size, md5, created_at from object_parts where upload_id = $1 and number > $2 order by number limit $3`,
		[]any{uploadID, after, limit}, func(scan func(...any) error) error {
			var p ObjectPart
			err := scan(&p.Number, &p.Segment.Blob, &p.Segment.Size, &p.MD5, asTime(&p.CreatedAt))
			parts = append(parts, p)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list parts: %w", err)
	}
	return parts, nil
}

// CompleteUpload makes the object of an upload, which is then over. Parts that are not
// among the object's segments are not used.
func (s *Store) CompleteUpload(ctx context.Context, uploadID string, o Object) error {
	err := s.inTx(ctx, func(tx runner) error {
		if err := endUpload(ctx, tx, uploadID, o.ModifiedAt); err != nil {
			return err
		}
		return putObject(ctx, tx, o, false)
	})
	if err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	return nil
}

// AbortUpload ends an upload without an object.
func (s *Store) AbortUpload(ctx context.Context, uploadID string, at time.Time) error {
	err := s.inTx(ctx, func(tx runner) error { return endUpload(ctx, tx, uploadID, at) })
	if err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

func endUpload(ctx context.Context, tx runner, id string, at time.Time) error {
	if err := lockUpload(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `insert into unused_blobs (id, at) select blob_id, $2 from object_parts where upload_id = $1`, id, millis(at))
	if err == nil {
		_, err = tx.exec(ctx, `delete from object_parts where upload_id = $1`, id)
	}
	if err == nil {
		_, err = tx.exec(ctx, `delete from object_uploads where id = $1`, id)
	}
	return err
}

// AbortUploadsBefore ends the uploads that were begun before a time.
func (s *Store) AbortUploadsBefore(ctx context.Context, before, at time.Time) error {
	var ids []string
	err := s.reader().rows(ctx, `select id from object_uploads where created_at < $1`, []any{millis(before)}, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	for _, id := range ids {
		if err == nil {
			if err = s.AbortUpload(ctx, id, at); errors.Is(err, ErrNotFound) {
				err = nil
			}
		}
	}
	return err
}
