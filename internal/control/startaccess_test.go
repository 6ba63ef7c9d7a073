package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Names of session documents. The default one exists; the account's own need not for a
// question of permission.
const (
	shellDocument = "SSM-SessionManagerRunShell"
	ownDocument   = "exampleAllowedSessionDocument"
	sshDocument   = "AWS-StartSSHSession"
	portDocument  = "AWS-StartPortForwardingSession"
)

// start is the statement of a policy on ssm:StartSession; the condition may be empty.
func start(effect, condition string, resources ...string) string {
	if condition != "" {
		condition = `,"Condition":{` + condition + `}`
	}
	return fmt.Sprintf(`{"Effect":%q,"Action":"ssm:StartSession","Resource":["%s"]%s}`, effect, strings.Join(resources, `","`), condition)
}

// permit replaces the policy of a user's own.
func (w *world) permit(user string, statements ...string) {
	w.t.Helper()
	text := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), store.Entity{Type: store.EntityUser, Name: user}, "own", text, len(text), 1<<20))
}

// refused is the resource that the denial of a StartSession names, with an exclamation
// mark if a policy denied it; empty if the caller may, whatever comes of it.
func (w *world) refused(ctx context.Context, target, document string) string {
	w.t.Helper()
	_, err := w.server.StartSession(ctx, &ssm.StartSessionInput{Target: target, DocumentName: document})
	e, ok := errors.AsType[*ssm.Error](err)
	if err == nil || ok && e.Code != ssm.CodeAccessDenied {
		return ""
	}
	_, rest, found := strings.Cut(err.Error(), " is not authorized to perform: ssm:StartSession on resource: ")
	resource, reason, _ := strings.Cut(rest, " ")
	switch {
	case found && reason == "because no identity-based policy allows the ssm:StartSession action":
		return resource
	case found && reason == "with an explicit deny in an identity-based policy":
		return resource + "!"
	}
	w.t.Fatalf("StartSession on %s with %q: %v", target, document, err)
	panic("unreachable")
}

