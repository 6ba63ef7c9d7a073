package awsapi

import (
	_ "embed"
	"strings"
)

// operationNames lists the public operations of services that clients of this server
// may call, one service a paragraph: the signing name with a colon, then the names.
//
//go:embed operations.txt
var operationNames string

// KnownOperations gives the operations that exist at AWS, by signing name, for the
// services whose requests are understood here.
func KnownOperations() map[string][]string {
	known := make(map[string][]string)
	service := ""
	for line := range strings.Lines(operationNames) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutSuffix(line, ":"); ok {
			service = name
			continue
		}
		known[service] = append(known[service], strings.Fields(line)...)
	}
	return known
}
