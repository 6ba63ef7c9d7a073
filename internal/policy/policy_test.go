package policy

import (
	"encoding/json"
	"testing"
	"time"
)

const (
	testAccount = "111122223333"
	aliceARN    = "arn:aws:iam::111122223333:user/alice"
	aliceID     = "AIDAALICEALICEALICE22"
	bobID       = "AIDABOBBOBBOBBOBBOB22"
	opsID       = "AROAOPSOPSOPSOPSOPS22"
	docShell    = "arn:aws:ssm:us-west-2:111122223333:document/SSM-SessionManagerRunShell"
	instanceA   = "arn:aws:ec2:us-west-2:111122223333:instance/i-0aaaaaaaaaaaaaaaa"
	instanceB   = "arn:aws:ec2:us-west-2:111122223333:instance/i-0bbbbbbbbbbbbbbbb"
	managedC    = "arn:aws:ssm:us-west-2:111122223333:managed-instance/mi-0cccccccccccccccc"
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func mustParse(t testing.TB, text string, kind Kind) *Policy {
	t.Helper()
	p, err := Parse([]byte(text), kind)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return p
}

// managed wraps statements into a managed policy's text of the newer version.
func managed(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

// sources parses the texts as inline policies.
func sources(t testing.TB, texts ...string) []Source {
	t.Helper()
	out := []Source{}
	for _, text := range texts {
		out = append(out, Source{Policy: mustParse(t, text, Inline), Name: "p", Type: FromUser})
	}
	return out
}

func source(t testing.TB, text string, kind Kind) *Source {
	t.Helper()
	return &Source{Policy: mustParse(t, text, kind), Name: "p"}
}

func alice() Principal {
	return Principal{Type: User, AccountID: testAccount, ARN: aliceARN, ID: aliceID, UserName: "alice"}
}

func bob() Principal {
	return Principal{Type: User, AccountID: testAccount, ARN: "arn:aws:iam::111122223333:user/bob", ID: bobID, UserName: "bob"}
}

// carol is the session "carol" of the role Ops.
func carol() Principal {
	return Principal{Type: AssumedRole, AccountID: testAccount, ARN: "arn:aws:iam::111122223333:role/team/Ops",
		SessionARN: "arn:aws:sts::111122223333:assumed-role/Ops/carol", ID: opsID + ":carol"}
}

// with returns the principal's keys together with more.
func with(p Principal, more Context) Context {
	c := p.Context()
	for name, values := range more {
		c[fold(name)] = values
	}
	return c
}

// decide asks as alice with the given identity policies.
func decide(t testing.TB, action, resource string, more Context, policies ...string) Decision {
	t.Helper()
	p := alice()
	return Evaluate(Request{Principal: p, Action: action, Resource: resource, Context: with(p, more), Now: testNow,
		Identity: sources(t, policies...)})
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestDecisionNamesTheStatement(t *testing.T) {
	const second = `{"Sid": "Two", "Effect": "Allow", "Action": ["ssm:StartSession", "ec2:*"], "Resource": "*"}`
	text := "{\n \"Version\": \"2012-10-17\",\n \"Statement\": [\n" +
		"  {\"Sid\": \"One\", \"Effect\": \"Allow\", \"Action\": \"ssm:StartSession\", \"Resource\": \"" + instanceA + "\"},\n" +
		"  " + second + "\n ]\n}"
	p := alice()
	src := []Source{{Policy: mustParse(t, text, Managed), Name: "walk", ARN: "arn:aws:iam::111122223333:policy/walk", Type: UserManaged}}
	d := Evaluate(Request{Principal: p, Action: "ssm:StartSession", Resource: instanceB, Context: p.Context(), Identity: src})
	if !d.Allowed || d.Outcome != Allowed || d.Reason != AllowedByPolicy {
		t.Fatalf("got %+v, want allowed", d)
	}
	s := d.Deciding.Statement
	if s.Sid() != "Two" || s.Index() != 2 || d.Deciding.Source.Name != "walk" || d.Deciding.Layer != LayerIdentity {
		t.Errorf("decided by %q, number %d of %+v", s.Sid(), s.Index(), d.Deciding.Source)
	}
	if want := (Position{5, 3}); s.Start() != want {
		t.Errorf("statement starts at %v, want %v", s.Start(), want)
	}
	if want := (Position{5, 3 + len(second)}); s.End() != want {
		t.Errorf("statement ends at %v, want %v", s.End(), want)
	}
	if d.Matched != nil || d.MissingContext != nil {
		t.Errorf("matches without a trace: %v %v", d.Matched, d.MissingContext)
	}
}

func TestTraceListsMatchesAndMissingKeys(t *testing.T) {
	p := alice()
	d := Evaluate(Request{Principal: p, Action: "ssm:StartSession", Resource: instanceA, Context: p.Context(), Trace: true,
		Identity: sources(t,
			managed(`{"Sid":"a","Effect":"Allow","Action":"ssm:*","Resource":"*"},
				{"Sid":"b","Effect":"Allow","Action":"ssm:StartSession","Resource":"*","Condition":{"StringEquals":{"ssm:resourceTag/Team":"${aws:PrincipalTag/Team}"}}},
				{"Sid":"c","Effect":"Allow","Action":"ssm:StartSession","Resource":"arn:aws:ec2:*:*:instance/${aws:PrincipalTag/Node}","Condition":{"Bool":{"x:unseen":"true"}}},
				{"Sid":"d","Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"Bool":{"x:other":"true"}}}`),
			managed(`{"Sid":"e","Effect":"Deny","Action":"ssm:StartSession","Resource":"*"},{"Sid":"f","Effect":"Deny","Action":"*","Resource":"*"}`))})
	if d.Outcome != ExplicitDeny || d.Deciding.Statement.Sid() != "e" || !d.IdentityAllows {
		t.Errorf("got %+v", d)
	}
	var sids string
	for _, m := range d.Matched {
		sids += m.Statement.Sid()
	}
	if sids != "aef" {
		t.Errorf("matched %q, want aef", sids)
	}
	want := []string{"ssm:resourceTag/Team", "aws:PrincipalTag/Team", "aws:PrincipalTag/Node"}
	if got := d.MissingContext; !equalStrings(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

func equalStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestContextKeysOfPolicy(t *testing.T) {
	p := mustParse(t, managed(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*",
		"Condition":{"StringLike":{"aws:PrincipalTag/a":["${aws:UserID}","x"]},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:role/${x:y}"},"Null":{"AWS:USERNAME":"true"}}}`), Managed)
	want := []string{"aws:username", "aws:PrincipalTag/a", "aws:UserID", "aws:PrincipalArn", "x:y"}
	if got := p.ContextKeys(); !equalStrings(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s := &p.Statements()[0]
	if !s.HasConditionKey("AWS:principaltag/A") || s.HasConditionKey("aws:userid") {
		t.Error("HasConditionKey looks at something else than the condition's keys")
	}
}

func TestPrincipalContext(t *testing.T) {
	a, c := alice(), carol()
	a.Tags = map[string]string{"Team": "ops"}
	ac, cc := a.Context(), c.Context()
	for key, want := range map[string]string{"aws:username": "alice", "aws:userid": aliceID, "aws:principaltype": "User",
		"aws:principalarn": aliceARN, "aws:principaltag/team": "ops", "aws:principalaccount": testAccount} {
		if got := ac[key]; len(got) != 1 || got[0] != want {
			t.Errorf("alice: %s is %q, want %q", key, got, want)
		}
	}
	if cc["aws:username"] != nil || cc["aws:userid"][0] != opsID+":carol" || cc["aws:principalarn"][0] != c.ARN {
		t.Errorf("carol: %v", cc)
	}
}