// TestStartSessionAsksForTargetAndDocument tells the official sample policies (api.md §21)
// by both rules of the document: who may start what, and which of the two a denial names.
func TestStartSessionAsksForTargetAndDocument(t *testing.T) {
	strict, classic := newWorld(t), newWorld(t, func(c *Config) { c.ClassicDocumentAccess = true })
	const (
		checked = `"BoolIfExists":{"ssm:SessionDocumentAccessCheck":"true"}`
		isTrue  = `"Bool":{"ssm:SessionDocumentAccessCheck":"true"}`
		anySSH  = "arn:aws:ssm:*:*:document/AWS-StartSSHSession"
		anyPort = "arn:aws:ssm:*:*:document/AWS-StartPortForwardingSession*"
		other   = "mi-0bbbbbbbbbbbbbbbb"
	)
	shell, own, ssh, port := arns.Document(shellDocument), arns.Document(ownDocument), arns.Document(sshDocument), arns.Document(portDocument)
	// TARGET is a node of each world; it and ARN are filled in below.
	type start1 struct{ target, document, strict, classic string }
	same := func(target, document, both string) start1 { return start1{target, document, both, both} }
	for _, c := range []struct {
		name   string
		policy []string
		starts []start1
	}{
		{"nothing", nil, []start1{
			same("TARGET", "", "ARN"), same("TARGET", sshDocument, "ARN"), same("TARGET", ownDocument, "ARN"),
		}},
		{"S1, a node and the default document", []string{start("Allow", "", "ARN", shell)}, []start1{
			same("TARGET", "", ""), same("TARGET", shellDocument, ""), same("TARGET", shell, ""),
			same(other, "", arns.Node(other)), same("i-0123456789abcdef0", "", "arn:aws:ec2:local-1:123456789012:instance/i-0123456789abcdef0"),
			same("TARGET", sshDocument, ssh), same("TARGET", ownDocument, own),
		}},
		{"S2, the same if it is checked", []string{start("Allow", checked, "ARN", shell)}, []start1{
			same("TARGET", "", ""), same("TARGET", shellDocument, ""), same(other, "", arns.Node(other)), same("TARGET", ownDocument, own),
		}},
		{"S2 with Bool, that nothing fulfils", []string{start("Allow", isTrue, "ARN", shell)}, []start1{
			same("TARGET", "", shell), same("TARGET", shellDocument, shell), same(other, "", arns.Node(other)),
		}},
		{"S3, a node and no document", []string{start("Allow", "", "ARN")}, []start1{
			{"TARGET", "", shell, ""}, {"TARGET", shellDocument, shell, ""}, {"TARGET", shell, shell, ""},
			same("TARGET", ownDocument, own), same("TARGET", sshDocument, ssh), same(other, "", arns.Node(other)),
		}},
		{"S3 if it is checked", []string{start("Allow", checked, "ARN")}, []start1{
			same("TARGET", "", shell), same("TARGET", shellDocument, shell),
		}},
		// The statement with the key matches no target, so it asks for nothing.
		{"a key in a statement on something else", []string{start("Allow", "", "ARN"), start("Allow", checked, arns.Node(other))}, []start1{
			{"TARGET", "", shell, ""}, same(other, "", shell),
		}},
		{"S13, one document on one node", []string{start("Allow", checked, "ARN", own)}, []start1{
			same("TARGET", ownDocument, ""), same("TARGET", own, ""), same("TARGET", "", shell), same("TARGET", shellDocument, shell),
			same("TARGET", "AWS-StartInteractiveCommand", arns.Document("AWS-StartInteractiveCommand")), same(other, ownDocument, arns.Node(other)),
		}},
		{"S15, SSH", []string{start("Allow", "", "ARN", anySSH)}, []start1{
			same("TARGET", sshDocument, ""), same("TARGET", ssh, ""), {"TARGET", "", shell, ""}, same("TARGET", portDocument, port),
		}},
		{"S16, all but SSH", []string{start("Allow", "", "*"), start("Deny", "", anySSH)}, []start1{
			same("TARGET", "", ""), same("TARGET", sshDocument, ssh+"!"), same("TARGET", ssh, ssh+"!"), same("TARGET", portDocument, ""),
			// With the account in its ARN it is the same document.
			same("TARGET", "arn:aws:ssm:local-1:123456789012:document/AWS-StartSSHSession", ssh+"!"),
		}},
		{"S16, all but forwarding", []string{start("Allow", "", "*"), start("Deny", "", anyPort)}, []start1{
			same("TARGET", "", ""), same("TARGET", portDocument, port+"!"), same("TARGET", portDocument+"ToRemoteHost", port+"ToRemoteHost!"),
			same("TARGET", port, port+"!"), same("TARGET", sshDocument, ""),
		}},
		{"the default document denied", []string{start("Allow", "", "*"), start("Deny", "", shell)}, []start1{
			{"TARGET", "", shell + "!", ""}, {"TARGET", shellDocument, shell + "!", ""}, same("TARGET", sshDocument, ""),
		}},
		{"the node denied", []string{start("Allow", "", "*"), start("Deny", "", "ARN")}, []start1{
			same("TARGET", "", "ARN!"), same("TARGET", sshDocument, "ARN!"), same(other, "", ""),
		}},
		{"documents and no node", []string{start("Allow", "", "arn:aws:ssm:*:*:document/*")}, []start1{
			same("TARGET", "", "ARN"), same("TARGET", ownDocument, "ARN"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for rule, w := range map[string]*world{"strict": strict, "classic": classic} {
				node := w.node()
				fill := strings.NewReplacer("TARGET", node, "ARN", arns.Node(node))
				var statements []string
				for _, s := range c.policy {
					statements = append(statements, fill.Replace(s))
				}
				if statements != nil {
					w.permit("bob", statements...)
				}
				for _, s := range c.starts {
					want := s.strict
					if rule == "classic" {
						want = s.classic
					}
					if got := w.refused(w.as("bob"), fill.Replace(s.target), s.document); got != fill.Replace(want) {
						t.Errorf("%s: on %s with %q: refused %q, want %q", rule, s.target, s.document, got, fill.Replace(want))
					}
				}
			}
		})
	}
}

func TestTagsOfTheNodeDecide(t *testing.T) {
	for _, rule := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.ClassicDocumentAccess = rule })
		tag := func(key, value string) ssm.Tag { return ssm.Tag{Key: key, Value: value} }
		both, upper := w.node(tag("k1", "v1"), tag("k2", "v2")), w.node(tag("K1", "v1"), tag("K2", "v2"))
		half, wrong, none := w.node(tag("k1", "v1")), w.node(tag("k1", "V1"), tag("k2", "v2")), w.node()
		const unknown = "mi-0ffffffffffffffff"

		// S7, with the documents in a statement of their own, and by both names of the key.
		for _, key := range []string{"ssm:resourceTag/", "aws:ResourceTag/"} {
			tagged := `"StringEquals":{"` + key + `k1":"v1","` + key + `k2":["v0","v2"]}`
			w.permit("bob", start("Allow", tagged, "*"), start("Allow", "", "arn:aws:ssm:*:*:document/*"))
			for _, node := range []string{both, upper} {
				if got := w.refused(w.as("bob"), node, ""); got != "" {
					t.Errorf("%s: refused %s", key, got)
				}
			}
			for _, node := range []string{half, wrong, none, unknown} {
				if got := w.refused(w.as("bob"), node, ""); got != arns.Node(node) {
					t.Errorf("%s: refused %q, want the node %s", key, got, node)
				}
			}
		}
		// One statement for both: the document has not the tags of the node.
		w.permit("bob", start("Allow", `"StringEquals":{"ssm:resourceTag/k1":"v1"}`, "*"))
		want := arns.Document(shellDocument)
		if rule {
			want = ""
		}
		if got := w.refused(w.as("bob"), both, ""); got != want {
			t.Errorf("classic %v: refused %q, want %q", rule, got, want)
		}
		// A denial by tag reaches only what has it.
		w.permit("bob", start("Allow", "", "*"), start("Deny", `"StringEquals":{"ssm:resourceTag/k1":"v1"}`, "*"))
		for node, want := range map[string]string{both: arns.Node(both) + "!", half: arns.Node(half) + "!", wrong: "", none: "", unknown: ""} {
			if got := w.refused(w.as("bob"), node, ""); got != want {
				t.Errorf("refused %q, want %q", got, want)
			}
		}
	}
}

