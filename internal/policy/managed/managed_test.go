package managed

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sekisho/internal/policy"
)

const account = "111122223333"

// alice is a user, carol an assumed role: their own sessions have different names.
var (
	alice = policy.Principal{Type: policy.User, AccountID: account, ARN: "arn:aws:iam::" + account + ":user/alice", ID: "AIDAAAAAAAAAAAAAAAAAA", UserName: "alice"}
	carol = policy.Principal{Type: policy.AssumedRole, AccountID: account, ARN: "arn:aws:iam::" + account + ":role/Ops",
		SessionARN: "arn:aws:sts::" + account + ":assumed-role/Ops/carol", ID: "AROAAAAAAAAAAAAAAAAAA:carol"}
)

func TestEveryFileIsAPolicyWithinTheQuota(t *testing.T) {
	files, err := documents.ReadDir("policies")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(All()) {
		t.Errorf("%d files, %d policies", len(files), len(All()))
	}
	id := regexp.MustCompile(`^ANPA[A-Z2-7]{17}$`)
	seen := map[string]bool{}
	for _, p := range All() {
		parsed, err := policy.Parse([]byte(p.Document), policy.Managed)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if parsed.Size() > policy.QuotaManaged {
			t.Errorf("%s has %d characters", p.Name, parsed.Size())
		}
		if !id.MatchString(p.ID) || seen[p.ID] {
			t.Errorf("%s: id %q", p.Name, p.ID)
		}
		seen[p.ID] = true
		if got, ok := Find(p.ARN); !ok || got != p {
			t.Errorf("Find(%q) = %v, %v", p.ARN, got, ok)
		}
		if p.Description == "" || !Is(p.ARN) || !strings.HasSuffix(p.ARN, p.Path+p.Name) {
			t.Errorf("%+v is not whole", p)
		}
	}
	if !slices.IsSortedFunc(All(), func(a, b Policy) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	if _, ok := Find("arn:aws:iam::aws:policy/None"); ok {
		t.Error("found a policy that is not there")
	}
}

func TestThePoliciesDoWhatTheyAreFor(t *testing.T) {
	const (
		ssm      = "arn:aws:ssm:eu-central-1:" + account + ":"
		node     = ssm + "managed-instance/mi-0123456789abcdef0"
		instance = "arn:aws:ec2:eu-central-1:" + account + ":instance/i-0aaaaaaaaaaaaaaaa"
		own      = ssm + "document/SSM-SessionManagerRunShell"
		amazon   = "arn:aws:ssm:eu-central-1::document/AWS-StartSSHSession"
		role     = "arn:aws:iam::" + account + ":role/NodeRole"
	)
	passed := policy.Context{"iam:PassedToService": {"ssm.amazonaws.com"}}
	tests := []struct {
		name, action, resource string
		principal              policy.Principal
		context                policy.Context
		want                   bool
	}{
		{"AdministratorAccess", "iam:CreateUser", "*", alice, nil, true},
		{"AdministratorAccess", "ssm:StartSession", amazon, alice, nil, true},

		{"AmazonSSMManagedInstanceCore", "ssm:UpdateInstanceInformation", node, carol, nil, true},
		{"AmazonSSMManagedInstanceCore", "ssmmessages:OpenControlChannel", "*", carol, nil, true},
		{"AmazonSSMManagedInstanceCore", "ssmmessages:OpenDataChannel", ssm + "session/alice-0123456789abcdef0", carol, nil, true},
		{"AmazonSSMManagedInstanceCore", "ec2messages:GetMessages", "*", carol, nil, true},
		{"AmazonSSMManagedInstanceCore", "ssm:GetDocument", own, carol, nil, true},
		{"AmazonSSMManagedInstanceCore", "ssm:StartSession", node, carol, nil, false},
		{"AmazonSSMManagedInstanceCore", "s3:PutObject", "arn:aws:s3:::b/k", carol, nil, false},

		{"AmazonSSMFullAccess", "ssm:StartSession", instance, alice, nil, true},
		{"AmazonSSMFullAccess", "ssm:CreateActivation", "*", alice, nil, true},
		{"AmazonSSMFullAccess", "iam:PassRole", role, alice, passed, false},
		{"AmazonSSMFullAccess", "iam:CreateUser", "*", alice, nil, false},

		{"AmazonSSMReadOnlyAccess", "ssm:DescribeSessions", "*", alice, nil, true},
		{"AmazonSSMReadOnlyAccess", "ssm:GetDocument", own, alice, nil, true},
		{"AmazonSSMReadOnlyAccess", "ssm:ListDocuments", "*", alice, nil, true},
		{"AmazonSSMReadOnlyAccess", "ssm:StartSession", instance, alice, nil, false},
		{"AmazonSSMReadOnlyAccess", "ssm:TerminateSession", ssm + "session/alice-0123456789abcdef0", alice, nil, false},

		{"IAMFullAccess", "iam:CreateUser", "arn:aws:iam::" + account + ":user/bob", alice, nil, true},
		{"IAMFullAccess", "ssm:StartSession", node, alice, nil, false},
		{"IAMReadOnlyAccess", "iam:GetUser", "arn:aws:iam::" + account + ":user/bob", alice, nil, true},
		{"IAMReadOnlyAccess", "iam:SimulatePrincipalPolicy", "arn:aws:iam::" + account + ":user/bob", alice, nil, true},
		{"IAMReadOnlyAccess", "iam:CreateUser", "arn:aws:iam::" + account + ":user/bob", alice, nil, false},

		{"ReadOnlyAccess", "iam:ListUsers", "*", alice, nil, true},
		{"ReadOnlyAccess", "s3:GetObject", "arn:aws:s3:::b/k", alice, nil, true},
		{"ReadOnlyAccess", "cloudtrail:LookupEvents", "*", alice, nil, true},
		{"ReadOnlyAccess", "ssm:StartSession", node, alice, nil, false},
		{"ReadOnlyAccess", "iam:PassRole", role, alice, passed, false},

		{"CloudWatchAgentServerPolicy", "logs:PutLogEvents", "arn:aws:logs:eu-central-1:" + account + ":log-group:g:log-stream:s", carol, nil, true},
		{"CloudWatchAgentServerPolicy", "ssm:GetParameter", ssm + "parameter/AmazonCloudWatch-linux", carol, nil, true},
		{"CloudWatchAgentServerPolicy", "ssm:GetParameter", ssm + "parameter/secret", carol, nil, false},

		{"AmazonS3ReadOnlyAccess", "s3:GetObject", "arn:aws:s3:::b/k", alice, nil, true},
		{"AmazonS3ReadOnlyAccess", "s3:PutObject", "arn:aws:s3:::b/k", alice, nil, false},

		{"SekishoSessionUser", "ssm:StartSession", node, alice, nil, true},
		{"SekishoSessionUser", "ssm:StartSession", instance, alice, nil, true},
		{"SekishoSessionUser", "ssm:StartSession", own, alice, nil, true},
		{"SekishoSessionUser", "ssm:StartSession", amazon, alice, nil, false},
		{"SekishoSessionUser", "ssm:TerminateSession", ssm + "session/alice-0123456789abcdef0", alice, nil, true},
		{"SekishoSessionUser", "ssm:ResumeSession", ssm + "session/" + alice.ID + "-0123456789abcdef0", alice, nil, true},
		{"SekishoSessionUser", "ssm:TerminateSession", ssm + "session/bob-0123456789abcdef0", alice, nil, false},
		{"SekishoSessionUser", "ssm:TerminateSession", ssm + "session/" + carol.ID + "-0123456789abcdef0", carol, nil, true},
		{"SekishoSessionUser", "ssm:TerminateSession", ssm + "session/carol-0123456789abcdef0", carol, nil, false},
		{"SekishoSessionUser", "ssm:DescribeSessions", "*", alice, nil, true},
		{"SekishoSessionUser", "ssm:GetConnectionStatus", node, alice, nil, true},
		{"SekishoSessionUser", "ssm:CreateDocument", own, alice, nil, false},
		{"SekishoSessionUser", "ssm:GetDocument", own, alice, nil, false},
		{"SekishoSessionUser", "ssm:CreateActivation", "*", alice, nil, false},

		{"SekishoSessionAdministrator", "ssm:TerminateSession", ssm + "session/bob-0123456789abcdef0", alice, nil, true},
		{"SekishoSessionAdministrator", "ssm:StartSession", amazon, alice, nil, true},
		{"SekishoSessionAdministrator", "ssm:UpdateDocument", own, alice, nil, true},
		{"SekishoSessionAdministrator", "ssm:CreateActivation", "*", alice, nil, true},
		{"SekishoSessionAdministrator", "iam:PassRole", role, alice, passed, true},
		{"SekishoSessionAdministrator", "iam:PassRole", role, alice, policy.Context{"iam:PassedToService": {"ec2.amazonaws.com"}}, false},
		{"SekishoSessionAdministrator", "logs:GetLogEvents", "*", alice, nil, true},
		{"SekishoSessionAdministrator", "iam:GetUser", "arn:aws:iam::" + account + ":user/bob", alice, nil, false},
		{"SekishoSessionAdministrator", "iam:AttachUserPolicy", "arn:aws:iam::" + account + ":user/alice", alice, nil, false},
		{"SekishoSessionAdministrator", "sts:AssumeRole", role, alice, nil, false},

		{"SekishoAuditor", "cloudtrail:LookupEvents", "*", alice, nil, true},
		{"SekishoAuditor", "iam:GetAccountAuthorizationDetails", "*", alice, nil, true},
		{"SekishoAuditor", "ssm:DescribeSessions", "*", alice, nil, true},
		{"SekishoAuditor", "s3:GetObject", "arn:aws:s3:::b/k", alice, nil, true},
		{"SekishoAuditor", "ssm:GetParameter", ssm + "parameter/secret", alice, nil, false},
		{"SekishoAuditor", "ssm:StartSession", node, alice, nil, false},
		{"SekishoAuditor", "iam:CreateUser", "arn:aws:iam::" + account + ":user/bob", alice, nil, false},
	}
	tried := map[string]bool{}
	for _, test := range tests {
		tried[test.name] = true
		p, ok := Find("arn:aws:iam::aws:policy/" + test.name)
		if !ok {
			t.Fatalf("no policy %s", test.name)
		}
		parsed, err := policy.Parse([]byte(p.Document), policy.Managed)
		if err != nil {
			t.Fatal(err)
		}
		keys := test.principal.Context()
		for name, values := range test.context {
			keys[name] = values
		}
		got := policy.Evaluate(policy.Request{Principal: test.principal, Action: test.action, Resource: test.resource, Context: keys,
			Identity: []policy.Source{{Policy: parsed, Name: p.Name, ARN: p.ARN, Type: policy.AWSManaged}}})
		if got.Allowed != test.want {
			t.Errorf("%s: %s on %s by %s: %v, want %v", test.name, test.action, test.resource, test.principal.ID, got.Allowed, test.want)
		}
	}
	for _, p := range All() {
		if !tried[p.Name] {
			t.Errorf("%s is not tried", p.Name)
		}
	}
}
