package message

import "testing"

func TestVersionsCompareByNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.2.331.0", "1.2.331.0", 0}, {"1.10.0.0", "1.9.9.9", 1}, {"1.1.70", "1.1.70.0", -1},
		{"1.2.677.0", "1.2.331.1", 1}, {"1.2.0.0", "1.2.331.1", -1}, {"", "1", -1}, {"", "", 0},
		{"1.02", "1.2", 0}, {"1.x", "1.1", -1}, {"99999999999999999999.1", "2.0", 1},
	} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := CompareVersions(c.b, c.a); got != -c.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}
