package sigv4

import (
	"cmp"
	"net/http"
	"net/textproto"
	"path"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest joins what a signature covers.
func canonicalRequest(r *http.Request, uri string, query string, signedHeaders []string, bodyHash string) string {
	var b strings.Builder
	b.WriteString(cmp.Or(r.Method, http.MethodGet))
	b.WriteString("\n" + uri + "\n" + query + "\n")
	for _, name := range signedHeaders {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signedHeaders, ";") + "\n" + bodyHash)
	return b.String()
}

// headerValue is the canonical value of a header: values trimmed, runs of spaces
// made one, several values joined with commas. net/http keeps some headers outside
// of the map.
func headerValue(r *http.Request, name string) string {
	if isHost(name) {
		if r.Host == "" && r.URL != nil { // only on the signing side
			return trim(r.URL.Host)
		}
		return trim(r.Host)
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) == 0 {
		switch {
		case strings.EqualFold(name, "content-length") && r.ContentLength >= 0:
			return strconv.FormatInt(r.ContentLength, 10)
		case strings.EqualFold(name, "transfer-encoding"):
			values = r.TransferEncoding
		}
	}
	if len(values) == 1 {
		return trim(values[0])
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = trim(v)
	}
	return strings.Join(trimmed, ",")
}

// trim drops spaces around s and makes inner runs of spaces one space.
func trim(s string) string {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "  ") {
		return s
	}
	var b strings.Builder
	space := false
	for i := range len(s) {
		if s[i] != ' ' {
			b.WriteByte(s[i])
		} else if !space {
			b.WriteByte(' ')
		}
		space = s[i] == ' '
	}
	return b.String()
}

// canonicalURIs gives the forms of the path that clients sign. All services but s3
// encode the path as sent once more. botocore removes dot segments and doubled
// slashes before that, the Go SDKs do not: both are right to the service.
func canonicalURIs(r *http.Request, service string) []string {
	sent := r.URL.EscapedPath()
	if sent == "" {
		sent = "/"
	}
	if service == "s3" {
		return []string{escape(unescapePath(sent), true)}
	}
	verbatim := escape(sent, true)
	clean := path.Clean("/" + sent)
	if strings.HasSuffix(sent, "/") && clean != "/" {
		clean += "/"
	}
	if clean == sent {
		return []string{verbatim}
	}
	return []string{verbatim, escape(clean, true)}
}

// canonicalQuery decodes the members of a query, encodes them strictly and sorts
// them. It reads "+" as a space, as the handlers that use the query do: what they
// see is what was signed.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	type member struct{ name, value string }
	var members []member
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		m := member{escape(unescape(name), false), escape(unescape(value), false)}
		if m.name != querySignature {
			members = append(members, m)
		}
	}
	slices.SortStableFunc(members, func(a, b member) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, m := range members {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(m.name + "=" + m.value)
	}
	return b.String()
}

// escape percent-encodes everything but the unreserved characters of RFC 3986, and
// slashes where they are to stay.
func escape(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	if !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 || !unreserved(byte(c)) }) {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/2)
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || c == '/' && keepSlash {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unescape decodes a member of a query. A percent sign that begins no escape stands
// for itself.
func unescape(s string) string {
	return unescapePath(strings.ReplaceAll(s, "+", " "))
}

// unescapePath decodes percent escapes only.
func unescapePath(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, ok1 := unhex(s[i+1])
			low, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b = append(b, high<<4|low)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
