package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A second evaluator, written from the published logic for the property test. It shares nothing with the package:
// it reads the JSON with encoding/json, matches with regular expressions, counts with big.Rat, and has no care
// for speed.

type naiveRequest struct {
	action, resource string
	context          map[string][]string // names in lower case
	inResource       map[string][]string // replaces values of variables in resources; likewise
	caller           Principal           // the facts only
}

type naivePolicy struct {
	Version   string
	Statement []map[string]any
}

// naiveResult is what one layer says.
type naiveResult struct {
	allow, deny bool
	self        bool // an allow names the caller itself
	all         bool // an allow names everybody
}

func naiveLayer(texts []string, r naiveRequest) (out naiveResult) {
	for _, text := range texts {
		var p naivePolicy
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			panic(err)
		}
		for _, s := range p.Statement {
			self, all, ok := naiveStatement(s, p.Version == "2012-10-17", r)
			if !ok {
				continue
			}
			if s["Effect"] == "Deny" {
				out.deny = true
			} else {
				out.allow = true
				out.self = out.self || self
				out.all = out.all || all
			}
		}
	}
	return out
}

// naiveDecide puts the layers together; nil means that a layer is not set.
func naiveDecide(identity, boundary, session, trust []string, r naiveRequest) Reason {
	i, b, s, t := naiveLayer(identity, r), naiveLayer(boundary, r), naiveLayer(session, r), naiveLayer(trust, r)
	switch {
	case i.deny:
		return DeniedByIdentity
	case b.deny:
		return DeniedByBoundary
	case s.deny:
		return DeniedBySession
	case t.deny:
		return DeniedByTrust
	case trust != nil && !t.allow:
		return NoTrustAllows
	case !i.allow && !t.self:
		return NoIdentityAllows
	case boundary != nil && !b.allow:
		return NoBoundaryAllows
	case session != nil && !s.allow:
		return NoSessionAllows
	}
	return AllowedByPolicy
}

