// Package ssm holds the nouns of the service and the shapes of its API: what a
// managed node, an activation, a session and a document are called, how their
// identifiers look, and what each operation takes and gives. It promises to stay
// pure: standard library only, no I/O. Every other package may import it.
//
// Member names, constraints and error codes are those of the public API model of
// Systems Manager (https://docs.aws.amazon.com/systems-manager/latest/APIReference/).
package ssm

import (
	"errors"
	"fmt"
)

// DefaultSessionDocument is the session document used when a caller names none.
const DefaultSessionDocument = "SSM-SessionManagerRunShell"

// Error is an error of the API. Code is the service's own word for it
// ("TargetNotConnected"); Message is what the caller reads. Only package awsapi
// turns it into bytes.
type Error struct {
	Code    string
	Message string
	// Status is the HTTP status. Zero means what the protocol uses for a client
	// error (400 for AWS JSON).
	Status int
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Errorf makes an [Error] with a formatted message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// IsCode says whether err is, or wraps, an [Error] with that code.
func IsCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Error codes of the API that this project answers with.
const (
	CodeAccessDenied              = "AccessDeniedException"
	CodeActivationExpired         = "ActivationExpired"
	CodeBadRequest                = "BadRequest"
	CodeDoesNotExist              = "DoesNotExistException"
	CodeInternal                  = "InternalServerError"
	CodeInvalidActivation         = "InvalidActivation"
	CodeInvalidDocument           = "InvalidDocument"
	CodeInvalidFilter             = "InvalidFilter"
	CodeInvalidFilterKey          = "InvalidFilterKey"
	CodeInvalidInstanceFilter     = "InvalidInstanceInformationFilterValue"
	CodeInvalidInstanceID         = "InvalidInstanceId"
	CodeInvalidNextToken          = "InvalidNextToken"
	CodeInvalidParameters         = "InvalidParameters"
	CodeInvalidPublicKey          = "InvalidPublicKey"
	CodeFingerprintDoesNotMatch   = "MachineFingerprintDoesNotMatch"
	CodeRegistrationLimitExceeded = "RegistrationLimitExceeded"
	CodeServiceQuotaExceeded      = "ServiceQuotaExceededException"
	CodeTargetNotConnected        = "TargetNotConnected"
	CodeThrottling                = "ThrottlingException"
	CodeUnknownOperation          = "UnknownOperationException"
	CodeValidation                = "ValidationException"
)
