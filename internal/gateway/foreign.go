package gateway

import "strings"

// Bounds of what a node says in its own words, in bytes.
const (
	maxOutput       = 24 << 10 // of a completion, for the client; the text of an error
	maxDetails      = 1 << 10  // of the same, kept with the session
	maxAgentVersion = 64       // as the API has it
)

// foreignText makes of a node's words text of bounded length that any database keeps:
// PostgreSQL takes neither the character NUL nor what is no UTF-8.
func foreignText(text string, limit int) string {
	text = text[:min(len(text), limit)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
