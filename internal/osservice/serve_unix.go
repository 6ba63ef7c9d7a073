//go:build !windows

package osservice

import "context"

// Serve runs f: service managers of these systems ask for nothing but a process.
func Serve(ctx context.Context, _ string, f func(context.Context) int) int { return f(ctx) }

// KeepsLog says whether the service manager keeps what a service writes to standard error.
const KeepsLog = true
