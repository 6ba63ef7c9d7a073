package awsapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// answer is a complete response, made before a byte of it is sent, so that a fault on
// the way can still become an error.
type answer struct {
	status      int
	contentType string
	body        []byte
	code        string      // of an error
	message     string      // of an error
	events      EventSource // instead of a body; nil for none
}

const (
	contentJSON = "application/x-amz-json-1.1"
	contentXML  = "text/xml"
)

// notFound is what the service's front end answers to what is no request of its
// protocols at all (api.md §1.2).
func notFound() answer {
	return answer{
		status: http.StatusNotFound, contentType: contentXML,
		body: []byte("<UnknownOperationException/>\n"), code: ssm.CodeUnknownOperation,
	}
}

// statusOnly is the answer to a body that is not even read to its end: too large
// (api.md §1.2) or encoded.
func statusOnly(status int, code string) answer { return answer{status: status, code: code} }

// apiError is an error in the form its protocol sends.
type apiError struct {
	code    string
	message string
	status  int
}

// asAPIError turns an error into what the caller of svc may see. It says no for an
// error that is not one of the API.
func asAPIError(svc *Service, err error) (apiError, bool) {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		if svc.Protocol == EC2 {
			return ec2SignatureError(e), true
		}
		if svc.isQuery() {
			return apiError{e.QueryCode, e.Message, e.QueryStatus}, true
		}
		return apiError{e.Code, e.Message, http.StatusBadRequest}, true
	}
	e, ok := errors.AsType[*ssm.Error](err)
	if !ok {
		return apiError{}, false
	}
	if svc.isQuery() {
		return queryError(svc, e), true
	}
	if e.Code == ssm.CodeInternal {
		return apiError{svc.internalCode(), e.Message, cmp.Or(e.Status, http.StatusInternalServerError)}, true
	}
	return apiError{e.Code, e.Message, cmp.Or(e.Status, http.StatusBadRequest)}, true
}

// queryError gives an error the name that Query services have for it (api.md §1.4, §4.8).
func queryError(svc *Service, e *ssm.Error) apiError {
	code, status := e.Code, http.StatusBadRequest
	switch e.Code {
	case ssm.CodeAccessDenied:
		code, status = "AccessDenied", http.StatusForbidden
		if svc.Protocol == EC2 {
			return apiError{"UnauthorizedOperation", "You are not authorized to perform this operation. " + e.Message, cmp.Or(e.Status, status)}
		}
	case ssm.CodeValidation:
		code = svc.validationCode()
	case ssm.CodeThrottling:
		code = "Throttling"
		if svc.Protocol == EC2 {
			code, status = "RequestLimitExceeded", http.StatusServiceUnavailable
		}
	case ssm.CodeUnknownOperation:
		code = "InvalidAction"
	case ssm.CodeInternal:
		code, status = svc.internalCode(), http.StatusInternalServerError
	}
	return apiError{code, e.Message, cmp.Or(e.Status, status)}
}

// ec2SignatureError gives a refused signature the name that EC2 has for it.
func ec2SignatureError(e *sigv4.Error) apiError {
	switch e {
	case sigv4.ErrExpiredToken:
		return apiError{"RequestExpired", "Request has expired.", http.StatusBadRequest}
	case sigv4.ErrInvalidToken:
		return apiError{"AuthFailure", "AWS was not able to validate the provided access credentials", http.StatusUnauthorized}
	case sigv4.ErrUnsigned:
		return apiError{e.QueryCode, e.Message, e.QueryStatus}
	}
	return apiError{"AuthFailure", "AWS was not able to validate the provided access credentials. " + e.Message, http.StatusUnauthorized}
}

// internalError is all that a caller learns of an unexpected error.
func internalError(svc *Service, requestID string) apiError {
	return apiError{svc.internalCode(), "An internal error occurred. The server's log tells more under request id " + requestID + ".",
		http.StatusInternalServerError}
}

// encodeError makes the envelope of an error. Clients of AWS JSON read the text from
// "message" or "Message", depending on who made them, so both are there; errors that
// the model gives no text have neither (api.md §1.2).
func encodeError(svc *Service, requestID string, e apiError) answer {
	switch svc.Protocol {
	case EC2:
		return answer{status: e.status, contentType: contentXML, body: encodeEC2Error(requestID, e.code, e.message), code: e.code, message: e.message}
	case Query:
		return answer{status: e.status, contentType: contentXML, body: encodeXMLError(svc.Namespace, requestID, e.code, e.message, e.status), code: e.code, message: e.message}
	}
	// Marshal cannot fail on strings.
	body, _ := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message,omitempty"`
		Capital string `json:"Message,omitempty"`
	}{e.code, e.message, e.message})
	return answer{status: e.status, contentType: contentJSON, body: body, code: e.code, message: e.message}
}
