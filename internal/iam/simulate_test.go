package iam_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// simulated is an answer of a simulator.
type simulated struct {
	Results []struct {
		Action   string      `xml:"EvalActionName"`
		Resource string      `xml:"EvalResourceName"`
		Decision string      `xml:"EvalDecision"`
		Matched  []statement `xml:"MatchedStatements>member"`
		Missing  []string    `xml:"MissingContextValues>member"`
		Bounded  string      `xml:"PermissionsBoundaryDecisionDetail>AllowedByPermissionsBoundary"`
		Specific []struct {
			Resource string      `xml:"EvalResourceName"`
			Decision string      `xml:"EvalResourceDecision"`
			Matched  []statement `xml:"MatchedStatements>member"`
		} `xml:"ResourceSpecificResults>member"`
	} `xml:"EvaluationResults>member"`
	IsTruncated bool
	Marker      string
}

type statement struct {
	ID    string   `xml:"SourcePolicyId"`
	Type  string   `xml:"SourcePolicyType"`
	Start position `xml:"StartPosition"`
	End   position `xml:"EndPosition"`
}

type position struct{ Line, Column int }

func (s statement) String() string {
	return fmt.Sprintf("%s/%s %d:%d-%d:%d", s.Type, s.ID, s.Start.Line, s.Start.Column, s.End.Line, s.End.Column)
}

// simulate asks a simulator.
func (w *world) simulate(action string, parameters ...string) simulated {
	w.t.Helper()
	got := w.call("admin", form(action, parameters...))
	if got.status != 200 {
		w.t.Fatal(got)
	}
	var out struct {
		Principal simulated `xml:"SimulatePrincipalPolicyResult"`
		Custom    simulated `xml:"SimulateCustomPolicyResult"`
	}
	must(w.t, xml.Unmarshal([]byte(got.body), &out))
	if action == "SimulateCustomPolicy" {
		return out.Custom
	}
	return out.Principal
}

// lines are the results one by one: decision, action, resource, and the statements.
func (s simulated) lines() []string {
	var lines []string
	for _, r := range s.Results {
		line := r.Decision + " " + r.Action + " " + r.Resource
		for _, m := range r.Matched {
			line += " " + m.String()
		}
		if r.Bounded != "" {
			line += " bounded:" + r.Bounded
		}
		if len(r.Missing) > 0 {
			line += " missing:" + strings.Join(r.Missing, ",")
		}
		lines = append(lines, line)
	}
	return lines
}