// What is asked for by ARN is that and nothing else.
func TestForeignAndConfusedDocuments(t *testing.T) {
	for _, rule := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.ClassicDocumentAccess = rule })
		node := w.node()
		gateway := w.connect(node)
		documents := []string{
			"arn:aws:ssm:local-1:999999999999:document/" + shellDocument,
			"arn:aws:ssm:tokyo-1:123456789012:document/" + shellDocument,
			"arn:aws:ssm:local-1::document/" + shellDocument,
			"arn:aws-cn:ssm:local-1:123456789012:document/" + shellDocument,
			"arn:aws:ssm:local-1:123456789012:parameter/" + shellDocument,
			"arn:aws:ssm:local-1:123456789012:document//" + shellDocument,
			"arn:aws:ssm:local-1:123456789012:document/x/../" + shellDocument,
			"arn:aws:ssm:local-1:123456789012:" + shellDocument,
			"ssm-sessionmanagerrunshell",
			"document/" + shellDocument,
			"x/../" + shellDocument,
			shellDocument + ":1",
			"SSM-SessionManagerRunShel",
			"aws-startsshsession",
			"arn:aws:ssm:tokyo-1::document/" + sshDocument,
			"arn:aws:ssm:local-1:999999999999:document/" + sshDocument,
		}
		w.permit("bob", start("Allow", "", arns.Node(node), arns.Document(shellDocument), arns.Document(sshDocument)))
		for _, d := range documents {
			want := d
			if !strings.HasPrefix(d, "arn:") {
				want = arns.Document(d)
			}
			if got := w.refused(w.as("bob"), node, d); got != want {
				t.Errorf("%q: refused %q, want %q", d, got, want)
			}
			// Who may everything learns that there is no such document.
			_, err := w.server.StartSession(w.as("alice"), &ssm.StartSessionInput{Target: node, DocumentName: d})
			if e, ok := errors.AsType[*ssm.Error](err); !ok || e.Code != ssm.CodeInvalidDocument && e.Code != ssm.CodeValidation {
				t.Errorf("%q for an administrator: %v, want %s", d, err, ssm.CodeInvalidDocument)
			}
		}
		none(t, gateway.asked)
		// The name in another case, with the permission for that name: still no default.
		w.permit("bob", start("Allow", "", arns.Node(node), "arn:aws:ssm:*:*:document/*"))
		_, err := w.server.StartSession(w.as("bob"), &ssm.StartSessionInput{Target: node, DocumentName: strings.ToLower(shellDocument)})
		wantCode(t, err, ssm.CodeInvalidDocument)
		none(t, gateway.asked)
	}
}

// A denial is about the names that the caller gave: node and document, there or not, and
// however many of them are.
func TestAStartThatIsDeniedTellsNothing(t *testing.T) {
	w := newWorld(t)
	there, tagged := w.node(), w.node(ssm.Tag{Key: "team", Value: "db"})
	w.connect(there)
	const never = "mi-0ffffffffffffffff"
	for _, policy := range []string{
		start("Allow", "", "arn:aws:ssm:*:*:document/*"),
		start("Allow", `"StringEquals":{"ssm:resourceTag/team":"ops"}`, "*"),
		start("Allow", `"Null":{"ssm:SessionDocumentAccessCheck":"true"}`, "*"),
	} {
		w.permit("bob", policy)
		for _, document := range []string{"", shellDocument, ownDocument, sshDocument} {
			for _, node := range []string{there, tagged, never} {
				if got := w.refused(w.as("bob"), node, document); got != arns.Node(node) {
					t.Errorf("%s: with %q refused %q, want the node %s", policy, document, got, node)
				}
			}
		}
	}
	// With the nodes allowed, every document is refused alike, there or not.
	w.permit("bob", start("Allow", "", "arn:aws:ssm:*:*:managed-instance/*"))
	for _, node := range []string{there, tagged, never} {
		for _, document := range []string{shellDocument, ownDocument, sshDocument, "NoSuchDocument"} {
			if got := w.refused(w.as("bob"), node, document); got != arns.Document(document) {
				t.Errorf("on %s refused %q, want the document %s", node, got, document)
			}
		}
	}
}

