package policy

import (
	"testing"
	"time"
)

const (
	allowAll = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	denyAll  = `{"Effect":"Deny","Action":"*","Resource":"*"}`
	allowX   = `{"Effect":"Allow","Action":"a:x","Resource":"*"}`
	allowY   = `{"Effect":"Allow","Action":"a:y","Resource":"*"}`
	denyX    = `{"Effect":"Deny","Action":"a:x","Resource":"*"}`
)

// TestEvaluationOrder asks for a:x under every mix of layers; an empty text means that the layer is not set.
func TestEvaluationOrder(t *testing.T) {
	for _, c := range []struct {
		name                        string
		identity, boundary, session string
		want                        Reason
	}{
		{"nothing", "", "", "", NoIdentityAllows},
		{"identity", allowX, "", "", AllowedByPolicy},
		{"other action", allowY, "", "", NoIdentityAllows},
		{"deny and allow in one", allowX + "," + denyX, "", "", DeniedByIdentity},
		{"boundary alone", "", allowAll, "", NoIdentityAllows},
		{"session alone", "", "", allowAll, NoIdentityAllows},
		{"both agree", allowX, allowX, "", AllowedByPolicy},
		{"boundary lacks it", allowX, allowY, "", NoBoundaryAllows},
		{"boundary denies", allowX, allowAll + "," + denyX, "", DeniedByBoundary},
		{"boundary denies what nobody allows", "", denyX, "", DeniedByBoundary},
		{"session agrees", allowX, "", allowAll, AllowedByPolicy},
		{"session lacks it", allowX, "", allowY, NoSessionAllows},
		{"session denies", allowX, "", allowAll + "," + denyX, DeniedBySession},
		{"all three", allowX, allowX, allowX, AllowedByPolicy},
		{"boundary before session", allowX, allowY, allowY, NoBoundaryAllows},
		{"identity before boundary", allowY, allowY, allowY, NoIdentityAllows},
		{"identity's deny first", denyX, denyX, denyX, DeniedByIdentity},
		{"boundary's deny second", allowX, denyX, denyX, DeniedByBoundary},
		{"a deny beats a missing allow", allowY, allowY, denyX, DeniedBySession},
	} {
		for _, trace := range []bool{false, true} {
			p := alice()
			r := Request{Principal: p, Action: "a:x", Resource: "*", Context: p.Context(), Trace: trace}
			if c.identity != "" {
				r.Identity = sources(t, managed(c.identity))
			}
			if c.boundary != "" {
				r.Boundary = source(t, managed(c.boundary), Managed)
			}
			if c.session != "" {
				r.Session = sources(t, managed(c.session))
			}
			d := Evaluate(r)
			if d.Reason != c.want || d.Allowed != (c.want == AllowedByPolicy) {
				t.Errorf("%s: reason %d, want %d", c.name, d.Reason, c.want)
			}
			deny := c.want == DeniedByIdentity || c.want == DeniedByBoundary || c.want == DeniedBySession
			if (d.Outcome == ExplicitDeny) != deny || (d.Outcome == Allowed) != d.Allowed {
				t.Errorf("%s: outcome %s with reason %d", c.name, d.Outcome, d.Reason)
			}
			if (d.Deciding.Statement != nil) != (deny || d.Allowed) {
				t.Errorf("%s: deciding statement %v", c.name, d.Deciding.Statement)
			}
		}
	}
}

func TestOneOfSeveralSessionPoliciesSuffices(t *testing.T) {
	p := carol()
	r := Request{Principal: p, Action: "a:x", Resource: "*", Context: p.Context(),
		Identity: sources(t, managed(allowAll)), Session: sources(t, managed(allowY), managed(allowX))}
	if d := Evaluate(r); !d.Allowed || !d.SessionAllows {
		t.Errorf("got %+v", d)
	}
}

func TestFederatedUserWithoutSessionPolicyMayNothing(t *testing.T) {
	p := Principal{Type: FederatedUser, AccountID: testAccount, ARN: "arn:aws:sts::111122223333:federated-user/fred", ID: testAccount + ":fred"}
	r := Request{Principal: p, Action: "a:x", Resource: "*", Context: p.Context(), Identity: sources(t, managed(allowAll)), SessionRequired: true}
	if d := Evaluate(r); d.Reason != NoSessionAllows {
		t.Errorf("got %+v", d)
	}
	r.Session = sources(t, managed(allowX))
	if d := Evaluate(r); !d.Allowed {
		t.Errorf("got %+v", d)
	}
}

