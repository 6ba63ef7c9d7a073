package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/blob"
	"sekisho/internal/recorder"
	"sekisho/internal/sigv4"
)

const (
	// sinkInterval is how often it is looked whether something is to go outside.
	sinkInterval = 5 * time.Second
	// sinkPatience is the longest time between two tries of a sink that is away.
	sinkPatience = 5 * time.Minute
	// sinkCall bounds one call of a log service outside.
	sinkCall = time.Minute
	// storedAtOnce bounds the recordings that one pass stores.
	storedAtOnce = 10000
	// evictInterval is how often recordings are looked for that may leave this disk.
	evictInterval = 10 * time.Minute
)

// access is with what the services outside are reached.
func (c *config) access() blob.Access { return blob.Access{File: c.Sinks.Credentials, CA: c.Sinks.CA} }

// sink is something that is brought outside, a pass at a time. more says that there is
// more; an error that the place is away.
type sink struct {
	name string
	pass func(ctx context.Context) (more bool, err error)
}

// sinks makes what the configuration names.
func (s *server) sinks() ([]sink, error) {
	var list []sink
	if address := s.cfg.Sinks.S3; address != "" {
		service, err := blob.OpenS3(address, s.cfg.access())
		if err != nil {
			return nil, err
		}
		list = append(list, sink{"sinks.s3", s.s3.Forwarder(service.Put, refusedObject).Pass})
	}
	if address := s.cfg.Sinks.Logs; address != "" {
		endpoint, region, err := blob.Service(address)
		if err != nil {
			return nil, err
		}
		client, err := s.cfg.access().Client()
		if err != nil {
			return nil, err
		}
		api := awsapi.Client{Endpoint: endpoint, HTTP: client, UserAgent: "sekishod/" + version, Sign: func(r *http.Request, body []byte) error {
			credentials, err := s.cfg.access().Credentials()
			if err == nil {
				sigv4.Sign(r, sigv4.Hash(body), credentials, region, "logs", time.Now())
			}
			return err
		}}
		list = append(list, sink{"sinks.logs", s.logs.Forwarder(func(ctx context.Context, operation string, in, out any) error {
			ctx, cancel := context.WithTimeout(ctx, sinkCall)
			defer cancel()
			return api.Call(ctx, "Logs_20140328."+operation, in, out)
		}).Pass})
	}
	if s.stored != nil {
		keeper := &storedKeeper{s: s}
		list = append(list, sink{"recordings.store", keeper.pass})
	}
	return list, nil
}

// refusedObject says whether a refusal is about one object or bucket. Others, of the
// credentials for instance, are about all.
func refusedObject(err error) bool {
	e, ok := errors.AsType[*blob.Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case "NoSuchBucket", "AccessDenied", "EntityTooLarge", "KeyTooLongError", "InvalidBucketName", "InvalidArgument", "PermanentRedirect":
		return true
	}
	return false
}

// runSink brings things outside until ctx ends. A place that is away is told to the log
// once, and tried again at longer and longer intervals.
func (s *server) runSink(ctx context.Context, k sink) {
	wait, failed := sinkInterval, false
	for {
		more, err := k.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if failed {
				s.logger.Info("sink is back", "sink", k.name)
			}
			wait, failed = sinkInterval, false
		default:
			if !failed {
				s.logger.Warn("sink is away; what it is to get is kept and tried again", "sink", k.name, "error", err)
			}
			more, wait, failed = false, min(2*wait, sinkPatience), true
		}
		if more {
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// openStored makes what keeps recordings outside, if the configuration names a place.
func (s *server) openStored(records *recorder.Recorder) error {
	if s.cfg.Recordings.Store == "" {
		return nil
	}
	bucket, err := blob.Open(s.cfg.Recordings.Store, s.cfg.access())
	if err != nil {
		return err
	}
	s.stored = records.Stored(bucket)
	return nil
}

// storedKeeper brings recordings to their store.
type storedKeeper struct {
	s       *server
	evicted time.Time // when recordings were last looked for that may leave
}

func (k *storedKeeper) pass(ctx context.Context) (more bool, err error) {
	s := k.s
	if err := s.stored.RemoveLeft(ctx); err != nil {
		return false, err
	}
	running, err := s.store.OpenRecordings(ctx)
	if err != nil {
		return false, err
	}
	for _, x := range running {
		if _, err := s.stored.Copy(ctx, x.SessionID); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	closed, err := s.store.RecordingsToStore(ctx, storedAtOnce)
	if err != nil {
		return false, err
	}
	for _, x := range closed {
		whole, err := s.stored.Copy(ctx, x.SessionID)
		if errors.Is(err, fs.ErrNotExist) { // another server has the files
			continue
		}
		if err == nil && whole {
			err = s.store.RecordingStored(ctx, x.SessionID, time.Now())
		}
		if err != nil {
			return false, err
		}
	}
	if keep := s.cfg.Recordings.Local; keep > 0 && time.Since(k.evicted) >= evictInterval {
		k.evicted = time.Now()
		return false, k.evict(ctx, keep)
	}
	return false, nil
}

// evict removes the files of recordings that are in the store and were not looked at for
// a while.
func (k *storedKeeper) evict(ctx context.Context, keep time.Duration) error {
	idle, err := k.s.stored.Idle(keep)
	if err != nil {
		return err
	}
	for _, id := range idle {
		stored, err := k.s.store.RecordingIsStored(ctx, id)
		if err == nil && stored {
			err = k.s.stored.Evict(id, keep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
