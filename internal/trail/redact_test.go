package trail

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func TestRedaction(t *testing.T) {
	type inner struct {
		SecretAccessKey string
		AccessKeyID     string `json:"AccessKeyId"`
	}
	type shape struct {
		PlainByType   store.Secret
		PlainByTag    []string `audit:"secret"`
		Password      string
		NewPIN        string `json:"pin" audit:"secret"`
		TokenCode     *string
		QRCodePNG     []byte
		Seeds         map[string]string `json:"Secrets"`
		Free          json.RawMessage
		Key           inner
		Keys          []inner
		When          ssm.Time
		Until         *time.Time
		NextToken     string
		Empty         string
		None          *inner
		Count         int
		Reset         bool   `json:"PasswordResetRequired"`
		Document      string `json:"PolicyDocument"`
		Left          string `json:"-"`
		unexported    string //nolint:unused // reflection must pass it by
		AnyStreamLink string `json:"StreamUrl"`
	}
	code := "123456"
	in := &shape{
		PlainByType: "s1", PlainByTag: []string{"s2", "s3"}, Password: "s4", NewPIN: "s5", TokenCode: &code, QRCodePNG: []byte("s6"),
		Seeds: map[string]string{"a": "s7"}, Free: json.RawMessage(`{"list":[{"password":"s8","other":1}],"n":null}`),
		Key: inner{"s9", "AKIA"}, Keys: []inner{{"s10", "AKIB"}}, When: ssm.Time{Time: time.Unix(0, 0)}, NextToken: "cursor",
		Reset: true, Document: `{"Version":"2012-10-17"}`, Left: "x", unexported: "y", AnyStreamLink: "wss://u:p@h/x?a=1",
	}
	got := (&redactor{}).members(in)
	want := map[string]any{
		"plainByType": hidden, "plainByTag": hidden, "password": hidden, "pin": hidden, "tokenCode": hidden, "qRCodePNG": hidden, "secrets": hidden,
		"free": map[string]any{"list": []any{map[string]any{"password": hidden, "other": 1.0}}, "n": nil},
		"key":  map[string]any{"secretAccessKey": hidden, "accessKeyId": "AKIA"},
		"keys": []any{map[string]any{"secretAccessKey": hidden, "accessKeyId": "AKIB"}},
		"when": "1970-01-01T00:00:00Z", "nextToken": "cursor", "passwordResetRequired": true, "policyDocument": `{"Version":"2012-10-17"}`,
		"streamUrl": "wss://" + hidden + "@h/x?a=" + hidden,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members differ (-want +got):\n%s", diff)
	}
	if got := (&redactor{}).members((*shape)(nil)); got != nil {
		t.Errorf("of nil: %v", got)
	}
}

func TestClassify(t *testing.T) {
	for action, want := range map[string]kind{
		"ssm:StartSession":                    {},
		"ssm:DescribeSessions":                {readOnly: true},
		"ssm:GetConnectionStatus":             {readOnly: true},
		"iam:SimulatePrincipalPolicy":         {readOnly: true},
		"iam:CreateUser":                      {},
		"sts:GetCallerIdentity":               {readOnly: true},
		"sts:GetSessionToken":                 {readOnly: true, issues: true},
		"sts:AssumeRole":                      {readOnly: true, issues: true},
		"cloudtrail:LookupEvents":             {readOnly: true},
		"ec2messages:GetMessages":             {readOnly: true, data: true},
		"ssm:RequestManagedInstanceRoleToken": {},
		"ssm:UpdateInstanceInformation":       {},
	} {
		if got := classify(action); got != want {
			t.Errorf("%s: got %+v, want %+v", action, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for arn, want := range map[string][2]string{
		"arn:aws:iam::123456789012:user/alice":                         {"AWS::IAM::User", "alice"},
		"arn:aws:iam::123456789012:role/service-role/Nodes":            {"AWS::IAM::Role", "Nodes"},
		"arn:aws:iam::aws:policy/AdministratorAccess":                  {"AWS::IAM::Policy", "AdministratorAccess"},
		"arn:aws:iam::123456789012:instance-profile/p":                 {"AWS::IAM::InstanceProfile", "p"},
		"arn:aws:iam::123456789012:mfa/alice":                          {"AWS::IAM::VirtualMFADevice", "alice"},
		"arn:aws:iam::123456789012:oidc-provider/idp.example/realms/x": {"AWS::IAM::OIDCProvider", "idp.example/realms/x"},
		"arn:aws:ssm:local-1:123456789012:session/alice-0a":            {"AWS::SSM::Session", "alice-0a"},
		"arn:aws:ssm:local-1::document/AWS-StartPortForwardingSession": {"AWS::SSM::Document", "AWS-StartPortForwardingSession"},
		"arn:aws:ssm:local-1:123456789012:managed-instance/mi-0":       {"AWS::SSM::ManagedInstance", "mi-0"},
		"arn:aws:logs:local-1:123456789012:log-group:/sessions:*":      {"AWS::Logs::LogGroup", "/sessions:*"},
		"arn:aws:kms:local-1:123456789012:key/1":                       {"AWS::KMS::Key", "1"},
		"arn:aws:s3:::bucket/key":                                      {"AWS::S3::Object", "bucket/key"},
		"arn:aws:sts::123456789012:assumed-role/Nodes/mi-0":            {"AWS::STS::AssumedRole", "Nodes/mi-0"},
		"arn:aws:iam::123456789012:root":                               {"", "root"},
	} {
		r, name, ok := describe(arn)
		if !ok || r.Type != want[0] || name != want[1] || r.ARN != arn {
			t.Errorf("%s: %+v, %q, %v", arn, r, name, ok)
		}
	}
	for _, text := range []string{"", "alice", "arn:aws:iam", "arn:aws:ssm:local-1:123456789012:*", "arn:aws:::::"} {
		if _, _, ok := describe(text); ok {
			t.Errorf("%q is taken for an ARN", text)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:user/a/b")
	f.Add("arn:aws:logs:r:1:log-group:x/y:*")
	f.Fuzz(func(t *testing.T, arn string) {
		if r, name, ok := describe(arn); ok && (r.ARN != arn || len(name) > len(arn)) {
			t.Errorf("%q: %+v, %q", arn, r, name)
		}
	})
}

func FuzzWithoutQuery(f *testing.F) {
	f.Add("wss://h/x?role=publish_subscribe&token=SECRETCANARY")
	f.Add("https://user:SECRETCANARY@h/?a=b;c")
	f.Fuzz(func(t *testing.T, text string) {
		if got := withoutQuery(text); len(got) > len(text)*4+1024*len(hidden) {
			t.Errorf("%q became %d bytes", text, len(got))
		}
	})
}

func TestLimiterForgetsNoCount(t *testing.T) {
	l, now := newLimiter(), time.Unix(0, 0)
	var recorded, told int64
	const calls = 20_000
	for i := range calls {
		ok, dropped := l.allow("10.0."+string(rune('0'+i%10))+"."+string(rune('0'+i/10%10)), now.Add(time.Duration(i)*10*time.Millisecond))
		if ok {
			recorded++
		}
		told += dropped
	}
	if told += l.takeAll(); recorded+told != calls || recorded > totalBurst+calls/100 {
		t.Errorf("%d recorded and %d told of %d", recorded, told, calls)
	}
}
