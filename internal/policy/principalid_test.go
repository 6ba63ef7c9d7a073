package policy

import "testing"

// An ARN that stood for somebody else when the policy was saved names nobody now, and
// takes nobody out of NotPrincipal.
func TestPrincipalIDs(t *testing.T) {
	const arn, old, now = "arn:aws:iam::123456789012:user/bob", "AIDAOOOOOOOOOOOOOOOOO", "AIDANNNNNNNNNNNNNNNNN"
	for _, c := range []struct {
		name, statement string
		ids             map[string]string
		want            bool
	}{
		{"no ids", `{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}`, nil, true},
		{"the same", `{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}`, map[string]string{arn: now}, true},
		{"another", `{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}`, map[string]string{arn: old}, false},
		{"by id", `{"Effect":"Allow","Principal":{"AWS":"` + now + `"},"Action":"sts:AssumeRole"}`, map[string]string{arn: old}, true},
		{"denied but for the same", `[{"Effect":"Allow","Principal":{"AWS":"` + now + `"},"Action":"sts:AssumeRole"},
			{"Effect":"Deny","NotPrincipal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}]`, map[string]string{arn: now}, true},
		{"denied but for another", `[{"Effect":"Allow","Principal":{"AWS":"` + now + `"},"Action":"sts:AssumeRole"},
			{"Effect":"Deny","NotPrincipal":{"AWS":"` + arn + `"},"Action":"sts:AssumeRole"}]`, map[string]string{arn: old}, false},
	} {
		p, err := Parse([]byte(`{"Version":"2012-10-17","Statement":`+c.statement+`}`), Trust)
		if err != nil {
			t.Fatal(err)
		}
		d := Evaluate(Request{
			Principal: Principal{Type: User, AccountID: "123456789012", ARN: arn, ID: now},
			Action:    "sts:AssumeRole", Resource: "arn:aws:iam::123456789012:role/r",
			Trust: &Source{Policy: p, PrincipalIDs: c.ids},
		})
		if d.Allowed != c.want {
			t.Errorf("%s: %t", c.name, d.Allowed)
		}
	}
}
