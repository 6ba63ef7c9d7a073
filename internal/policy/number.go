package policy

import (
	"strings"
	"time"
)

// decimal is a number as people write it, compared exactly: the digits stay text, so neither a long fraction
// nor a large exponent costs precision or memory.
type decimal struct {
	digits   string // without leading zeros; one '.' may stand anywhere in it and has no meaning
	exponent int64  // the value is 0.DIGITS times ten to this power
	negative bool
}

// maxExponent bounds the exponent that a number may be written with.
const maxExponent = 100_000

// parseDecimal reads -?digits[.digits][e[+-]digits].
func parseDecimal(text string) (decimal, bool) {
	var d decimal
	if strings.HasPrefix(text, "-") {
		d.negative, text = true, text[1:]
	}
	mantissa, exp := text, int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var ok bool
		if exp, ok = parseExponent(text[i+1:]); !ok {
			return decimal{}, false
		}
		mantissa = text[:i]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if !allDigits(whole) || point && !allDigits(fraction) {
		return decimal{}, false
	}
	significant := strings.TrimLeft(mantissa, "0.")
	if strings.Trim(significant, "0.") == "" {
		return decimal{}, true // zero, which has no sign
	}
	d.digits = significant
	if w := strings.TrimLeft(whole, "0"); w != "" {
		d.exponent = exp + int64(len(w))
	} else {
		d.exponent = exp - int64(len(fraction)-len(strings.TrimLeft(fraction, "0")))
	}
	return d, true
}

func parseExponent(text string) (int64, bool) {
	negative := false
	if text != "" && (text[0] == '+' || text[0] == '-') {
		negative, text = text[0] == '-', text[1:]
	}
	if !allDigits(text) {
		return 0, false
	}
	n := int64(0)
	for i := 0; i < len(text); i++ {
		if n = n*10 + int64(text[i]-'0'); n > maxExponent {
			return 0, false
		}
	}
	if negative {
		n = -n
	}
	return n, true
}

func allDigits(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// compare returns -1, 0 or 1 as d is less than, equal to or greater than o.
func (d decimal) compare(o decimal) int {
	sign := 1
	switch {
	case d.negative && !o.negative:
		return -1
	case !d.negative && o.negative:
		return 1
	case d.negative:
		sign = -1
	}
	switch {
	case d.digits == "" && o.digits == "":
		return 0
	case d.digits == "":
		return -sign
	case o.digits == "":
		return sign
	case d.exponent < o.exponent:
		return -sign
	case d.exponent > o.exponent:
		return sign
	}
	a, b := d.digits, o.digits
	for a != "" || b != "" {
		var x, y byte
		x, a = nextDigit(a)
		y, b = nextDigit(b)
		if x < y {
			return -sign
		}
		if x > y {
			return sign
		}
	}
	return 0
}

// nextDigit takes the first digit from s; behind the end come zeros.
func nextDigit(s string) (byte, string) {
	if s != "" && s[0] == '.' {
		s = s[1:]
	}
	if s == "" {
		return '0', ""
	}
	return s[0], s[1:]
}

// moment is a point in time.
type moment struct {
	seconds int64 // since 1970-01-01T00:00:00Z
	nanos   int
}

func (m moment) compare(o moment) int {
	switch {
	case m.seconds < o.seconds, m.seconds == o.seconds && m.nanos < o.nanos:
		return -1
	case m == o:
		return 0
	}
	return 1
}

// parseMoment reads a date of ISO 8601 (YYYY-MM[-DD][Thh[:mm[:ss[.fraction]]][zone]]; without a zone UTC) or
// whole seconds since 1970.
func parseMoment(text string) (moment, bool) {
	if !strings.ContainsAny(text, "-Tt") {
		return parseEpoch(text)
	}
	r := dateReader{text: text}
	year := r.digits(4, 0, 9999)
	r.expect('-')
	month := r.digits(2, 1, 12)
	day, hour, minute, second, nanos, offset := 1, 0, 0, 0, 0, 0
	if r.take('-') {
		day = r.digits(2, 1, 31)
	}
	if r.take('T') || r.take('t') {
		hour = r.digits(2, 0, 23)
		if r.take(':') {
			minute = r.digits(2, 0, 59)
			if r.take(':') {
				second = r.digits(2, 0, 59)
				if r.take('.') {
					nanos = r.fraction()
				}
			}
		}
		offset = r.zone()
	}
	if r.bad || r.text != "" {
		return moment{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day { // such as 30 February
		return moment{}, false
	}
	return moment{t.Unix() - int64(offset), nanos}, true
}

func parseEpoch(text string) (moment, bool) {
	if !allDigits(text) {
		return moment{}, false
	}
	n := int64(0)
	for i := 0; i < len(text); i++ {
		d := int64(text[i] - '0')
		if n > (1<<63-1-d)/10 {
			return moment{}, false
		}
		n = n*10 + d
	}
	return moment{seconds: n}, true
}

// dateReader takes fixed parts from a date. After a fault it stays bad.
type dateReader struct {
	text string
	bad  bool
}

func (r *dateReader) take(c byte) bool {
	if r.text != "" && r.text[0] == c {
		r.text = r.text[1:]
		return true
	}
	return false
}

func (r *dateReader) expect(c byte) {
	if !r.take(c) {
		r.bad = true
	}
}

func (r *dateReader) digits(n, low, high int) int {
	if len(r.text) < n || !allDigits(r.text[:n]) {
		r.bad = true
		return low
	}
	v := 0
	for i := range n {
		v = v*10 + int(r.text[i]-'0')
	}
	r.text = r.text[n:]
	if v < low || v > high {
		r.bad = true
	}
	return v
}

// fraction reads one to nine digits of a second and returns nanoseconds.
func (r *dateReader) fraction() int {
	n := 0
	for n < len(r.text) && r.text[n] >= '0' && r.text[n] <= '9' {
		n++
	}
	if n == 0 || n > 9 {
		r.bad = true
		return 0
	}
	v := r.digits(n, 0, 999_999_999)
	for ; n < 9; n++ {
		v *= 10
	}
	return v
}

// zone reads Z, ±hh, ±hh:mm, ±hhmm or nothing and returns the seconds east of Greenwich.
func (r *dateReader) zone() int {
	if r.text == "" || r.take('Z') || r.take('z') {
		return 0
	}
	sign := 1
	if r.take('-') {
		sign = -1
	} else {
		r.expect('+')
	}
	seconds := r.digits(2, 0, 23) * 3600
	if r.take(':') || r.text != "" {
		seconds += r.digits(2, 0, 59) * 60
	}
	return sign * seconds
}
