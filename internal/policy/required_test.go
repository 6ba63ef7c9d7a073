package policy

import "testing"

// TestRequiredResourcePolicy asks for a:x on a thing that nobody reaches without its own policy.
func TestRequiredResourcePolicy(t *testing.T) {
	statement := func(effect, principal, action string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"}]}`
	}
	p := alice()
	account, self, other := `{"AWS":"`+p.AccountID+`"}`, `{"AWS":"`+p.ARN+`"}`, `{"AWS":"`+p.ARN+`x"}`
	for _, c := range []struct {
		name, identity, resource string
		want                     Reason
	}{
		{"both, through the account", allowX, statement("Allow", account, "a:*"), AllowedByPolicy},
		{"identity alone", allowX, statement("Allow", account, "a:y"), NoResourceAllows},
		{"identity alone, another is named", allowX, statement("Allow", other, "a:*"), NoResourceAllows},
		{"the account alone", "", statement("Allow", account, "a:*"), NoIdentityAllows},
		{"the caller named", "", statement("Allow", self, "a:*"), AllowedByPolicy},
		{"everybody named", "", statement("Allow", `"*"`, "a:*"), AllowedByPolicy},
		{"denied", allowX, statement("Deny", account, "a:x"), DeniedByResource},
		{"neither", "", statement("Allow", account, "a:y"), NoIdentityAllows},
	} {
		r := Request{Principal: p, Action: "a:x", Resource: "arn:aws:a:b:c:d", Context: p.Context(), ResourceRequired: true}
		r.ResourcePolicy = source(t, c.resource, Resource)
		if c.identity != "" {
			r.Identity = sources(t, managed(c.identity))
		}
		d := Evaluate(r)
		if d.Reason != c.want || d.Allowed != (c.want == AllowedByPolicy) {
			t.Errorf("%s: reason %d, allowed %v, want reason %d", c.name, d.Reason, d.Allowed, c.want)
		}
	}
	d := Decision{Outcome: ImplicitDeny, Reason: NoResourceAllows}
	const want = "User: arn is not authorized to perform: a:x on resource: r because no resource-based policy allows the a:x action"
	if got := Explain(d, "arn", "a:x", "r"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
