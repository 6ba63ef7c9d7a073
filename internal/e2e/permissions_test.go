package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// operator is a user of the account with an access key of its own: the deployment as that
// person's shell sees it.
func (d *deployment) operator(c cli, name string) *deployment {
	d.t.Helper()
	d.mustJSON(c, nil, "iam", "create-user", "--user-name", name)
	return d.withKey(c, name)
}

// withKey makes an access key for a user and gives a shell that uses it.
func (d *deployment) withKey(c cli, name string) *deployment {
	d.t.Helper()
	var made struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	d.mustJSON(c, &made, "iam", "create-access-key", "--user-name", name)
	return d.with(made.AccessKey.AccessKeyId, made.AccessKey.SecretAccessKey, "")
}

// with gives a shell that uses other credentials.
func (d *deployment) with(id, secret, token string) *deployment {
	other := *d
	other.env = map[string]string{}
	for k, v := range d.env {
		other.env[k] = v
	}
	other.env["AWS_ACCESS_KEY_ID"], other.env["AWS_SECRET_ACCESS_KEY"] = id, secret
	delete(other.env, "AWS_SESSION_TOKEN")
	if token != "" {
		other.env["AWS_SESSION_TOKEN"] = token
	}
	return &other
}

// must runs an aws command that answers nothing of interest.
func (d *deployment) must(c cli, args ...string) {
	d.t.Helper()
	if _, err := d.aws(c, args...); err != nil {
		d.t.Fatal(err)
	}
}

// file writes a file for the CLI and gives the argument that names it.
func (d *deployment) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.t.(*testing.T).TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return "file://" + path
}

