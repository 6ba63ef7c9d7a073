package console

import (
	"strconv"
	"strings"
)

// preferred picks "ja" or "en" by an Accept-Language header (RFC 9110 §12.5.4): the
// one with the higher weight, the first of equal ones, English when neither is named.
func preferred(header string) string {
	best, bestWeight := "en", 0.0
	for item := range strings.SplitSeq(header, ",") {
		tag, parameters, _ := strings.Cut(item, ";")
		language, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if language != "ja" && language != "en" {
			continue
		}
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			parsed, err := strconv.ParseFloat(q, 64)
			if err != nil {
				continue
			}
			weight = parsed
		}
		if weight > bestWeight {
			best, bestWeight = language, weight
		}
	}
	return best
}