func (s simulated) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The sample of the walk-through as it is printed: its second statement undoes the first.
const printedSample = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ssm:StartSession",
     "Resource": ["arn:aws:ec2:local-1:123456789012:instance/i-0aaaaaaaaaaaaaaaa", "arn:aws:ssm:local-1:123456789012:document/SSM-SessionManagerRunShell"]},
    {"Effect": "Allow", "Action": ["ssm:DescribeSessions", "ssm:GetConnectionStatus", "ssm:DescribeInstanceProperties", "ssm:StartSession", "ec2:DescribeInstances"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["ssm:TerminateSession", "ssm:ResumeSession"], "Resource": "arn:aws:ssm:*:*:session/${aws:userid}-*"}
  ]
}`

func TestTheSimulatorShowsThatTheSampleUndoesItself(t *testing.T) {
	w := newWorld(t)
	const node, other = "arn:aws:ec2:local-1:123456789012:instance/i-0aaaaaaaaaaaaaaaa", "arn:aws:ec2:local-1:123456789012:instance/i-0bbbbbbbbbbbbbbbb"
	const nobody = "arn:aws:iam::123456789012:user/nobody"
	own := "arn:aws:ssm:local-1:123456789012:session/AIDA" + strings.Repeat("N", 17) + "-0123456789abcdef0"
	ask := func() simulated {
		return w.simulate("SimulatePrincipalPolicy", "PolicySourceArn", nobody, "ActionNames.member.1", "ssm:StartSession", "ActionNames.member.2", "ssm:TerminateSession",
			"ResourceArns.member.1", node, "ResourceArns.member.2", other, "ResourceArns.member.3", own)
	}
	one, two, three := "user/user_nobody_Sample 4:5-5:156", "user/user_nobody_Sample 6:5-6:183", "user/user_nobody_Sample 7:5-7:136"
	w.call("admin", form("PutUserPolicy", "UserName", "nobody", "PolicyName", "Sample", "PolicyDocument", printedSample))
	got := ask()
	got.want(t,
		"allowed ssm:StartSession "+node+" "+one+" "+two,
		"allowed ssm:StartSession "+other+" "+two,
		"allowed ssm:StartSession "+own+" "+two,
		"implicitDeny ssm:TerminateSession "+node,
		"implicitDeny ssm:TerminateSession "+other,
		"allowed ssm:TerminateSession "+own+" "+three,
	)
	for _, r := range got.Results {
		if len(r.Specific) != 1 || r.Specific[0].Resource != r.Resource || r.Specific[0].Decision != r.Decision || !cmp.Equal(r.Specific[0].Matched, r.Matched) {
			t.Errorf("%+v does not repeat the result of %s", r.Specific, r.Resource)
		}
	}
	// With the action taken out of statement 2, the other machine is closed.
	corrected := strings.Replace(printedSample, `"ssm:StartSession", "ec2:`, `"ec2:`, 1)
	w.call("admin", form("PutUserPolicy", "UserName", "nobody", "PolicyName", "Sample", "PolicyDocument", corrected))
	lines := ask().lines()
	if lines[0] != "allowed ssm:StartSession "+node+" "+one || lines[1] != "implicitDeny ssm:StartSession "+other {
		t.Errorf("corrected: %q", lines)
	}
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	w := withThree(t)
	const user, group, role = "arn:aws:iam::123456789012:user/eng/x", "arn:aws:iam::123456789012:group/eng/x", "arn:aws:iam::123456789012:role/eng/x"
	w.call("admin", form("CreatePolicy", "PolicyName", "P", "PolicyDocument", allowing("s3:Get*")))
	w.tell([]step{
		{"admin", form("AddUserToGroup", "UserName", "x", "GroupName", "x"), "200"},
		{"admin", form("TagUser", "UserName", "x", "Tags.member.1.Key", "team", "Tags.member.1.Value", "db"), "200"},
		{"admin", form("PutGroupPolicy", "GroupName", "x", "PolicyName", "ours", "PolicyDocument",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::secret/*"},`+
				`{"Effect":"Allow","Action":"s3:Put*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"db","aws:RequestTag/x":"1"}}}]}`), "200"},
		{"admin", form("AttachUserPolicy", "UserName", "x", "PolicyArn", policies+"/P"), "200"},
		{"admin", form("AttachUserPolicy", "UserName", "x", "PolicyArn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"), "200"},
		{"admin", form("PutRolePolicy", "RoleName", "x", "PolicyName", "its", "PolicyDocument", allowing("s3:Get*")), "200"},
	})
	get := []string{"ActionNames.member.1", "s3:GetObject"}
	ask := func(source string, more ...string) simulated {
		return w.simulate("SimulatePrincipalPolicy", append([]string{"PolicySourceArn", source}, more...)...)
	}
	const local, shipped = "user-managed/P 1:38-1:90", "aws-managed/AmazonS3ReadOnlyAccess 4:5-9:6"
	ask(user, append(get, "ResourceArns.member.1", "arn:aws:s3:::open/x", "ResourceArns.member.2", "arn:aws:s3:::secret/x")...).want(t,
		"allowed s3:GetObject arn:aws:s3:::open/x "+local+" "+shipped,
		"explicitDeny s3:GetObject arn:aws:s3:::secret/x group/group_x_ours 1:38-1:114 "+local+" "+shipped,
	)
	// Without resources the question is about *.
	ask(role, get...).want(t, "allowed s3:GetObject * role/role_x_its 1:38-1:90")
	ask(group, append(get, "ResourceArns.member.1", "arn:aws:s3:::secret/x")...).want(t, "explicitDeny s3:GetObject arn:aws:s3:::secret/x group/group_x_ours 1:38-1:114")
	// The context is what the request gives, and what follows from the user.
	put := []string{"ActionNames.member.1", "s3:PutObject"}
	ask(user, put...).want(t, "implicitDeny s3:PutObject * missing:aws:RequestTag/x")
	ask(user, append(put, "ContextEntries.member.1.ContextKeyName", "AWS:requesttag/X", "ContextEntries.member.1.ContextKeyType", "string",
		"ContextEntries.member.1.ContextKeyValues.member.1", "1")...).want(t, "allowed s3:PutObject * group/group_x_ours 1:115-1:250")
	// Policies of the request count beside those of the user.
	ask(user, "ActionNames.member.1", "ssm:StartSession", "PolicyInputList.member.1", allowing("ssm:*")).want(t,
		"allowed ssm:StartSession * none/PolicyInputList.1 1:38-1:88")
	// The boundary, the user's or one in its place.
	w.call("admin", form("PutUserPermissionsBoundary", "UserName", "x", "PermissionsBoundary", "arn:aws:iam::aws:policy/IAMFullAccess"))
	open := append(get, "ResourceArns.member.1", "arn:aws:s3:::open/x")
	ask(user, open...).want(t, "implicitDeny s3:GetObject arn:aws:s3:::open/x "+local+" "+shipped+" bounded:false")
	ask(user, append(open, "PermissionsBoundaryPolicyInputList.member.1", allowing("s3:*"))...).want(t,
		"allowed s3:GetObject arn:aws:s3:::open/x "+local+" "+shipped+" none/PermissionsBoundaryPolicyInputList.1 1:38-1:87 bounded:true")

	w.allow("nobody", "Sim", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"arn:aws:iam::123456789012:user/eng/*"}}`)
	sim := func(user, source string, more ...string) string {
		return w.call(user, form("SimulatePrincipalPolicy", append([]string{"PolicySourceArn", source}, more...)...)).String()
	}
	for _, test := range []struct{ got, want string }{
		{sim("admin", "arn:aws:iam::123456789012:user/none", get...), "404 NoSuchEntity: The user with name none cannot be found."},
		{sim("admin", "arn:aws:iam::123456789012:user/x", get...), "404 NoSuchEntity: The user with name x cannot be found."},
		{sim("admin", "arn:aws:iam::123456789012:root", get...), "400 InvalidInput: Invalid Entity Arn: arn:aws:iam::123456789012:root does not clearly define entity type and name."},
		{sim("admin", user, "ActionNames.member.1", "GetObject"), "400 InvalidInput: Invalid Action Name: GetObject"},
		{sim("admin", user, append(get, "ResourceArns.member.1", "x")...), "400 InvalidInput: Invalid Resource ARN: x"},
		{sim("admin", user), "400 ValidationError: 1 validation error detected: Value null at 'actionNames' failed to satisfy constraint: Member must not be null"},
		{sim("nobody", "arn:aws:iam::123456789012:role/eng/x", get...), denied("nobody", "iam:SimulatePrincipalPolicy", role)},
		{sim("nobody", "arn:aws:iam::123456789012:user/eng/none", get...), "404 NoSuchEntity: The user with name none cannot be found."},
	} {
		if test.got != test.want {
			t.Errorf("\n got %s\nwant %s", test.got, test.want)
		}
	}
}

func TestSimulateCustomPolicy(t *testing.T) {
	w := newWorld(t)
	get := []string{"ActionNames.member.1", "s3:GetObject"}
	ask := func(more ...string) simulated { return w.simulate("SimulateCustomPolicy", more...) }
	ask(append(get, "PolicyInputList.member.1", allowing("s3:*"), "PolicyInputList.member.2", strings.Replace(allowing("s3:*"), "Allow", "Deny", 1))...).want(t,
		"explicitDeny s3:GetObject * none/PolicyInputList.1 1:38-1:87 none/PolicyInputList.2 1:38-1:86")
	ask(append(get, "PolicyInputList.member.1", allowing("ec2:*"))...).want(t, "implicitDeny s3:GetObject *")
	// The policy of the resource may allow in place of the user's own.
	bucket := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/x"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`
	with := append(get, "PolicyInputList.member.1", allowing("ec2:*"), "ResourcePolicy", bucket, "ResourceArns.member.1", "arn:aws:s3:::b/k", "CallerArn")
	ask(append(with, "arn:aws:iam::123456789012:user/x")...).want(t, "allowed s3:GetObject arn:aws:s3:::b/k resource/ResourcePolicy 1:37-1:164")
	ask(append(with, "arn:aws:iam::123456789012:user/y")...).want(t, "implicitDeny s3:GetObject arn:aws:s3:::b/k")

	// Pages, in the order of the actions and under them of the resources.
	many := []string{"PolicyInputList.member.1", allowing("s3:*")}
	for i := range 3 {
		many = append(many, fmt.Sprint("ActionNames.member.", i+1), fmt.Sprint("s3:Get", i), fmt.Sprint("ResourceArns.member.", i+1), fmt.Sprint("arn:aws:s3:::b/", i))
	}
	whole := ask(many...)
	if whole.IsTruncated || len(whole.Results) != 9 {
		t.Fatalf("%+v", whole)
	}
	var lines []string
	page := simulated{IsTruncated: true}
	for page.IsTruncated {
		with := append(many[:len(many):len(many)], "MaxItems", "4")
		if page.Marker != "" {
			with = append(with, "Marker", page.Marker)
		}
		page = ask(with...)
		lines = append(lines, page.lines()...)
	}
	if diff := cmp.Diff(whole.lines(), lines); diff != "" {
		t.Errorf("in pages:\n%s", diff)
	}
	marker := ask(append(many, "MaxItems", "1")...).Marker
	w.tell([]step{
		{"admin", form("SimulateCustomPolicy", append(many, "ActionNames.member.4", "s3:x", "Marker", marker)...), "400 ValidationError: Invalid Marker."},
		{"admin", form("SimulateCustomPolicy", append(get, "PolicyInputList.member.1", "{")...), "400 InvalidInput: Syntax errors in policy. (line 1, column 2: the name of an element is expected)"},
		{"admin", form("SimulateCustomPolicy", append(get, "PolicyInputList.member.1", allowing("s3:*"), "ResourcePolicy", bucket)...), "400 InvalidInput: CallerArn is required if ResourcePolicy is given."},
		{"nobody", form("SimulateCustomPolicy", many...), denied("nobody", "iam:SimulateCustomPolicy", "*")},
	})
}

