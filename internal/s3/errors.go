package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// Error is an error of the API.
type Error struct {
	Status  int
	Code    string
	Message string
	Region  string // of the server, where a client signed for another one
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func newError(status int, code, message string) *Error {
	return &Error{Status: status, Code: code, Message: message}
}

// The errors of S3 that are answered here (API reference, "Error responses").
var (
	errAccessDenied      = newError(http.StatusForbidden, "AccessDenied", "Access Denied")
	errBadDigest         = newError(http.StatusBadRequest, "BadDigest", "The Content-MD5 or checksum value that you specified did not match what the server received.")
	errBodyHash          = newError(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	errBucketExists      = newError(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	errBucketName        = newError(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	errBucketNotEmpty    = newError(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	errEntityTooLarge    = newError(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	errEntityTooSmall    = newError(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
	errIncompleteBody    = newError(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
	errInvalidDigest     = newError(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid.")
	errInvalidPart       = newError(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	errInvalidPartOrder  = newError(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
	errKeyTooLong        = newError(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	errMalformedXML      = newError(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	errMetadataTooLarge  = newError(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	errMethod            = newError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	errMissingLength     = newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	errNoACL             = newError(http.StatusBadRequest, "AccessControlListNotSupported", "The bucket does not allow ACLs")
	errNoBucket          = newError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	errNoBucketPolicy    = newError(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	errNoKey             = newError(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	errNoUpload          = newError(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	errPrecondition      = newError(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	errUnsignedHeader    = newError(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed")
	errMissingHash       = newError(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	errInvalidToken      = newError(http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect")
	errSkew              = newError(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	errExpired           = newError(http.StatusForbidden, "AccessDenied", "Request has expired")
	errUnknownKey        = newError(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	errExpiredToken      = newError(http.StatusBadRequest, "ExpiredToken", "The provided token has expired.")
	errSignature         = newError(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	errServerSideCustom  = notImplemented("Server-side encryption with keys of the customer")
	errSignedChunks      = notImplemented("A body signed chunk by chunk (STREAMING-AWS4-HMAC-SHA256-PAYLOAD)")
	errInternal          = newError(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	errInvalidPartNumber = invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
)

func notImplemented(what string) *Error {
	return newError(http.StatusNotImplemented, "NotImplemented", what+" is not implemented by Sekisho.")
}

func invalidArgument(format string, args ...any) *Error {
	return newError(http.StatusBadRequest, "InvalidArgument", fmt.Sprintf(format, args...))
}

// refused turns why a caller could not be proved into the answer of S3.
func (s *Server) refused(err error, presigned bool) error {
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok {
		return err
	}
	switch {
	case e == sigv4.ErrUnsigned:
		return errAccessDenied
	case e == sigv4.ErrInvalidToken:
		return errUnknownKey
	case e == sigv4.ErrExpiredToken:
		return errExpiredToken
	case e == sigv4.ErrMismatch:
		return errSignature
	case strings.HasPrefix(e.Message, "Signature expired") && presigned:
		return errExpired
	case strings.HasPrefix(e.Message, "Signature expired"), strings.HasPrefix(e.Message, "Signature not yet current"):
		return errSkew
	}
	malformed := newError(http.StatusBadRequest, "AuthorizationHeaderMalformed", e.Message)
	if presigned {
		malformed.Code = "AuthorizationQueryParametersError"
	}
	if strings.Contains(e.Message, "valid region") {
		malformed.Message = "The authorization header is malformed; the region is wrong; expecting '" + s.cfg.ARNs.Region + "'"
		malformed.Region = s.cfg.ARNs.Region // clients sign again for it
	}
	return malformed
}

// answerOf gives the error that a caller sees; known is false for one that is nobody's
// but ours.
func answerOf(err error) (e *Error, known bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	if denied, ok := errors.AsType[*ssm.Error](err); ok {
		if denied.Code == ssm.CodeAccessDenied {
			return newError(http.StatusForbidden, "AccessDenied", denied.Message), true
		}
		status := denied.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		return newError(status, "KMS."+denied.Code, denied.Message), true
	}
	return errInternal, false
}

// apiError is what the audit trail is told.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	e, known := answerOf(err)
	if !known {
		return err
	}
	return ssm.Errorf(e.Code, "%s", e.Message)
}

// fail answers with an error. One that happens while a body is sent cuts the connection:
// the client must not take the part for the whole.
func (c *call) fail(err error) {
	e, known := answerOf(err)
	if !known && c.ctx.Err() == nil {
		c.s.cfg.Logger.ErrorContext(c.ctx, "object request failed", "request_id", c.id, "operation", c.operation, "error", err)
	}
	if c.w.began {
		panic(http.ErrAbortHandler)
	}
	body, _ := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Region    string `xml:",omitempty"`
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, Region: e.Region, Resource: resource(c.r.URL.Path), RequestID: c.id})
	c.sendXML(e.Status, body)
}

// resource shows a path as text.
func resource(path string) string {
	return strings.ToValidUTF8(path[:min(len(path), 2048)], "\uFFFD")
}
