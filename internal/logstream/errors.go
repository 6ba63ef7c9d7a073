package logstream

import (
	"errors"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Error codes of CloudWatch Logs. All have status 400.
const (
	codeExists      = "ResourceAlreadyExistsException"
	codeInvalid     = "InvalidParameterException"
	codeLimit       = "LimitExceededException"
	codeNotFound    = "ResourceNotFoundException"
	codeTooManyTags = "TooManyTagsException"
)

var (
	errGroupExists  = ssm.Errorf(codeExists, "The specified log group already exists")
	errStreamExists = ssm.Errorf(codeExists, "The specified log stream already exists")
	errNoGroup      = ssm.Errorf(codeNotFound, "The specified log group does not exist.")
	errNoStream     = ssm.Errorf(codeNotFound, "The specified log stream does not exist.")
	errToken        = ssm.Errorf(codeInvalid, "The specified nextToken is invalid.")
)

// invalid is a refused input that no constraint of the model covers.
func invalid(format string, args ...any) error { return ssm.Errorf(codeInvalid, format, args...) }

// failed turns what the store says into the answer of the API: notFound where it did not
// find, exists where something is there already.
func failed(err error, notFound, exists error) error {
	switch {
	case errors.Is(err, store.ErrNotFound) && notFound != nil:
		return notFound
	case errors.Is(err, store.ErrExists) && exists != nil:
		return exists
	}
	return err
}
