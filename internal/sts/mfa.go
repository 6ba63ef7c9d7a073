package sts

import (
	"context"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	textWrongCode   = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
	textWrongSerial = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
	textHalfMFA     = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
)

// provedBy checks the one-time password that a request may carry and says when it was
// shown: now, or the zero time if there is none in the request. The device must be the
// calling user's own; whether others exist is not told.
func (s *Server) provedBy(ctx context.Context, p auth.Principal, serial string, code store.Secret) (time.Time, error) {
	if serial == "" && code == "" {
		return time.Time{}, nil
	}
	if serial == "" || code == "" {
		return time.Time{}, denied(textHalfMFA)
	}
	if p.Kind != auth.User {
		return time.Time{}, denied(textWrongSerial)
	}
	device, err := s.cfg.Store.MFADevice(ctx, serial)
	if err != nil && !isNotFound(err) {
		return time.Time{}, err
	}
	if err != nil || device.UserName != p.UserName {
		return time.Time{}, denied(textWrongSerial)
	}
	now := s.cfg.Now()
	if !s.wrong.mayTry(serial, now) {
		return time.Time{}, ssm.Errorf(ssm.CodeThrottling, "Rate exceeded")
	}
	step, ok := auth.CheckTOTP(device.Seed.Reveal(), code.Reveal(), now, device.LastStep)
	if ok {
		// The store decides which of two requests with one code comes first.
		if ok, err = s.cfg.Store.UseMFAStep(ctx, serial, step); err != nil {
			return time.Time{}, err
		}
	}
	if !ok {
		return time.Time{}, denied(textWrongCode)
	}
	s.wrong.forget(serial)
	return now, nil
}

// Wrong codes: at three of a million codes being right at any time, this many tries in
// this long leave somebody with a stolen key no hope.
const (
	maxWrongCodes   = 10
	wrongCodePeriod = time.Hour
)

// wrongCodes bounds the guesses at one-time passwords, per device. It is this process's
// own: a deployment of several servers allows as many times more.
type wrongCodes struct {
	mu    sync.Mutex // guards tried
	tried map[string]tries
}

type tries struct {
	count int
	since time.Time
}

func newWrongCodes() *wrongCodes { return &wrongCodes{tried: make(map[string]tries)} }

// mayTry counts a try and says whether it is one too many. Only devices that exist are
// tried, so the map stays small.
func (w *wrongCodes) mayTry(serial string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tried[serial]
	if !now.Before(t.since.Add(wrongCodePeriod)) {
		t = tries{since: now}
	}
	if t.count >= maxWrongCodes {
		return false
	}
	t.count++
	w.tried[serial] = t
	return true
}

// forget takes back the tries of a device that showed a right code.
func (w *wrongCodes) forget(serial string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tried, serial)
}