// samplePolicy is the guide's policy with its three statements, on lines of their own. The
// actions of statement 2 are the caller's: the guide's sample repeats ssm:StartSession
// there, which undoes statement 1.
func (d *deployment) samplePolicy(node string, second ...string) string {
	list, err := json.Marshal(second)
	if err != nil {
		d.t.Fatal(err)
	}
	prefix := d.arnPrefix()
	return fmt.Sprintf(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["ssm:StartSession"], "Resource": ["%smanaged-instance/%s", "%sdocument/SSM-SessionManagerRunShell"]},
    {"Effect": "Allow", "Action": %s, "Resource": "*"},
    {"Effect": "Allow", "Action": ["ssm:TerminateSession", "ssm:ResumeSession"], "Resource": ["arn:aws:ssm:*:*:session/${aws:userid}-*"]}
  ]
}`, prefix, node, prefix, list)
}

// arnPrefix is how the ARNs of Systems Manager's resources begin here.
func (d *deployment) arnPrefix() string {
	return "arn:aws:ssm:" + d.env["AWS_DEFAULT_REGION"] + ":" + d.account() + ":"
}

func (d *deployment) account() string {
	d.t.Helper()
	var who struct{ Account string }
	d.mustJSON(clis(d.t)[0], &who, "sts", "get-caller-identity")
	return who.Account
}

// The second statement of the guide's sample, as it is printed and without what undoes
// the first.
var (
	describing  = []string{"ssm:DescribeSessions", "ssm:GetConnectionStatus", "ssm:DescribeInstanceProperties", "ec2:DescribeInstances"}
	asIsPrinted = append([]string{"ssm:StartSession"}, describing...)
)

// simulated is one result of the policy simulator.
type simulated struct {
	EvalActionName, EvalResourceName, EvalDecision string
	MatchedStatements                              []struct {
		SourcePolicyId, SourcePolicyType string
		StartPosition                    struct{ Line, Column int }
	}
}

// lines are where the matched statements begin.
func (s simulated) lines() []int {
	var at []int
	for _, m := range s.MatchedStatements {
		at = append(at, m.StartPosition.Line)
	}
	return at
}

// simulate asks the policy simulator about ssm:StartSession.
func (d *deployment) simulate(c cli, user, resource string) simulated {
	d.t.Helper()
	var out struct{ EvaluationResults []simulated }
	d.mustJSON(c, &out, "iam", "simulate-principal-policy", "--policy-source-arn", "arn:aws:iam::"+d.account()+":user/"+user,
		"--action-names", "ssm:StartSession", "--resource-arns", resource)
	if len(out.EvaluationResults) != 1 {
		d.t.Fatalf("%d results", len(out.EvaluationResults))
	}
	return out.EvaluationResults[0]
}

// notAllowed is the text of a refusal by want of permission.
func (d *deployment) notAllowed(user, action, resource string) string {
	return "User: arn:aws:iam::" + d.account() + ":user/" + user + " is not authorized to perform: " + action +
		" on resource: " + resource + " because no identity-based policy allows the " + action + " action"
}

// opens opens a shell on a node and leaves it; the session is the operator's own.
func (d *deployment) opens(t *testing.T, c cli, node string) {
	t.Helper()
	v, _ := place{deployment: d.in(t), node: node}.session(t, c)
	v.typed("exit\n")
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestWalkthroughPermissions is the guide's first story: what an operator may do is
// limited, by a policy on the user and then by a group, and the simulator shows why the
// sample as it is printed limits nothing.
func TestWalkthroughPermissions(t *testing.T) {
	found := clis(t)
	c := found[0]
	d := deploy(t, 2)
	var nodes struct {
		InstanceInformationList []struct{ InstanceId string }
	}
	d.mustJSON(c, &nodes, "ssm", "describe-instance-information")
	if len(nodes.InstanceInformationList) != 2 {
		t.Fatalf("nodes %+v", nodes)
	}
	mine, other := nodes.InstanceInformationList[0].InstanceId, nodes.InstanceInformationList[1].InstanceId
	alice := d.operator(c, "alice")
	nodeARN := func(id string) string { return d.arnPrefix() + "managed-instance/" + id }

	t.Run("nothing is allowed to a new user", func(t *testing.T) {
		alice, d := alice.in(t), d.in(t)
		alice.refusedBy(c, d.notAllowed("alice", "ssm:StartSession", nodeARN(mine)), "ssm", "start-session", "--target", mine)
		alice.refusedBy(c, "because no identity-based policy allows the ssm:DescribeSessions action",
			"ssm", "describe-sessions", "--state", "Active")
		// Who it is, a caller may always ask.
		var who struct{ Arn string }
		alice.mustJSON(c, &who, "sts", "get-caller-identity")
		if !strings.HasSuffix(who.Arn, ":user/alice") {
			t.Errorf("caller is %s", who.Arn)
		}
	})

	t.Run("the sample as it is printed", func(t *testing.T) {
		alice, d := alice.in(t), d.in(t)
		d.must(c, "iam", "put-user-policy", "--user-name", "alice", "--policy-name", "Sample",
			"--policy-document", d.file("printed.json", d.samplePolicy(mine, asIsPrinted...)))
		// On the one machine both statements allow; on any other, statement 2 alone does.
		first := d.simulate(c, "alice", nodeARN(mine))
		second := d.simulate(c, "alice", nodeARN(other))
		if first.EvalDecision != "allowed" || fmt.Sprint(first.lines()) != "[4 5]" {
			t.Errorf("on the one machine: %+v", first)
		}
		if second.EvalDecision != "allowed" || fmt.Sprint(second.lines()) != "[5]" {
			t.Errorf("on another machine: %+v, want allowed by the statement in line 5", second)
		}
		for _, m := range second.MatchedStatements {
			if m.SourcePolicyId != "user_alice_Sample" || m.SourcePolicyType != "user" {
				t.Errorf("allowed by %s, a %s", m.SourcePolicyId, m.SourcePolicyType)
			}
		}
		alice.opens(t, c, other) // and so it is
	})

	corrected := d.samplePolicy(mine, describing...)
	limits := func(t *testing.T, name string) {
		me, d := alice.in(t), d.in(t)
		if got := d.simulate(c, name, nodeARN(other)); got.EvalDecision != "implicitDeny" || len(got.MatchedStatements) != 0 {
			t.Errorf("the simulator says of another machine: %+v", got)
		}
		me.opens(t, c, mine)
		me.refusedBy(c, "An error occurred (AccessDeniedException) when calling the StartSession operation: "+
			d.notAllowed(name, "ssm:StartSession", nodeARN(other)), "ssm", "start-session", "--target", other)
		me.refusedBy(c, d.notAllowed(name, "ssm:StartSession", d.arnPrefix()+"document/Another"),
			"ssm", "start-session", "--target", mine, "--document-name", "Another")
		me.refusedBy(c, d.notAllowed(name, "ssm:StartSession", "arn:aws:ssm:"+d.env["AWS_DEFAULT_REGION"]+"::document/AWS-StartSSHSession"),
			"ssm", "start-session", "--target", mine, "--document-name", "AWS-StartSSHSession")
		for _, call := range [][]string{
			{"ssm", "describe-instance-information"},
			{"ssm", "create-activation", "--iam-role", "SSMServiceRole"},
			{"ssm", "describe-activations"},
			{"iam", "list-users"},
			{"iam", "create-access-key", "--user-name", "admin"},
			{"iam", "put-user-policy", "--user-name", name, "--policy-name", "More", "--policy-document", d.file("more.json", d.samplePolicy(other, "*"))},
			{"cloudtrail", "lookup-events"},
		} {
			me.refusedBy(c, "is not authorized to perform: "+call[0]+":", call...)
		}
		me.must(c, "ssm", "describe-sessions", "--state", "Active")
		var instances struct {
			Reservations []struct {
				Instances []struct {
					InstanceId string
					State      struct{ Name string }
				}
			}
		}
		me.mustJSON(c, &instances, "ec2", "describe-instances", "--instance-ids", mine)
		if r := instances.Reservations; len(r) != 1 || r[0].Instances[0].InstanceId != mine || r[0].Instances[0].State.Name != "running" {
			t.Errorf("instances %+v", instances)
		}
		var status struct{ Status string }
		me.mustJSON(c, &status, "ssm", "get-connection-status", "--target", mine)
		if status.Status != "connected" {
			t.Errorf("connection status %q", status.Status)
		}
	}
	t.Run("the sample corrected", func(t *testing.T) {
		d.in(t).must(c, "iam", "put-user-policy", "--user-name", "alice", "--policy-name", "Sample",
			"--policy-document", d.in(t).file("corrected.json", corrected))
		limits(t, "alice")
	})

	t.Run("only own sessions", func(t *testing.T) {
		for _, c := range found {
			t.Run(c.name, func(t *testing.T) {
				alice, d := alice.in(t), d.in(t)
				theirs, foreign := place{deployment: d, node: mine}.session(t, c)
				v, own := place{deployment: alice, node: mine}.session(t, c)
				for _, call := range []string{"terminate-session", "resume-session"} {
					action := "ssm:TerminateSession"
					if call == "resume-session" {
						action = "ssm:ResumeSession"
					}
					alice.refusedBy(c, d.notAllowed("alice", action, d.arnPrefix()+"session/"+foreign), "ssm", call, "--session-id", foreign)
				}
				theirs.typed("echo still he''re\n")
				theirs.expect("still here")
				var resumed struct{ SessionId, TokenValue string }
				alice.mustJSON(c, &resumed, "ssm", "resume-session", "--session-id", own)
				if resumed.SessionId != own || resumed.TokenValue == "" {
					t.Errorf("resumed session %q, want %q with a token", resumed.SessionId, own)
				}
				alice.must(c, "ssm", "terminate-session", "--session-id", own)
				v.ends()
				theirs.typed("exit\n")
				theirs.ends()
			})
		}
	})

	t.Run("through a group", func(t *testing.T) {
		outer := d
		d := outer.in(t)
		d.must(c, "iam", "delete-user-policy", "--user-name", "alice", "--policy-name", "Sample")
		alice.in(t).refusedBy(c, d.notAllowed("alice", "ssm:StartSession", nodeARN(mine)), "ssm", "start-session", "--target", mine)
		d.must(c, "iam", "create-group", "--group-name", "Operators")
		d.must(c, "iam", "put-group-policy", "--group-name", "Operators", "--policy-name", "Sample",
			"--policy-document", d.file("group.json", corrected))
		d.must(c, "iam", "add-user-to-group", "--group-name", "Operators", "--user-name", "alice")
		limits(t, "alice")
		d.must(c, "iam", "remove-user-from-group", "--group-name", "Operators", "--user-name", "alice")
		alice.in(t).refusedBy(c, d.notAllowed("alice", "ssm:StartSession", nodeARN(mine)), "ssm", "start-session", "--target", mine)
		d.must(c, "iam", "add-user-to-group", "--group-name", "Operators", "--user-name", "alice")
	})

	t.Run("the console only, or the CLI only", func(t *testing.T) {
		alice, d := alice.in(t), d.in(t)
		deny := func(via string) {
			t.Helper()
			d.must(c, "iam", "put-group-policy", "--group-name", "Operators", "--policy-name", "Way", "--policy-document", d.file("way.json",
				`{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*",
				"Condition": {"Bool": {"sekisho:ViaConsole": "`+via+`"}}}}`))
		}
		deny("false") // the console only
		alice.refusedBy(c, "is not authorized to perform: ssm:StartSession on resource: "+nodeARN(mine)+
			" with an explicit deny in an identity-based policy", "ssm", "start-session", "--target", mine)
		deny("true") // the CLI only
		alice.opens(t, c, mine)
		d.must(c, "iam", "delete-group-policy", "--group-name", "Operators", "--policy-name", "Way")
	})

	t.Run("a change counts at once", func(t *testing.T) {
		alice, d := alice.in(t), d.in(t)
		var keys struct {
			AccessKeyMetadata []struct{ AccessKeyId string }
		}
		d.mustJSON(c, &keys, "iam", "list-access-keys", "--user-name", "alice")
		d.must(c, "iam", "update-access-key", "--user-name", "alice", "--access-key-id", keys.AccessKeyMetadata[0].AccessKeyId, "--status", "Inactive")
		alice.refusedBy(c, "UnrecognizedClientException", "ssm", "describe-sessions", "--state", "Active")
		d.must(c, "iam", "delete-access-key", "--user-name", "alice", "--access-key-id", keys.AccessKeyMetadata[0].AccessKeyId)
		alice.refusedBy(c, "UnrecognizedClientException", "ssm", "describe-sessions", "--state", "Active")
	})

	t.Run("all of it is in the audit trail", func(t *testing.T) {
		d := d.in(t)
		out, err := exec.Command(bin(t, "sekishod"), "audit", "export", "--config", filepath.Join(d.dir, "sekishod.yaml")).Output()
		if err != nil {
			t.Fatalf("audit export: %v", err)
		}
		var refused, allowed int
		for line := range strings.Lines(string(out)) {
			var e struct {
				EventName, ErrorCode, ErrorMessage string
				UserIdentity                       struct{ UserName string }
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if e.EventName == "StartSession" && e.UserIdentity.UserName == "alice" {
				if e.ErrorCode == "AccessDenied" || e.ErrorCode == "AccessDeniedException" {
					refused++
				} else if e.ErrorCode == "" {
					allowed++
				}
			}
		}
		if refused < 8 || allowed < 4 {
			t.Errorf("%d refused and %d allowed StartSession of alice in the trail", refused, allowed)
		}
		if text := string(out); strings.Contains(text, alice.env["AWS_SECRET_ACCESS_KEY"]) || strings.Contains(text, d.env["AWS_SECRET_ACCESS_KEY"]) {
			t.Error("a secret access key is in the trail")
		}
	})
}
