//go:build !linux

package main

import (
	"errors"
	"time"
)

// apart makes two hosts.
func apart(time.Duration, float64) (near, far *host, cut func(), err error) {
	return nil, nil, nil, errors.ErrUnsupported
}
