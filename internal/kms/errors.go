package kms

import (
	"errors"
	"net/http"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Error codes of KMS. All have status 400 but that of a dry run.
const (
	codeAlreadyExists     = "AlreadyExistsException"
	codeDisabled          = "DisabledException"
	codeDryRun            = "DryRunOperationException" // 412
	codeIncorrectKey      = "IncorrectKeyException"
	codeInvalidAliasName  = "InvalidAliasNameException"
	codeInvalidCiphertext = "InvalidCiphertextException"
	codeInvalidGrantToken = "InvalidGrantTokenException"
	codeInvalidKeyUsage   = "InvalidKeyUsageException"
	codeInvalidMarker     = "InvalidMarkerException"
	codeInvalidState      = "KMSInvalidStateException"
	codeLimitExceeded     = "LimitExceededException"
	codeMalformedPolicy   = "MalformedPolicyDocumentException"
	codeNotFound          = "NotFoundException"
	codeTag               = "TagException"
	codeUnsupported       = "UnsupportedOperationException"
)

// Texts of KMS.
const (
	textDryRun            = "The request would have succeeded, but the DryRun option is set."
	textForeignCiphertext = "The ciphertext refers to a customer master key that does not exist, " +
		"does not exist in this region, or you are not allowed to access."
	textIncorrectKey      = "The key ID in the request does not identify a CMK that can perform this operation."
	textInvalidPrincipals = "Policy contains a statement with one or more invalid principals."
	textLockout           = "The new key policy will not allow you to update the key policy in the future."
	textReservedTag       = "aws: prefixed tag key names are not allowed for external use."
)

// Texts about what is not here.
const (
	textNoEnclaves       = "Attestation documents (Recipient) are not implemented by Sekisho."
	textNoGrants         = "Grants are not implemented by Sekisho, so no grant token is valid."
	textOwnMaterialOnly  = "Sekisho makes the material of its keys itself: Origin AWS_KMS without a custom key store."
	textSingleRegionOnly = "Sekisho has no multi-Region keys."
	textSymmetricOnly    = "Sekisho has symmetric encryption keys only: KeySpec SYMMETRIC_DEFAULT with KeyUsage ENCRYPT_DECRYPT."
)

// validation is a refused input that no constraint of the model covers.
func validation(format string, args ...any) error {
	return ssm.Errorf(ssm.CodeValidation, format, args...)
}

// errInvalidCiphertext is the answer to a ciphertext that does not decrypt, for whatever
// reason: which one would help who forges. KMS gives it no text.
var errInvalidCiphertext = &ssm.Error{Code: codeInvalidCiphertext}

var errMarker = ssm.Errorf(codeInvalidMarker, "The marker is not one of this list.")

// dryRun is the answer to a request that would have succeeded.
func dryRun() error {
	return &ssm.Error{Code: codeDryRun, Message: textDryRun, Status: http.StatusPreconditionFailed}
}

// usable says why a key in its state encrypts and decrypts nothing; nil if it does.
func usable(arn string, k store.KMSKey) error {
	if k.State == store.KMSDisabled {
		return ssm.Errorf(codeDisabled, "%s is disabled.", arn)
	}
	return notPending(arn, k)
}

// notPending refuses a key that waits for its deletion.
func notPending(arn string, k store.KMSKey) error {
	if k.State == store.KMSPendingDeletion {
		return ssm.Errorf(codeInvalidState, "%s is pending deletion.", arn)
	}
	return nil
}

// failed turns what the store says about a key that was there a moment ago into
// the answer of the API: that it is gone, or that it has as much of something as it may.
func failed(err error, arn string) error {
	if e, ok := errors.AsType[*store.LimitError](err); ok {
		return ssm.Errorf(codeLimitExceeded, "%s has reached the limit %s of %d.", arn, e.Name, e.Limit)
	}
	if errors.Is(err, store.ErrNotFound) {
		return ssm.Errorf(codeNotFound, "Key '%s' does not exist", arn)
	}
	return err
}
