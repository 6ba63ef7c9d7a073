package auth

import (
	"errors"
	"testing"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// TestWhoMayDoWhat holds what does not depend on policies: who has any, and the ceiling
// of a node's credentials.
func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	own, other := arns.Node(nodeID), arns.Node("mi-0ffffffffffffffff")
	admin, err := w.signed(alice, "local-1", "ssm")
	must(t, err)
	nobody, err := w.signed(bob, "local-1", "ssm")
	must(t, err)
	node, err := w.signed(node, "local-1", "ssm")
	must(t, err)
	key, err := w.signedByNode(nodeID, nodeKey())
	must(t, err)
	for _, c := range []struct {
		who              string
		p                Principal
		action, resource string
		want             bool
	}{
		{"administrator", admin, "ssm:StartSession", own, true},
		{"administrator", admin, "iam:PassRole", "arn:aws:iam::123456789012:role/R", true},
		{"root", Principal{Kind: Root}, "ssm:StartSession", own, true},
		{"user", nobody, "ssm:DescribeSessions", "*", false},
		{"unknown user", Principal{Kind: User, UserID: "AIDAZZZZZZZZZZZZZZZZZ"}, "ssm:DescribeSessions", "*", false},
		{"unknown role", Principal{Kind: RoleSession, RoleName: "R"}, "ssm:UpdateInstanceInformation", own, false},
		{"anonymous", Principal{}, "ssm:DescribeSessions", "*", false},
		{"node's key", key, "ssm:UpdateInstanceInformation", own, false},

		{"node", node, "ssm:UpdateInstanceInformation", own, true},
		{"node", node, "ssm:UpdateInstanceInformation", other, false},
		{"node", node, "ssm:UpdateInstanceInformation", "*", false},
		{"node", node, "ssm:ListInstanceAssociations", own, true},
		{"node", node, "ssm:ListInstanceAssociations", other, false},
		{"node", node, "ssm:ListAssociations", "*", true},
		{"node", node, "ssmmessages:CreateControlChannel", own, true},
		{"node", node, "ssmmessages:CreateControlChannel", "*", true},
		{"node", node, "ssmmessages:CreateControlChannel", arns.Any(), true},
		{"node", node, "ssmmessages:CreateControlChannel", other, false},
		{"node", node, "ssmmessages:OpenControlChannel", other, false},
		{"node", node, "ssmmessages:CreateDataChannel", "*", true},
		{"node", node, "ssmmessages:OpenDataChannel", arns.Session("alice-0123"), true},
		{"node", node, "ssmmessages:OpenDataChannel", "arn:aws:ssm:local-1:210987654321:session/alice-0123", false},
		{"node", node, "ec2messages:GetMessages", "*", true},
		{"node", node, "ec2messages:GetMessages", other, false},
		{"node", node, "ec2messages:Other", "*", false},
		{"node", node, "ssm:StartSession", own, false},
		{"node", node, "ssm:DescribeInstanceInformation", "*", false},
		// Within the ceiling, but the role's policies do not allow it.
		{"node", node, "s3:PutObject", "arn:aws:s3:::logs/x", false},
		{"node", node, "logs:PutLogEvents", "*", false},
		{"node", node, "kms:Decrypt", "arn:aws:kms:local-1:123456789012:key/k", false},
	} {
		err := w.auth.Authorize(WithPrincipal(t.Context(), c.p), Request{Action: c.action, Resource: c.resource})
		if (err == nil) != c.want {
			t.Errorf("%s, %s on %s: %v, want allowed %v", c.who, c.action, c.resource, err, c.want)
		}
		if err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
			t.Errorf("%s, %s on %s: %v is not AccessDeniedException", c.who, c.action, c.resource, err)
		}
	}
}