// S20: whoever makes activations hands the role to nodes, and must be allowed to.
func TestCreateActivationPassesTheRole(t *testing.T) {
	w := newWorld(t)
	w.role("Admin", "/")
	create := func(user, role string) error {
		_, err := w.server.CreateActivation(w.as(user), &ssm.CreateActivationInput{IamRole: role})
		return err
	}
	const (
		mayCreate = `{"Effect":"Allow","Action":"ssm:CreateActivation","Resource":"*"}`
		pass      = `{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/service-role/NodeRole",
			"Condition":{"StringEquals":{"iam:PassedToService":"%s"}}}`
		refusal = "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: %[1]s on resource: %[2]s" +
			" because no identity-based policy allows the %[1]s action"
	)
	denied := func(action, resource string) string { return fmt.Sprintf(refusal, action, resource) }
	role := func(name string) string { return "arn:aws:iam::123456789012:role/" + name }
	clerk := []string{mayCreate, fmt.Sprintf(pass, "ssm.amazonaws.com")}

	for _, c := range []struct {
		name   string
		policy []string
		role   string
		want   string // the denial; empty for none
	}{
		{"only to pass", clerk[1:], "service-role/NodeRole", denied("ssm:CreateActivation", arns.Any())},
		{"only to create", clerk[:1], "service-role/NodeRole", denied("iam:PassRole", role("service-role/NodeRole"))},
		{"the clerk", clerk, "service-role/NodeRole", ""},
		{"the clerk, by the role's name alone", clerk, "NodeRole", ""},
		{"another role", clerk, "Admin", denied("iam:PassRole", role("Admin"))},
		{"another role by a trick", clerk, "service-role/NodeRole/../../Admin", denied("iam:PassRole", role("service-role/NodeRole/../../Admin"))},
		{"another role under the path", clerk, "service-role/Admin", denied("iam:PassRole", role("service-role/Admin"))},
		{"a role that is not there", clerk, "Nobodys", denied("iam:PassRole", role("Nobodys"))},
		{"to another service", []string{mayCreate, fmt.Sprintf(pass, "ec2.amazonaws.com")}, "service-role/NodeRole", denied("iam:PassRole", role("service-role/NodeRole"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.permit("bob", c.policy...)
			before := w.dump()
			err := create("bob", c.role)
			if c.want == "" {
				must(t, err)
				return
			}
			wantError(t, err, ssm.CodeAccessDenied, c.want)
			if w.dump() != before {
				t.Error("a refused call changed the database")
			}
		})
	}
}

// A role is for nodes only if it trusts the service; that it does not is told like that
// it is not there.
func TestARoleWithoutTrustIsNoNodesRole(t *testing.T) {
	w := newWorld(t)
	trust := func(effect, principal string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Action":"sts:AssumeRole","Principal":%s}]}`, effect, principal)
	}
	const service = `{"Service":"ssm.amazonaws.com"}`
	for name, text := range map[string]string{
		"ForEC2":     trust("Allow", `{"Service":"ec2.amazonaws.com"}`),
		"ForAccount": trust("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`),
		"Denied":     strings.Replace(trust("Deny", service), `[{`, `[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":`+service+`},{`, 1),
		"WithCode":   strings.Replace(trust("Allow", service), `}]}`, `,"Condition":{"StringEquals":{"sts:ExternalId":"x"}}}]}`, 1),
		"TagsOnly":   strings.Replace(trust("Allow", service), "AssumeRole", "TagSession", 1),
	} {
		must(t, w.store.CreateRole(t.Context(), store.Role{
			ID: "AROA" + strings.ToUpper(name), Name: name, Path: "/", TrustPolicy: text, MaxSession: time.Hour, CreatedAt: time.Now(),
		}))
	}
	var texts []string
	for _, role := range []string{"ForEC2", "ForAccount", "Denied", "WithCode", "TagsOnly", "NotThere", "service-role/Denied", "other-path/NodeRole"} {
		_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: role})
		wantCode(t, err, ssm.CodeValidation)
		if err != nil {
			texts = append(texts, strings.ReplaceAll(err.Error(), role, "ROLE"))
		}
	}
	if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
		t.Errorf("refusals differ: %q", texts)
	}
	if list, _, err := w.store.Activations(t.Context(), store.ActivationFilter{}, store.Page{Limit: 10}); err != nil || len(list) > 0 {
		t.Errorf("activations were made: %+v, %v", list, err)
	}
	_, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{IamRole: "service-role/NodeRole"})
	must(t, err)
}