func TestContextKeys(t *testing.T) {
	w := newWorld(t)
	keyed := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*",` +
		`"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"StringEquals":{"AWS:UserName":"x"}}}]}`
	w.allow("nobody", "Keyed", keyed)
	const nobody = "arn:aws:iam::123456789012:user/nobody"
	names := func(want string, f string) {
		t.Helper()
		if got := w.call("admin", f).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	const two = "<member>aws:username</member><member>aws:MultiFactorAuthPresent</member>"
	names("200 <ContextKeyNames>"+two+"</ContextKeyNames>", form("GetContextKeysForCustomPolicy", "PolicyInputList.member.1", keyed))
	names("200 <ContextKeyNames/>", form("GetContextKeysForCustomPolicy", "PolicyInputList.member.1", allowing("s3:*")))
	names("200 <ContextKeyNames>"+two+"<member>aws:SourceIp</member></ContextKeyNames>", form("GetContextKeysForPrincipalPolicy", "PolicySourceArn", nobody, "PolicyInputList.member.1",
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}}`))
	w.tell([]step{
		{"admin", form("GetContextKeysForPrincipalPolicy", "PolicySourceArn", nobody+"2"), "404 NoSuchEntity: The user with name nobody2 cannot be found."},
		{"nobody", form("GetContextKeysForPrincipalPolicy", "PolicySourceArn", nobody), denied("nobody", "iam:GetContextKeysForPrincipalPolicy", nobody)},
		{"nobody", form("GetContextKeysForCustomPolicy", "PolicyInputList.member.1", "{"), denied("nobody", "iam:GetContextKeysForCustomPolicy", "*")},
	})
}