// TestNodeCeiling gives a node's role every permission that there is: its credentials are
// good for the node's own affairs all the same.
func TestNodeCeiling(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.AttachPolicy(t.Context(), nodeRole, "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	p, err := w.signed(node, "local-1", "ssm")
	must(t, err)
	for _, c := range []struct {
		action, resource string
		want             bool
	}{
		{"ssm:UpdateInstanceInformation", arns.Node(nodeID), true},
		{"s3:PutObject", "arn:aws:s3:::logs/x", true},
		{"logs:PutLogEvents", "*", true},
		{"kms:GenerateDataKey", "arn:aws:kms:local-1:123456789012:key/k", true},
		{"kms:Encrypt", "arn:aws:kms:local-1:123456789012:key/k", true},
		{"kms:Decrypt", "arn:aws:kms:local-1:123456789012:key/k", true},
		{"kms:ScheduleKeyDeletion", "arn:aws:kms:local-1:123456789012:key/k", false},
		{"ssm:UpdateInstanceInformation", arns.Node("mi-0ffffffffffffffff"), false},
		{"ssm:StartSession", arns.Node(nodeID), false},
		{"ssm:TerminateSession", arns.Session("alice-00000000000000000"), false},
		{"ssm:DescribeSessions", "*", false},
		{"ssm:CreateActivation", "*", false},
		{"ssm:GetParameter", "arn:aws:ssm:local-1:123456789012:parameter/x", false},
		{"ssm:DeregisterManagedInstance", arns.Node(nodeID), false},
		{"iam:CreateUser", "arn:aws:iam::123456789012:user/mallory", false},
		{"iam:PassRole", "arn:aws:iam::123456789012:role/service-role/NodeRole", false},
		{"sts:AssumeRole", "arn:aws:iam::123456789012:role/Admin", false},
		{"sts:GetSessionToken", "*", false},
		{"cloudtrail:LookupEvents", "*", false},
		{"sekisho:EndUnauthorizedSessions", "*", false},
		{"S3:PutObject", "arn:aws:s3:::logs/x", false}, // no service asks in this case
	} {
		err := w.auth.Authorize(WithPrincipal(t.Context(), p), Request{Action: c.action, Resource: c.resource})
		if (err == nil) != c.want {
			t.Errorf("%s on %s: %v, want allowed %v", c.action, c.resource, err, c.want)
		}
	}
	role, err := w.store.Role(t.Context(), "NodeRole")
	must(t, err)
	role.TrustPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + p.ARN + `"},"Action":"sts:AssumeRole"}}`
	d, err := w.auth.MayAssume(WithPrincipal(t.Context(), p), role, "sts:AssumeRole", nil)
	must(t, err)
	if d.Allowed {
		t.Error("a node assumes a role that trusts it by name")
	}
}

func TestDenialNamesTheFirstPairThatWasRefused(t *testing.T) {
	w := newWorld(t)
	bob, err := w.signed(bob, "local-1", "ssm")
	must(t, err)
	node, err := w.signed(node, "local-1", "ssm")
	must(t, err)
	for _, c := range []struct {
		p    Principal
		reqs []Request
		want string
	}{
		{bob, []Request{{Action: "ssm:StartSession", Resource: arns.Node(nodeID)}, {Action: "ssm:StartSession", Resource: arns.Document("D")}},
			"User: arn:aws:iam::123456789012:user/bob is not authorized to perform: ssm:StartSession on resource: " +
				"arn:aws:ssm:local-1:123456789012:managed-instance/mi-0123456789abcdef0 because no identity-based policy allows the ssm:StartSession action"},
		{node, []Request{{Action: "ssm:ListAssociations", Resource: "*"}, {Action: "iam:PassRole", Resource: "r"}},
			"User: arn:aws:sts::123456789012:assumed-role/NodeRole/mi-0123456789abcdef0 is not authorized to perform: iam:PassRole on resource: " +
				"r because no identity-based policy allows the iam:PassRole action"},
		{bob, []Request{{Action: "ssm:DescribeSessions", Resource: "*"}},
			"User: arn:aws:iam::123456789012:user/bob is not authorized to perform: ssm:DescribeSessions on resource: " +
				"arn:aws:ssm:local-1:123456789012:* because no identity-based policy allows the ssm:DescribeSessions action"},
		{Principal{}, []Request{{Action: "logs:GetLogEvents", Resource: "*"}},
			"User: anonymous is not authorized to perform: logs:GetLogEvents on resource: " +
				"* because no identity-based policy allows the logs:GetLogEvents action"},
	} {
		ctx := t.Context()
		if c.p.Kind != Anonymous {
			ctx = WithPrincipal(ctx, c.p)
		}
		err := w.auth.Authorize(ctx, c.reqs...)
		var e *ssm.Error
		if !errors.As(err, &e) || e.Message != c.want {
			t.Errorf("error = %v\nwant    %s", err, c.want)
		}
	}
}

// TestAPolicyThatCannotBeReadAllowsNothing: it may be the one that denies.
func TestAPolicyThatCannotBeReadAllowsNothing(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.PutInlinePolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "alice"}, "broken", "{", 1, 2048))
	p, err := w.signed(alice, "local-1", "ssm")
	must(t, err)
	err = w.auth.Authorize(WithPrincipal(t.Context(), p), Request{Action: "ssm:DescribeSessions", Resource: "*"})
	if err == nil || ssm.IsCode(err, ssm.CodeAccessDenied) {
		t.Errorf("error = %v, want a fault of ours", err)
	}
}