func naiveList(v any) []string {
	one := func(v any) string {
		switch v := v.(type) {
		case string:
			return v
		case bool:
			return strconv.FormatBool(v)
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		panic(v)
	}
	if l, ok := v.([]any); ok {
		out := []string{}
		for _, x := range l {
			out = append(out, one(x))
		}
		return out
	}
	return []string{one(v)}
}

func naiveStatement(s map[string]any, variables bool, r naiveRequest) (self, all, ok bool) {
	isAllow := s["Effect"] == "Allow"
	for _, e := range []string{"Principal", "NotPrincipal"} {
		if v, ok := s[e]; ok {
			self, all, named := naiveNames(v, r.caller)
			if e == "NotPrincipal" {
				if named {
					return false, false, false
				}
				self, all, named = false, true, true
			}
			if !named {
				return false, false, false
			}
			defer func(a, b bool) { self, all = a, b }(self, all)
			return self, all, naiveRest(s, variables, isAllow, r)
		}
	}
	return false, false, naiveRest(s, variables, isAllow, r)
}

func naiveNames(v any, c Principal) (self, all, named bool) {
	if v == "*" {
		return false, true, true
	}
	for _, value := range naiveList(v.(map[string]any)["AWS"]) {
		switch {
		case value == "*":
			all = true
		case value == c.AccountID || value == "arn:aws:iam::"+c.AccountID+":root":
			named = true
		case value == c.ARN || value == c.SessionARN || value == strings.Split(c.ID, ":")[0]:
			self = true
		}
	}
	return self, all, named || self || all
}

func naiveRest(s map[string]any, variables, isAllow bool, r naiveRequest) bool {
	actionMatches := func(list any) bool {
		for _, p := range naiveList(list) {
			if naiveWild(strings.ToLower(p), strings.ToLower(r.action), nil) {
				return true
			}
		}
		return false
	}
	if a, ok := s["Action"]; ok && !actionMatches(a) {
		return false
	}
	if a, ok := s["NotAction"]; ok && actionMatches(a) {
		return false
	}
	vars := r.context
	if !variables {
		vars = nil
	}
	inResource := naiveReplaced(vars, r.inResource)
	if l, ok := s["Resource"]; ok {
		any := false
		for _, p := range naiveList(l) {
			m, _ := naiveResource(p, r.resource, inResource)
			any = any || m
		}
		if !any {
			return false
		}
	}
	if l, ok := s["NotResource"]; ok {
		for _, p := range naiveList(l) {
			m, known := naiveResource(p, r.resource, inResource)
			if m || !known && isAllow {
				return false
			}
		}
	}
	conditions, _ := s["Condition"].(map[string]any)
	for op, keys := range conditions {
		for key, values := range keys.(map[string]any) {
			if !naiveCondition(op, strings.ToLower(key), naiveList(values), vars, isAllow, r) {
				return false
			}
		}
	}
	return true
}

// naiveTaken is the value of a key that was taken away: several, as no default stands in for those.
var naiveTaken = []string{"", ""}

// naiveReplaced is the values of variables in resources.
func naiveReplaced(vars, replacement map[string][]string) map[string][]string {
	if vars == nil {
		return nil
	}
	out := map[string][]string{}
	for key, v := range vars {
		out[key] = v
	}
	for key, v := range replacement {
		if len(v) == 0 && len(vars[key]) > 0 {
			v = naiveTaken
		}
		out[key] = v
	}
	return out
}

func naiveResource(pattern, resource string, vars map[string][]string) (matches, known bool) {
	if pattern == "*" {
		return true, true
	}
	p := strings.SplitN(pattern, ":", 6)
	for len(p) < 6 {
		p = append(p, "*")
	}
	rest, known := naiveTranslate(p[5], vars, true)
	q := strings.SplitN(resource, ":", 6)
	if !known || len(q) < 6 || q[0] != "arn" {
		return false, known
	}
	for i := range 5 {
		if !naiveWild(p[i], q[i], nil) {
			return false, known
		}
	}
	return regexp.MustCompile(rest).MatchString(q[5]), known
}

// naiveWild matches a pattern; with nil vars ${} has no meaning.
func naiveWild(pattern, text string, vars map[string][]string) bool {
	re, known := naiveTranslate(pattern, vars, true)
	return known && regexp.MustCompile(re).MatchString(text)
}

var naiveVariable = regexp.MustCompile(`^\$\{([^}',]+)(?:, *'([^']*)')?\}`)

// naiveTranslate makes a regular expression of a pattern; known is false if a variable has no value.
func naiveTranslate(pattern string, vars map[string][]string, wild bool) (re string, known bool) {
	known = true
	out := `(?s)\A`
	for pattern != "" {
		if m := naiveVariable.FindStringSubmatch(pattern); m != nil && vars != nil {
			pattern = pattern[len(m[0]):]
			if strings.Contains("*?$", m[1]) {
				out += regexp.QuoteMeta(m[1])
				continue
			}
			switch v := vars[strings.ToLower(m[1])]; {
			case len(v) == 1:
				out += regexp.QuoteMeta(v[0])
			case len(v) == 2 && &v[0] == &naiveTaken[0]:
				known = false
			case strings.Contains(m[0], "'"):
				out += regexp.QuoteMeta(m[2])
			default:
				known = false
			}
			continue
		}
		c := []rune(pattern)[0]
		pattern = pattern[len(string(c)):]
		switch {
		case wild && c == '*':
			out += ".*"
		case wild && c == '?':
			out += "."
		default:
			out += regexp.QuoteMeta(string(c))
		}
	}
	return out + `\z`, known
}

func naiveCondition(op, key string, values []string, vars map[string][]string, isAllow bool, r naiveRequest) bool {
	got := r.context[key]
	set := ""
	if i := strings.Index(op, ":"); i > 0 {
		set, op = op[:i], op[i+1:]
	}
	if op == "Null" {
		for _, v := range values {
			if strings.EqualFold(v, "true") == (len(got) == 0) {
				return true
			}
		}
		return false
	}
	ifExists := strings.HasSuffix(op, "IfExists")
	op = strings.TrimSuffix(op, "IfExists")
	negated := strings.Contains(op, "Not")
	op = strings.Replace(op, "Not", "", 1)
	text := strings.HasPrefix(op, "String") || strings.HasPrefix(op, "Arn")
	if negated && isAllow && text && vars != nil {
		for _, v := range values {
			if _, known := naiveTranslate(v, vars, true); !known {
				return false
			}
		}
	}
	if len(got) == 0 {
		return ifExists || set == "ForAllValues" || set == "" && negated
	}
	met := 0
	for _, g := range got {
		matched := false
		for _, v := range values {
			matched = matched || naiveCompare(op, v, g, vars)
		}
		if matched != negated {
			met++
		}
	}
	if set == "ForAllValues" {
		return met == len(got)
	}
	return met > 0
}

func naiveCompare(op, want, got string, vars map[string][]string) bool {
	switch {
	case op == "StringLike":
		return naiveWild(want, got, vars)
	case op == "StringEquals":
		re, known := naiveTranslate(want, vars, false)
		return known && regexp.MustCompile(re).MatchString(got)
	case op == "StringEqualsIgnoreCase":
		re, known := naiveTranslate(want, vars, false)
		return known && regexp.MustCompile("(?i)"+re).MatchString(got)
	case strings.HasPrefix(op, "Arn"):
		p, q := strings.SplitN(want, ":", 6), strings.SplitN(got, ":", 6)
		if len(p) < 6 || len(q) < 6 || q[0] != "arn" {
			return false
		}
		for i := range p {
			if !naiveWild(p[i], q[i], vars) {
				return false
			}
		}
		return true
	case op == "Bool":
		return strings.EqualFold(want, got) && (strings.EqualFold(got, "true") || strings.EqualFold(got, "false"))
	case op == "BinaryEquals":
		a, err1 := base64.StdEncoding.Strict().DecodeString(want)
		b, err2 := base64.StdEncoding.Strict().DecodeString(got)
		return err1 == nil && err2 == nil && bytes.Equal(a, b)
	case op == "IpAddress":
		if !strings.Contains(want, "/") {
			return net.ParseIP(want).Equal(net.ParseIP(got)) && net.ParseIP(got) != nil
		}
		_, n, err := net.ParseCIDR(want)
		ip := net.ParseIP(got)
		return err == nil && ip != nil && n.Contains(ip)
	case strings.HasPrefix(op, "Numeric"):
		a, ok1 := new(big.Rat).SetString(want)
		b, ok2 := new(big.Rat).SetString(got)
		return ok1 && ok2 && naiveOrder(strings.TrimPrefix(op, "Numeric"), b.Cmp(a))
	case strings.HasPrefix(op, "Date"):
		a, ok1 := naiveDate(want)
		b, ok2 := naiveDate(got)
		return ok1 && ok2 && naiveOrder(strings.TrimPrefix(op, "Date"), b.Compare(a))
	}
	panic(op)
}

func naiveOrder(relation string, compared int) bool {
	return map[string][]bool{
		"Equals":            {false, true, false},
		"LessThan":          {true, false, false},
		"LessThanEquals":    {true, true, false},
		"GreaterThan":       {false, false, true},
		"GreaterThanEquals": {false, true, true},
	}[relation][compared+1]
}

func naiveDate(text string) (time.Time, bool) {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil { // epoch seconds have no sign
		return time.Unix(int64(n), 0), true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
