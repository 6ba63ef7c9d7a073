package kms

import (
	"fmt"
	"io"
	"log/slog"
)

// Plaintext is what a caller has encrypted or gets decrypted, data keys among it. Only
// awsapi writes it as it is, into the answer to its caller: formatting, logging and
// marshalling give "[redacted]".
type Plaintext []byte

const redacted = "[redacted]"

func (Plaintext) String() string { return redacted }

// Format covers every verb.
func (Plaintext) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is what slog and validation texts show.
func (Plaintext) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is what JSON and other encodings but the answer's own show.
func (Plaintext) MarshalText() ([]byte, error) { return []byte(redacted), nil }
