package policy

import (
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// generator makes random policies and requests from small pools, so that they meet often.
type generator struct{ *rand.Rand }

func pick[T any](g generator, pool []T) T { return pool[g.IntN(len(pool))] }

// some returns one value, or a list of up to n.
func some(g generator, n int, pool []string) any {
	if g.IntN(2) == 0 {
		return pick(g, pool)
	}
	out := []string{}
	for range 1 + g.IntN(n) {
		out = append(out, pick(g, pool))
	}
	return out
}

func (g generator) actionPatterns() []string {
	return []string{"*", "ssm:*", "SSM:startsession", "ssm:StartSession", "ssm:*Session", "ssm:???Document", "ssm:Get*", "*:Describe*",
		"ec2:DescribeInstances", "ec2:*s", "ssm:Resume?ession", "ssm:T*S*n", "ssmmessages:*", "*:*"}
}

func (g generator) actions() []string {
	return []string{"ssm:StartSession", "ssm:ResumeSession", "ssm:TerminateSession", "ssm:GetDocument", "ec2:DescribeInstances", "ssmmessages:OpenDataChannel"}
}

func (g generator) resourcePatterns() []string {
	return []string{"*", "*", docShell, "arn:aws:ssm:*", "arn:aws:ssm:us-west-2", "arn:aws:ssm:*:*:session/${aws:username}-*",
		"arn:aws:ssm:*:111122223333:session/${aws:userid}-*", "arn:aws:ssm:*:*:session/${x:absent, 'alice'}*", "arn:aws:ssm:*:*:session/${x:absent}*",
		"arn:aws:ec2:*:*:instance/i-0a*", "arn:aws:ec2:us-*-2:*:instance/*", "arn:aws:ssm:*::document/*", "arn:aws:s3:::b/*/c?", "arn:aws:ssm:*:*:*/?${*}*",
		"arn:aws:ssm:*:*:session/${x:star}-1", "arn:aws:ssm:*:*:session/${aws:username, 'alice'}-*", instanceB}
}

func (g generator) resources() []string {
	return []string{"*", docShell, docSSH, instanceA, instanceB, managedC, session + "alice-1", session + "bob-1", session + "a*-1",
		session + aliceID + "-1", "arn:aws:s3:::b/x/y/cz", "not an ARN"}
}

func (g generator) keys() []string {
	return []string{"aws:username", "aws:UserID", "x:a", "x:b", "X:B", "aws:TagKeys", "ssm:resourceTag/Team", "x:absent"}
}

// operator returns an operator without affixes and values that it can have.
func (g generator) operator() (string, []string) {
	type kind struct {
		ops    []string
		values []string
	}
	k := pick(g, []kind{
		{[]string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
			[]string{"alice", "ALICE", "a*", "?", "10", "true", "red", "*", "${aws:username}", "${x:absent}", "${x:absent, 'red'}", "${x:b}", "${*}", "${x:star}", "", "é"}},
		{[]string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
			[]string{"10", "10.0", "-3.5", "1e1", "0", "1700000000", "0.001"}},
		{[]string{"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
			[]string{"2026-01-31", "2026-01-31T00:00:00Z", "2026-01-31T09:00:00+09:00", "1700000000", "2023-11-14T22:13:20.5Z"}},
		{[]string{"Bool"}, []string{"true", "false", "True"}},
		{[]string{"BinaryEquals"}, []string{"QQ==", "QUI=", "QUJD"}},
		{[]string{"IpAddress", "NotIpAddress"}, []string{"10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "2001:db8::1", "0.0.0.0/0", "::/0"}},
		{[]string{"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"},
			[]string{"arn:aws:iam::*:user/*", aliceARN, "arn:aws:iam::111122223333:user/${aws:username}", "arn:aws:iam::*:user/${x:absent}", "*", "arn:*:*:*:*:*"}},
	})
	return pick(g, k.ops), k.values
}

// values are the values that keys have in requests, good and bad for each operator.
func (g generator) values() []string {
	return []string{"alice", "Alice", "red", "a*", "*", "é", "", "10", "10.00", "-3.5", "-4", "abc", "2026-01-31T00:00:00Z", "2026-01-31", "1700000000", "true", "FALSE",
		"QQ==", "QUJD", "10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3", aliceARN, "arn:aws:iam::111122223333:role/x", "x:y"}
}

func (g generator) condition() map[string]any {
	out := map[string]any{}
	for range 1 + g.IntN(2) {
		op, values := g.operator()
		if g.IntN(8) == 0 {
			op, values = "Null", []string{"true", "false"}
		} else if g.IntN(4) == 0 {
			op += "IfExists"
		}
		op = pick(g, []string{"", "", "ForAllValues:", "ForAnyValue:"}) + op
		v := some(g, 3, values)
		switch g.IntN(20) {
		case 0:
			v = []string{}
		case 1:
			if v == "true" || v == "false" {
				v = v == "true"
			} else if v == "10" {
				v = 10
			}
		}
		out[op] = map[string]any{pick(g, g.keys()): v}
	}
	return out
}

func (g generator) statement(kind Kind) map[string]any {
	s := map[string]any{"Effect": pick(g, []string{"Allow", "Allow", "Allow", "Deny"})}
	action := pick(g, []string{"Action", "Action", "Action", "NotAction"})
	if kind == Trust {
		s["Action"] = some(g, 2, []string{"sts:AssumeRole", "sts:AssumeRole*", "sts:TagSession"})
		names := []string{"*", testAccount, "arn:aws:iam::111122223333:root", aliceARN, aliceID, opsID, "arn:aws:iam::111122223333:role/team/Ops",
			"arn:aws:sts::111122223333:assumed-role/Ops/carol", "444455556666"}
		var who any = map[string]any{"AWS": some(g, 2, names)}
		if g.IntN(6) == 0 {
			who = "*"
		}
		s[pick(g, []string{"Principal", "Principal", "Principal", "NotPrincipal"})] = who
	} else {
		s[action] = some(g, 3, append(g.actionPatterns(), "sts:*"))
		s[pick(g, []string{"Resource", "Resource", "Resource", "NotResource"})] = some(g, 3, g.resourcePatterns())
	}
	if g.IntN(2) == 0 {
		s["Condition"] = g.condition()
	}
	return s
}

func (g generator) policy(kind Kind) string {
	p := map[string]any{}
	switch g.IntN(8) {
	case 0:
		p["Version"] = Version2008
	case 1:
	default:
		p["Version"] = Version2012
	}
	list := []any{}
	for range 1 + g.IntN(3) {
		list = append(list, g.statement(kind))
	}
	p["Statement"] = list
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (g generator) policies(kind Kind, n int) []string {
	out := []string{}
	for range n {
		out = append(out, g.policy(kind))
	}
	return out
}

func (g generator) context(p *Principal) Context {
	c := p.Context()
	c["x:star"] = []string{"a*"}
	for _, key := range []string{"x:a", "x:b", "aws:TagKeys", "ssm:resourceTag/team"} {
		if n := g.IntN(4); n > 0 {
			v := []string{}
			for range max(1, n-1) {
				v = append(v, pick(g, g.values()))
			}
			c[key] = v
		}
	}
	return c.Fold()
}

// replaced are values that variables have in resources only.
func (g generator) replaced() Context {
	if g.IntN(2) == 0 {
		return nil
	}
	c := Context{}
	for _, key := range []string{"aws:username", "AWS:UserID", "x:absent", "x:star"} {
		switch g.IntN(3) {
		case 0:
			c[key] = nil
		case 1:
			c[key] = []string{pick(g, []string{"alice", "bob", aliceID, "*", "red"})}
		}
	}
	return c
}

func TestEvaluateAgreesWithNaiveEvaluator(t *testing.T) {
	var b [8]byte
	if _, err := crand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	random := binary.LittleEndian.Uint64(b[:])
	t.Logf("random seed %d", random)
	seen := map[Reason]int{}
	for _, seed := range []uint64{1, 2, 3, random} {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		for round := range 1500 {
			p := pick(g, []Principal{alice(), bob(), carol()})
			r := Request{Principal: p, Action: pick(g, g.actions()), Resource: pick(g, g.resources()), Context: g.context(&p), ResourceVariables: g.replaced(), Trace: g.IntN(2) == 0}
			identity := g.policies(Inline, g.IntN(4))
			r.Identity = sources(t, identity...)
			var boundary, session, trust []string
			if g.IntN(4) == 0 {
				boundary = g.policies(Inline, 1)
				r.Boundary = source(t, boundary[0], Inline)
			}
			if g.IntN(4) == 0 {
				session = g.policies(Session, 1+g.IntN(2))
				r.Session = sources(t, session...)
			}
			if g.IntN(6) == 0 {
				r.Action, r.Resource = "sts:AssumeRole", "arn:aws:iam::111122223333:role/Target"
				trust = g.policies(Trust, 1)
				r.Trust = source(t, trust[0], Trust)
			}
			d := Evaluate(r)
			want := naiveDecide(identity, boundary, session, trust, naiveRequest{action: r.Action, resource: r.Resource, context: r.Context, inResource: r.ResourceVariables.Fold(), caller: p})
			if d.Reason != want {
				t.Fatalf("seed %d, round %d: reason %d, the naive evaluator says %d\n%s on %s as %s\ncontext %v, in resources %v\nidentity %v\nboundary %v\nsession %v\ntrust %v",
					seed, round, d.Reason, want, r.Action, r.Resource, p.ARN, r.Context, r.ResourceVariables, identity, boundary, session, trust)
			}
			seen[want]++
		}
	}
	t.Logf("decisions by reason: %v", seen)
	for _, reason := range []Reason{AllowedByPolicy, DeniedByIdentity, DeniedByBoundary, DeniedBySession, DeniedByTrust, NoIdentityAllows, NoBoundaryAllows, NoSessionAllows, NoTrustAllows} {
		if seen[reason] < 20 {
			t.Errorf("reason %d came up only %d times: the test looks away", reason, seen[reason])
		}
	}
}

// TestOrderOfPoliciesDoesNotMatter shuffles the policies of random requests.
func TestOrderOfPoliciesDoesNotMatter(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(4, 0))}
	for range 500 {
		p := alice()
		r := Request{Principal: p, Action: pick(g, g.actions()), Resource: pick(g, g.resources()), Context: g.context(&p)}
		r.Identity = sources(t, g.policies(Inline, 4)...)
		before := Evaluate(r).Reason
		g.Shuffle(len(r.Identity), func(i, j int) { r.Identity[i], r.Identity[j] = r.Identity[j], r.Identity[i] })
		if after := Evaluate(r).Reason; after != before {
			t.Fatalf("reason %d, shuffled %d", before, after)
		}
	}
}
