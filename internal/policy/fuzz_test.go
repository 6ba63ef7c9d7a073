package policy

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func fuzzKind(n uint8) Kind { return Kind(n%uint8(Resource)) + Managed }

func seedPolicies(f *testing.F, add func(text string)) {
	f.Helper()
	for _, text := range []string{
		managed(allowAll),
		managed(endUser(ifChecked, "aws:userid")),
		`{"Version":"2008-10-17","Id":"x","Statement":{"Sid":"S","Effect":"Deny","NotAction":["a:b","*"],"NotResource":"arn:aws:s3:::${x}"}}`,
		managed(`{"Effect":"Allow","Principal":{"AWS":["*","111122223333"],"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}`),
		managed(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username, 'x}*'}"}`),
		one(`"ForAllValues:StringNotLikeIfExists":{"a:b":["${*}*","${c:d}"]},"NumericLessThan":{"n":[1,-2.5e3]},"DateEquals":{"d":"2026-01-31T00:00Z"}`),
		one(`"ArnLike":{"k":["${aws:PrincipalArn}","arn:aws:iam::*:user/?${*}"]},"IpAddress":{"i":"::ffff:10.0.0.0/104"},"Null":{"x":[true]},"BinaryEquals":{"b":"QQ=="}`),
	} {
		add(text)
	}
}

// derived makes requests that the policy's own texts suggest, so that they come near its edges.
func derived(p *Policy) []Request {
	plain := strings.NewReplacer("*", "x", "?", "y")
	caller := alice()
	context := caller.Context()
	for i := range p.statements {
		for _, t := range p.statements[i].tests {
			for j, o := range t.operands {
				if v := plain.Replace(o.text); (i+j)%3 != 2 && !slices.Contains(context[t.key], v) {
					context[t.key] = append(context[t.key], v)
				}
			}
		}
	}
	contexts := []Context{context, caller.Context()}
	var out []Request
	for i := range p.statements {
		s := &p.statements[i]
		actions := append([]string{"sts:AssumeRole"}, s.actionText...)
		resources := []string{"*"}
		for _, r := range s.resource {
			resources = append(resources, plain.Replace(r.text), strings.ReplaceAll(plain.Replace(r.text), "${aws:username}", "alice"))
		}
		for _, c := range contexts {
			for a := 0; a < min(len(actions), 4); a++ {
				for r := 0; r < min(len(resources), 4); r++ {
					out = append(out, Request{Principal: caller, Action: plain.Replace(actions[a]), Resource: resources[r], Context: c, Now: testNow})
				}
			}
		}
		if len(out) > 200 {
			break
		}
	}
	return out
}

// decideAs puts the policy where its kind belongs.
func decideAs(p *Policy, r Request) Decision {
	src := Source{Policy: p}
	switch p.kind {
	case Session:
		r.Session = []Source{src}
	case Trust:
		r.Trust = &src
	case Resource:
		r.ResourcePolicy = &src
	default:
		r.Identity = []Source{src}
	}
	r.Trace = true
	return Evaluate(r)
}

// sameDecision compares all but the pointers.
func sameDecision(a, b Decision) bool {
	index := func(m []Match) []int {
		out := []int{}
		for _, x := range m {
			out = append(out, x.Statement.index)
		}
		return out
	}
	return a.Outcome == b.Outcome && a.Reason == b.Reason && slices.Equal(index(a.Matched), index(b.Matched)) && slices.Equal(a.MissingContext, b.MissingContext)
}

// FuzzParse: whatever parses is JSON, prints to something that parses, and decides as before.
func FuzzParse(f *testing.F) {
	seedPolicies(f, func(text string) {
		for k := range uint8(Resource) {
			f.Add([]byte(text), k)
		}
	})
	f.Fuzz(func(t *testing.T, text []byte, k uint8) {
		kind := fuzzKind(k)
		p, err := Parse(text, kind)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Text == "" || syntax.Line < 1 || syntax.Column < 1 || p != nil {
				t.Fatalf("error %#v beside %v", err, p)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("parsed what is no JSON: %q", text)
		}
		printed := p.String()
		again, err := Parse([]byte(printed), kind)
		if err != nil {
			t.Fatalf("printed as %s: %v", printed, err)
		}
		if again.String() != printed {
			t.Fatalf("printed as %s, then as %s", printed, again)
		}
		if again.Size() != utf8.RuneCountInString(printed) {
			t.Fatalf("%s has size %d", printed, again.Size())
		}
		if !slices.Equal(p.ContextKeys(), again.ContextKeys()) {
			t.Fatalf("keys %q, then %q", p.ContextKeys(), again.ContextKeys())
		}
		for _, r := range derived(p) {
			if a, b := decideAs(p, r), decideAs(again, r); !sameDecision(a, b) {
				t.Fatalf("%s on %s: %+v, printed %+v", r.Action, r.Resource, a, b)
			}
		}
	})
}

