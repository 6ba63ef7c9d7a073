package client

import (
	"fmt"
	"strconv"
	"strings"
)

// exitCodePrefix begins an ExitCode payload (protocol.md §5.1, type 12).
const exitCodePrefix = "EXIT_CODE:"

// maxExitCode bounds the length of an ExitCode payload; a number of 32 bits and the
// prefix need less.
const maxExitCode = 64

// ParseExitCode reads an ExitCode payload, "EXIT_CODE: 7". Windows has codes of 32
// bits, shown with or without a sign.
func ParseExitCode(payload []byte) (int, error) {
	if len(payload) > maxExitCode {
		return 0, fmt.Errorf("exit code of %d bytes is too long", len(payload))
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(payload)), exitCodePrefix)
	if !ok {
		return 0, fmt.Errorf("exit code %q does not begin with %s", payload, exitCodePrefix)
	}
	code, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || code < -1<<31 || code >= 1<<32 {
		return 0, fmt.Errorf("exit code %q is not a number of 32 bits", payload)
	}
	return int(code), nil
}
