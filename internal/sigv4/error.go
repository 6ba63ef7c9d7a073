package sigv4

import (
	"fmt"
	"net/http"
)

// Error is a request refused for its signature. One failure has two faces: JSON
// services answer 400 with Code, Query services answer QueryStatus with QueryCode;
// the text is the same.
type Error struct {
	Code        string
	QueryCode   string
	QueryStatus int
	Message     string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refusals that are always the same (api.md §2.2). The last three are for the
// package that knows the keys.
var (
	// ErrUnsigned says that a request carries no signature at all.
	ErrUnsigned = &Error{
		Code: "MissingAuthenticationTokenException", QueryCode: "MissingAuthenticationToken", QueryStatus: http.StatusForbidden,
		Message: "Request is missing Authentication Token",
	}
	// ErrMismatch says that the signature is not that of the request.
	ErrMismatch = invalid("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	// ErrInvalidToken says that the key id is unknown, inactive or deleted, or that
	// the session token of a temporary key is missing or wrong.
	ErrInvalidToken = &Error{
		Code: "UnrecognizedClientException", QueryCode: "InvalidClientTokenId", QueryStatus: http.StatusForbidden,
		Message: "The security token included in the request is invalid.",
	}
	// ErrExpiredToken says that temporary credentials have ended. Only this code makes
	// SDKs fetch new ones.
	ErrExpiredToken = &Error{
		Code: "ExpiredTokenException", QueryCode: "ExpiredToken", QueryStatus: http.StatusForbidden,
		Message: "The security token included in the request is expired",
	}
)

// incomplete is a signature that cannot be read.
func incomplete(format string, args ...any) *Error {
	return &Error{
		Code: "IncompleteSignatureException", QueryCode: "IncompleteSignature", QueryStatus: http.StatusBadRequest,
		Message: fmt.Sprintf(format, args...),
	}
}

// invalid is a signature that can be read and is not accepted.
func invalid(format string, args ...any) *Error {
	return &Error{
		Code: "InvalidSignatureException", QueryCode: "SignatureDoesNotMatch", QueryStatus: http.StatusForbidden,
		Message: fmt.Sprintf(format, args...),
	}
}
