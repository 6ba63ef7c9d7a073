package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxEcho bounds how much of an Authorization header an error text repeats, in bytes.
const maxEcho = 1024

// Parse reads the signature of a request from its Authorization header or its query.
// It gives [ErrUnsigned] for a request that has neither, and another [*Error] for one
// that cannot be read. Algorithm and scope are kept as they are: by the order of
// api.md §2.2 [Auth.Check] judges them, after the date.
func Parse(r *http.Request) (*Auth, error) {
	headers := r.Header.Values("Authorization")
	query := presignQuery(r.URL.RawQuery)
	switch {
	case len(headers) > 0 && query[queryAlgorithm] != nil:
		return nil, invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case len(headers) > 1:
		return nil, incomplete("Found more than one 'Authorization' header.")
	case len(headers) == 1:
		return parseHeader(r, headers[0])
	case query[queryAlgorithm] != nil || query[queryCredential] != nil || query[querySignature] != nil:
		return parseQuery(query)
	}
	return nil, ErrUnsigned
}

// Service is the service that a request says it is signed for, empty if it says none.
// It judges nothing, and so also serves to give a refusal the form of its service.
func Service(r *http.Request) string {
	credential := ""
	if values := presignQuery(r.URL.RawQuery)[queryCredential]; len(values) > 0 {
		credential = values[0]
	} else if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(rest, ",")
	}
	var a Auth
	a.setCredential(credential)
	return a.Service
}

// parseHeader reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
// A word that is no key=value pair counts as a missing part.
func parseHeader(r *http.Request, header string) (*Auth, error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	parts := make(map[string]string, 3)
	for pair := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || value == "" {
			continue
		}
		if _, twice := parts[key]; twice {
			return nil, incomplete("Authorization header has more than one '%s' parameter.", cut(key))
		}
		if len(parts) == 16 { // the real one has three
			return nil, incomplete("Authorization header has too many parameters.")
		}
		parts[key] = value
	}
	date, isISO := r.Header.Get(headerDate), true
	if date == "" {
		date, isISO = r.Header.Get("Date"), false
	}

	var missing strings.Builder
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			missing.WriteString("Authorization header requires '" + name + "' parameter. ")
		}
	}
	if date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return nil, incomplete("%sAuthorization=%s", missing.String(), cut(header))
	}

	a := &Auth{
		Algorithm:     algorithm,
		SignedHeaders: strings.Split(parts["SignedHeaders"], ";"),
		Signature:     parts["Signature"],
		SecurityToken: r.Header.Get(headerToken),
	}
	a.setCredential(parts["Credential"])
	if err := a.setTime(date, isISO); err != nil {
		return nil, err
	}
	return a, nil
}

// parseQuery reads the query of a presigned URL.
func parseQuery(query map[string][]string) (*Auth, error) {
	var missing strings.Builder
	for _, name := range []string{queryAlgorithm, queryCredential, querySignature, querySigned, headerDate} {
		switch values := query[name]; {
		case len(values) > 1:
			return nil, incomplete("AWS query-string parameter '%s' appears more than once.", name)
		case len(values) == 0 || values[0] == "":
			missing.WriteString("AWS query-string parameters must include '" + name + "'. ")
		}
	}
	if missing.Len() > 0 {
		return nil, incomplete("%sRe-examine the query-string parameters.", missing.String())
	}

	a := &Auth{
		Algorithm:     query[queryAlgorithm][0],
		SignedHeaders: strings.Split(query[querySigned][0], ";"),
		Signature:     query[querySignature][0],
		Presigned:     true,
	}
	if token := query[headerToken]; len(token) > 0 {
		a.SecurityToken = token[0]
	}
	a.setCredential(query[queryCredential][0])
	if err := a.setTime(query[headerDate][0], true); err != nil {
		return nil, err
	}
	if expires := query[queryExpires]; len(expires) > 0 {
		seconds, err := strconv.ParseUint(expires[0], 10, 32)
		life := time.Duration(seconds) * time.Second
		if err != nil || life < time.Second || life > MaxExpires {
			return nil, incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800, got '%s'.", cut(expires[0]))
		}
		a.Expires = life
	}
	return a, nil
}

// setCredential splits keyid/date/region/service/term as far as it goes, so that the
// service is known even where the rest is wrong: it decides the form of the error.
func (a *Auth) setCredential(credential string) {
	a.Credential = credential
	a.scopeParts = strings.Count(credential, "/") + 1
	parts := strings.SplitN(credential, "/", 6)
	for i, dst := range []*string{&a.AccessKeyID, &a.Date, &a.Region, &a.Service, &a.terminator} {
		if i < len(parts) {
			*dst = parts[i]
		}
	}
}

// setTime reads the date. A Date header may also have the form of HTTP, as clients
// that cannot choose it send it.
func (a *Auth) setTime(date string, isISO bool) error {
	at, err := time.Parse(timeForm, date)
	if err != nil && !isISO {
		at, err = http.ParseTime(date)
	}
	if err != nil {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", cut(date))
	}
	a.Time = at.UTC()
	return nil
}

// presignQuery collects the X-Amz- members of a query; everything else is not read.
func presignQuery(raw string) map[string][]string {
	if !strings.Contains(raw, "X-Amz-") {
		return nil
	}
	query := make(map[string][]string)
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); strings.HasPrefix(name, "X-Amz-") && len(query[name]) < 2 {
			query[name] = append(query[name], unescape(value))
		}
	}
	return query
}

// cut shortens foreign text for an error.
func cut(s string) string {
	if len(s) > maxEcho {
		return strings.ToValidUTF8(s[:maxEcho], "") + "..."
	}
	return s
}
