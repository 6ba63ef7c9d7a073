package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"sekisho/internal/ssm"
)

// Hint says in one sentence what a person can do about an error of [Register] or [Run].
// It is empty when there is nothing to say beyond the error itself.
func Hint(err error) string {
	var input *InputError
	var api *ssm.Error
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var dns *net.DNSError
	switch {
	case errors.As(err, &input):
		return "Run 'sekisho-agent register --help' for an example."
	case errors.Is(err, ErrRegistered):
		return "To replace that registration, add -y. To use it, start 'sekisho-agent run'."
	case errors.Is(err, ErrNotRegistered):
		return "Create an activation on the server and run 'sekisho-agent register' with its code and id."
	case errors.Is(err, ErrNoReleaseKey):
		return "Publish the programs on the server (sekishod agents publish) and register this machine anew with -y; or replace the program yourself and restart the service."
	case errors.Is(err, ErrNoRelease):
		return "The server's operator publishes programs with 'sekishod agents publish'."
	case errors.As(err, &api):
		return apiHint(api)
	case errors.As(err, &unknown):
		return "The server's certificate comes from an authority that this machine does not know: pass the server's CA certificate with --ca FILE."
	case errors.As(err, &host):
		return "The server's certificate is for another name: use an endpoint that it covers, or have the name added on the server."
	case errors.As(err, &dns):
		return "The endpoint's name cannot be resolved: check --endpoint and this machine's DNS."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens at the endpoint: check --endpoint, and that the server runs."
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH):
		return "The server cannot be reached: check --endpoint, firewalls and proxies."
	case errors.Is(err, syscall.ENOSPC):
		return "The disk is full: make room and try again. The activation has not been used."
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied: run as root, or choose a directory of your own with --dir."
	}
	return ""
}

func apiHint(e *ssm.Error) string {
	switch e.Code {
	case ssm.CodeInvalidActivation:
		return "Check code and id, or create a new activation: one that was deleted, has expired or is used up cannot be used any more."
	case ssm.CodeActivationExpired:
		return "Create a new activation on the server."
	case ssm.CodeRegistrationLimitExceeded:
		return "Every registration of this activation is used up: create a new activation."
	case ssm.CodeFingerprintDoesNotMatch:
		return "This looks like a copy of another machine: register it anew with -y."
	case ssm.CodeAccessDenied, ssm.CodeInvalidInstanceID:
		return "The server does not know this node (any more): register it anew with -y."
	}
	if isSkew(e) || strings.Contains(e.Message, "different region") {
		return "Check this machine's clock, and that the region is the server's."
	}
	if e.Status >= 500 {
		return "The fault is the server's: try again later, and look at its log."
	}
	return ""
}
