package message

import "strings"

// CompareVersions compares dotted versions by their components, as numbers, as the stock
// peers do: -1, 0 or 1. Where one is longer and all before is equal, it is the greater. A
// component that is no number counts as 0.
func CompareVersions(a, b string) int {
	for {
		if a == "" || b == "" {
			return boolInt(a != "") - boolInt(b != "")
		}
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNumbers compares decimal numbers of any length.
func compareNumbers(x, y string) int {
	x, y = digits(x), digits(y)
	if len(x) != len(y) {
		return boolInt(len(x) > len(y)) - boolInt(len(x) < len(y))
	}
	return strings.Compare(x, y)
}

// digits is a number without leading zeros, or nothing.
func digits(s string) string {
	for _, c := range s {
		if c < '0' || c > '9' {
			return ""
		}
	}
	return strings.TrimLeft(s, "0")
}
