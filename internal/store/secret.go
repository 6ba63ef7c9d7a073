package store

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that must not be shown: formatting, logging and marshalling it give
// "[redacted]". One way past this is known: fmt prints what it finds behind a pointer
// inside a struct as it is when the verb does not fit a pointer ("%s"); go vet reports
// such calls.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string { return redacted }

// Format covers every verb: fmt shows the value itself for a verb that does not fit.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is what slog shows.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is what JSON and other encodings show.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