func TestRootPassesEverything(t *testing.T) {
	p := Principal{Type: Account, AccountID: testAccount, ARN: "arn:aws:iam::111122223333:root", ID: testAccount}
	d := Evaluate(Request{Principal: p, Action: "a:x", Resource: "*", Identity: sources(t, managed(denyAll)), Boundary: source(t, managed(denyAll), Managed)})
	if !d.Allowed || d.Reason != AllowedAsRoot || d.Deciding.Statement != nil {
		t.Errorf("got %+v", d)
	}
}

func TestTrustPolicyNamesTheCaller(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/team/Target"
	assume := sources(t, managed(`{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+role+`"}`))
	none := []Source{}
	aws := func(v string) string {
		return `{"Effect":"Allow","Principal":{"AWS":"` + v + `"},"Action":"sts:AssumeRole"}`
	}
	service := Principal{Type: Service, Provider: "ssm.amazonaws.com"}
	web := Principal{Type: WebIdentity, Provider: "arn:aws:iam::111122223333:oidc-provider/id.example.com"}
	stranger := alice()
	stranger.AccountID = "444455556666"
	stranger.ARN = "arn:aws:iam::444455556666:user/alice"
	for _, c := range []struct {
		name      string
		principal Principal
		identity  []Source
		trust     string
		want      Reason
	}{
		{"user by name", alice(), none, aws(aliceARN), AllowedByPolicy},
		{"user by id", alice(), none, aws(aliceID), AllowedByPolicy},
		{"other user", bob(), assume, aws(aliceARN), NoTrustAllows},
		{"account and identity", alice(), assume, aws("arn:aws:iam::111122223333:root"), AllowedByPolicy},
		{"account id and identity", alice(), assume, aws(testAccount), AllowedByPolicy},
		{"account without identity", alice(), none, aws(testAccount), NoIdentityAllows},
		{"other account", stranger, assume, aws(testAccount), NoTrustAllows},
		{"everybody without identity", alice(), none, aws("*"), NoIdentityAllows},
		{"everybody and identity", alice(), assume, `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`, AllowedByPolicy},
		{"role by name", carol(), none, aws("arn:aws:iam::111122223333:role/team/Ops"), AllowedByPolicy},
		{"role by a name without its path", carol(), none, aws("arn:aws:iam::111122223333:role/Ops"), NoTrustAllows},
		{"role by id", carol(), none, aws(opsID), AllowedByPolicy},
		{"role session by name", carol(), none, aws("arn:aws:sts::111122223333:assumed-role/Ops/carol"), AllowedByPolicy},
		{"other session", carol(), none, aws("arn:aws:sts::111122223333:assumed-role/Ops/dave"), NoTrustAllows},
		{"service", service, none, `{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}`, AllowedByPolicy},
		{"other service", service, none, `{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`, NoTrustAllows},
		{"service is nobody of the account", service, none, aws(testAccount), NoTrustAllows},
		{"user called like a service", Principal{Type: User, AccountID: testAccount, ARN: "ssm.amazonaws.com", Provider: "ssm.amazonaws.com"}, assume,
			`{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}`, NoTrustAllows},
		{"web identity", web, none, `{"Effect":"Allow","Principal":{"Federated":"` + web.Provider + `"},"Action":"sts:AssumeRole*"}`, AllowedByPolicy},
		{"explicit deny", alice(), assume, aws(aliceARN) + `,{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}`, DeniedByTrust},
		{"deny all but one: the one", alice(), assume, aws(testAccount) + `,{"Effect":"Deny","NotPrincipal":{"AWS":"` + aliceARN + `"},"Action":"sts:AssumeRole"}`, AllowedByPolicy},
		{"deny all but one: another", bob(), assume, aws(testAccount) + `,{"Effect":"Deny","NotPrincipal":{"AWS":"` + aliceARN + `"},"Action":"sts:AssumeRole"}`, DeniedByTrust},
		{"identity denies", alice(), sources(t, managed(denyAll)), aws(aliceARN), DeniedByIdentity},
		{"condition unmet", alice(), assume, `{"Effect":"Allow","Principal":{"AWS":"` + aliceARN + `"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}`, NoTrustAllows},
		{"named twice, closest counts", alice(), none, aws(testAccount) + "," + aws(aliceARN), AllowedByPolicy},
		{"anonymous", Principal{Type: Anonymous}, none, aws("*"), NoIdentityAllows},
	} {
		d := Evaluate(Request{Principal: c.principal, Action: "sts:AssumeRole", Resource: role, Context: c.principal.Context(),
			Identity: c.identity, Trust: source(t, managed(c.trust), Trust)})
		if d.Reason != c.want {
			t.Errorf("%s: reason %d, want %d", c.name, d.Reason, c.want)
		}
	}
}

func TestResourcePolicyMayStandForIdentityPolicy(t *testing.T) {
	policy := func(effect, principal, resource string) *Source {
		return source(t, managed(`{"Effect":"`+effect+`","Principal":`+principal+`,"Action":"s3:GetObject","Resource":"`+resource+`"}`), Resource)
	}
	for _, c := range []struct {
		name     string
		identity []Source
		resource *Source
		want     Reason
	}{
		{"names the user", nil, policy("Allow", `{"AWS":"`+aliceARN+`"}`, "arn:aws:s3:::b/*"), AllowedByPolicy},
		{"names everybody", nil, policy("Allow", `"*"`, "arn:aws:s3:::b/*"), AllowedByPolicy},
		{"names the account", nil, policy("Allow", `{"AWS":"`+testAccount+`"}`, "arn:aws:s3:::b/*"), NoIdentityAllows},
		{"other resource", nil, policy("Allow", `"*"`, "arn:aws:s3:::c/*"), NoIdentityAllows},
		{"silent", sources(t, managed(allowAll)), policy("Allow", `"*"`, "arn:aws:s3:::c/*"), AllowedByPolicy},
		{"denies", sources(t, managed(allowAll)), policy("Deny", `"*"`, "arn:aws:s3:::b/*"), DeniedByResource},
	} {
		p := alice()
		d := Evaluate(Request{Principal: p, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Context: p.Context(), Identity: c.identity, ResourcePolicy: c.resource})
		if d.Reason != c.want {
			t.Errorf("%s: reason %d, want %d", c.name, d.Reason, c.want)
		}
		if d.Allowed && (d.Deciding.Layer == LayerIdentity) != (c.identity != nil) {
			t.Errorf("%s: decided in layer %d", c.name, d.Deciding.Layer)
		}
	}
	p := alice()
	if d := Evaluate(Request{Principal: p, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Boundary: source(t, managed(allowX), Managed),
		ResourcePolicy: policy("Allow", `"*"`, "*")}); d.Reason != NoBoundaryAllows {
		t.Errorf("a resource's policy goes past the boundary: reason %d", d.Reason)
	}
}

func TestExplain(t *testing.T) {
	const base = "User: " + aliceARN + " is not authorized to perform: ssm:CreateDocument on resource: " + docShell
	for reason, suffix := range map[Reason]string{
		NoIdentityAllows: " because no identity-based policy allows the ssm:CreateDocument action",
		DeniedByIdentity: " with an explicit deny in an identity-based policy",
		NoBoundaryAllows: " because no permissions boundary allows the ssm:CreateDocument action",
		DeniedByBoundary: " with an explicit deny in a permissions boundary",
		NoSessionAllows:  " because no session policy allows the ssm:CreateDocument action",
		DeniedBySession:  " with an explicit deny in a session policy",
		DeniedByResource: " with an explicit deny in a resource-based policy",
		NoTrustAllows:    "",
		DeniedByTrust:    "",
	} {
		if got := Explain(Decision{Reason: reason}, aliceARN, "ssm:CreateDocument", docShell); got != base+suffix {
			t.Errorf("reason %d:\n got %s\nwant %s", reason, got, base+suffix)
		}
	}
	want := "User: anonymous is not authorized to perform: a:b on resource: * because no identity-based policy allows the a:b action"
	if got := Explain(Evaluate(Request{Principal: Principal{Type: Anonymous}, Action: "a:b", Resource: "*"}), "", "a:b", "*"); got != want {
		t.Errorf("got %s", got)
	}
	if got := Explain(Decision{Allowed: true}, aliceARN, "a:b", "*"); got != "" {
		t.Errorf("an allowed request is explained: %s", got)
	}
}

func TestDecisionsAreIndependent(t *testing.T) {
	// One policy, many decisions at once: the race detector watches.
	src := sources(t, managed(`{"Effect":"Allow","Action":"ssm:*","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}`))
	done := make(chan bool)
	for _, p := range []Principal{alice(), bob(), alice(), bob()} {
		go func() {
			ok := true
			for range 200 {
				d := Evaluate(Request{Principal: p, Action: "ssm:ResumeSession", Resource: "arn:aws:ssm:us-west-2:111122223333:session/alice-1",
					Context: p.Context(), Identity: src, Now: time.Unix(0, 0)})
				ok = ok && d.Allowed == (p.UserName == "alice")
			}
			done <- ok
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("a wrong decision beside others")
		}
	}
}
