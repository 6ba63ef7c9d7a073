package auth

import (
	"errors"
	"testing"

	"sekisho/internal/ssm"
)

func TestWhoMayDoWhat(t *testing.T) {
	a := &Auth{cfg: Config{ARNs: arns}}
	own, other := arns.Node(nodeID), arns.Node("mi-0ffffffffffffffff")
	admin := Principal{Kind: User, Administrator: true}
	bob := Principal{Kind: User}
	node := Principal{Kind: RoleSession, NodeID: nodeID}
	role := Principal{Kind: RoleSession}
	key := Principal{Kind: Node, NodeID: nodeID}
	for _, c := range []struct {
		who              string
		p                Principal
		action, resource string
		want             bool
	}{
		{"administrator", admin, "ssm:StartSession", own, true},
		{"administrator", admin, "iam:PassRole", "arn:aws:iam::123456789012:role/R", true},
		{"root", Principal{Kind: Root}, "ssm:StartSession", own, true},
		{"user", bob, "ssm:DescribeSessions", "*", false},
		{"role", role, "ssm:UpdateInstanceInformation", own, false},
		{"anonymous", Principal{}, "ssm:DescribeSessions", "*", false},
		// The flag means nothing on what is no user.
		{"anonymous", Principal{Administrator: true}, "ssm:DescribeSessions", "*", false},
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
	} {
		err := a.Authorize(WithPrincipal(t.Context(), c.p), Request{Action: c.action, Resource: c.resource})
		if (err == nil) != c.want {
			t.Errorf("%s, %s on %s: %v, want allowed %v", c.who, c.action, c.resource, err, c.want)
		}
		if err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
			t.Errorf("%s, %s on %s: %v is not AccessDeniedException", c.who, c.action, c.resource, err)
		}
	}
}

func TestDenialNamesTheFirstPairThatWasRefused(t *testing.T) {
	a := &Auth{cfg: Config{ARNs: arns}}
	bob := Principal{Kind: User, ARN: "arn:aws:iam::123456789012:user/bob"}
	node := Principal{Kind: RoleSession, NodeID: nodeID, ARN: "arn:aws:sts::123456789012:assumed-role/R/" + nodeID}
	for _, c := range []struct {
		p    Principal
		reqs []Request
		want string
	}{
		{bob, []Request{{Action: "ssm:StartSession", Resource: arns.Node(nodeID)}, {Action: "ssm:StartSession", Resource: arns.Document("D")}},
			"User: arn:aws:iam::123456789012:user/bob is not authorized to perform: ssm:StartSession on resource: " +
				"arn:aws:ssm:local-1:123456789012:managed-instance/mi-0123456789abcdef0 because no identity-based policy allows the ssm:StartSession action"},
		{node, []Request{{Action: "ssm:ListAssociations", Resource: "*"}, {Action: "iam:PassRole", Resource: "r"}},
			"User: arn:aws:sts::123456789012:assumed-role/R/mi-0123456789abcdef0 is not authorized to perform: iam:PassRole on resource: " +
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
		err := a.Authorize(ctx, c.reqs...)
		var e *ssm.Error
		if !errors.As(err, &e) || e.Message != c.want {
			t.Errorf("error = %v\nwant    %s", err, c.want)
		}
	}
}