// FuzzEvaluate: no request makes a decision panic or break what must always hold between decisions.
func FuzzEvaluate(f *testing.F) {
	seedPolicies(f, func(text string) {
		f.Add([]byte(text), "ssm:StartSession", docShell, "aws:SourceIp", "10.0.0.1", "x")
		f.Add([]byte(text), "SSM:", "*", "n", "-1e5", "2026-01-31")
		f.Add([]byte(text), "", "arn:aws:s3:::b/a", "K", "QQ==", "\xff")
	})
	f.Fuzz(func(t *testing.T, text []byte, action, resource, key, first, second string) {
		if len(action)+len(resource)+len(first)+len(second) > 4096 {
			return
		}
		p, err := Parse(text, Inline)
		if err != nil {
			return
		}
		caller := alice()
		caller.Tags = map[string]string{key: second}
		r := Request{Principal: caller, Action: action, Resource: resource, Context: with(caller, Context{key: {first, second}}), Now: testNow,
			Identity: []Source{{Policy: p}}, Aliases: []string{second}}
		d := Evaluate(r)
		if d.Allowed != (d.Outcome == Allowed) || (Explain(d, aliceARN, action, resource) == "") != d.Allowed {
			t.Fatalf("contradicts itself: %+v", d)
		}
		if (d.Deciding.Statement != nil) != (d.Outcome != ImplicitDeny) {
			t.Fatalf("%s decided by %v", d.Outcome, d.Deciding.Statement)
		}
		traced := r
		traced.Trace = true
		if got := Evaluate(traced); got.Reason != d.Reason || got.Deciding.Statement != d.Deciding.Statement {
			t.Fatalf("without a trace %+v, with one %+v", d, got)
		}
		bounded := r
		bounded.Boundary = &r.Identity[0]
		if got := Evaluate(bounded); got.Outcome != d.Outcome {
			t.Fatalf("bounded by itself %s, else %s", got.Outcome, d.Outcome)
		}
		narrowed := r
		narrowed.Session = sources(t, managed(allowX))
		if got := Evaluate(narrowed); got.Allowed && !d.Allowed {
			t.Fatal("a session policy widens")
		}
		denied := r
		denied.Identity = append(sources(t, managed(denyAll)), r.Identity...)
		if got := Evaluate(denied); got.Outcome != ExplicitDeny {
			t.Fatalf("denied all: %+v", got)
		}
	})
}

// FuzzWildcard compares matching with a regular expression, with and without variables.
func FuzzWildcard(f *testing.F) {
	for _, s := range [][3]string{{"a*b?c", "axxbyc", ""}, {"*", "", ""}, {"**?*", "é", ""}, {"*a*a*a*b", "aaaaaaaaab", ""}, {"?*?", "日本", ""},
		{"${v}*${v}", "a*xa*", "a*"}, {"*${v}?${*}", "ooz*", "o"}, {"${w, 'q'}*", "qx", ""}, {"*ab*ab", "abab", ""}, {"*?a", "aa", ""}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, text, subject, value string) {
		if len(text) > 200 || len(subject) > 2000 || len(value) > 200 {
			return
		}
		text, subject, value = strings.ToValidUTF8(text, "-"), strings.ToValidUTF8(subject, "-"), strings.ToValidUTF8(value, "-")
		plain, err := compilePattern(text, patternRules{wildcards: true})
		if err != nil {
			t.Fatalf("a pattern without variables: %v", err)
		}
		re := regexp.QuoteMeta(text)
		re = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(re)
		if got, want := plain.match(&evaluation{}, subject), regexp.MustCompile(`(?s)\A(?:`+re+`)\z`).MatchString(subject); got != want {
			t.Fatalf("%q matches %q: %v, want %v", text, subject, got, want)
		}
		withVars, err := compilePattern(text, patternRules{wildcards: true, variables: true})
		if err != nil {
			return
		}
		vars := map[string][]string{"v": {value}}
		for i := range withVars.pieces {
			if withVars.pieces[i].kind == variable && naiveVariable.FindString("${"+withVars.pieces[i].text+"}") == "" {
				return // the naive translation knows simpler names only
			}
			if withVars.pieces[i].hasDefault {
				return
			}
		}
		if strings.Contains(text, "'") || strings.Contains(text, ", ") {
			return
		}
		want := naiveWild(text, subject, vars)
		if got := withVars.match(&evaluation{context: vars}, subject); got != want {
			t.Fatalf("%q with v=%q matches %q: %v, want %v", text, value, subject, got, want)
		}
	})
}
