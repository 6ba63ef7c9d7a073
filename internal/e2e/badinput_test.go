package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

// refusedBy runs an aws command that must fail as one that the service refused, with a
// text that contains want.
func (d *deployment) refusedBy(c cli, want string, args ...string) {
	d.t.Helper()
	out, err := d.aws(c, args...)
	if err == nil {
		d.t.Errorf("aws %s succeeded: %s", strings.Join(args, " "), out)
		return
	}
	if !strings.Contains(err.Error(), want) {
		d.t.Errorf("%v\nwant %q in it", err, want)
	}
	var code int
	if _, e, ok := strings.Cut(err.Error(), "exit status "); ok {
		fmt.Sscanf(e, "%d", &code)
	}
	if code != 254 && code != 255 { // of CLI version 2 and 1, for an error of the service
		d.t.Errorf("aws %s: exit code %d", strings.Join(args, " "), code)
	}
}

// register runs the agent's register command and returns what it says.
func (d *deployment) register(dir, id, code string) (string, error) {
	d.t.Helper()
	cmd := exec.Command(bin(d.t, "sekisho-agent"), "register", "--dir", dir, "--endpoint", "https://"+d.listen,
		"--ca", d.env["AWS_CA_BUNDLE"], "--region", d.env["AWS_DEFAULT_REGION"], "--id", id)
	cmd.Env = append(cleanEnv(), "SEKISHO_ACTIVATION_CODE="+code)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// registerRefused registers with an activation that is no good: one clear sentence, no
// registration left behind.
func (d *deployment) registerRefused(id, code, want string) {
	d.t.Helper()
	dir := filepath.Join(d.t.(*testing.T).TempDir(), "agent")
	out, err := d.register(dir, id, code)
	if err == nil || exitCode(err) != 1 {
		d.t.Errorf("register: %v %s", err, out)
	}
	if !strings.Contains(out, want) || strings.Count(strings.TrimSpace(out), "\n") > 1 || strings.Contains(out, code) {
		d.t.Errorf("register says %q, want %q, in a line, without the code", out, want)
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) != 0 {
		d.t.Errorf("a refused registration leaves %v", left)
	}
}

// nodeID is the node that a registration's output names.
func nodeID(out string) string { return regexp.MustCompile(`mi-[0-9a-f]{17}`).FindString(out) }

// activation makes an activation with the CLI.
func (d *deployment) activation(c cli, args ...string) (id, code string) {
	d.t.Helper()
	var out struct{ ActivationId, ActivationCode string }
	d.mustJSON(c, &out, append([]string{"ssm", "create-activation", "--iam-role", "SSMServiceRole"}, args...)...)
	return out.ActivationId, out.ActivationCode
}

// TestBadInput asks with the real CLI and the real agent for what cannot be had.
func TestBadInput(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	node := d.env["SEKISHO_NODE_ID"]
	// It expires while the other tests run. The CLI sends whole seconds, and takes one or
	// more to start.
	shortID, shortCode := d.activation(c, "--expiration-date", time.Now().Add(6*time.Second).UTC().Format(time.RFC3339))

	t.Run("activation", func(t *testing.T) {
		d := d.in(t)
		id, code := d.activation(c)
		d.registerRefused(id, strings.Repeat("x", len(code)), "The activation isn't valid.")
		d.registerRefused(ssm.NewUUID(), code, "The activation isn't valid.")
		if out, err := d.register(t.TempDir(), id, code); err != nil { // the failures above used nothing up
			t.Errorf("register: %v %s", err, out)
		}
		d.registerRefused(id, code, "Registration limit exceeded")

		d.refusedBy(c, "ValidationException", "ssm", "create-activation", "--iam-role", "SSMServiceRole",
			"--expiration-date", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
		d.refusedBy(c, "ValidationException", "ssm", "create-activation", "--iam-role", "SSMServiceRole",
			"--expiration-date", time.Now().Add(31*24*time.Hour).UTC().Format(time.RFC3339))
	})

	t.Run("target", func(t *testing.T) {
		d := d.in(t)
		unknown := ssm.NewNodeID()
		refused := func(target string) {
			t.Helper()
			d.refusedBy(c, "An error occurred (TargetNotConnected) when calling the StartSession operation: "+target+" is not connected.",
				"ssm", "start-session", "--target", target)
		}
		refused(unknown)
		refused("no-such-thing")
		id, code := d.activation(c)
		out, err := d.register(t.TempDir(), id, code)
		if err != nil {
			t.Fatalf("register: %v %s", err, out)
		}
		refused(nodeID(out)) // registered, never run
		d.refusedBy(c, "(InvalidDocument)", "ssm", "start-session", "--target", node, "--document-name", "No-Such-Document")
	})

	t.Run("operation", func(t *testing.T) {
		d := d.in(t)
		d.refusedBy(c, "The operation SendCommand exists at AWS but is not implemented by this server.",
			"ssm", "send-command", "--document-name", "AWS-RunShellScript", "--targets", "Key=InstanceIds,Values="+node)
		d.refusedBy(c, "The operation GetFederationToken exists at AWS but is not implemented by this server.",
			"sts", "get-federation-token", "--name", "alice")
		d.refusedBy(c, "1 validation error detected: Value '500' at 'maxResults' failed to satisfy constraint: "+
			"Member must have value less than or equal to 200", "ssm", "describe-sessions", "--state", "Active", "--max-results", "500")
		d.refusedBy(c, "2 validation errors detected: ", "ssm", "describe-sessions", "--state", "Sleeping", "--max-results", "500")
		d.refusedBy(c, "Member must have length less than or equal to 400", "ssm", "start-session", "--target", strings.Repeat("x", 401))
	})

	t.Run("session", func(t *testing.T) {
		d := d.in(t)
		unknown := ssm.NewSessionID("nobody")
		terminate := func(id string) {
			t.Helper()
			var out struct{ SessionId string }
			d.mustJSON(c, &out, "ssm", "terminate-session", "--session-id", id)
			if out.SessionId != id {
				t.Errorf("TerminateSession of %s answers %+v", id, out)
			}
		}
		terminate(unknown) // a client that repeats its call must not fail
		d.refusedBy(c, "(DoesNotExistException)", "ssm", "resume-session", "--session-id", unknown)

		p := newRawPeer(t, d)
		started := p.start(node)
		ws := p.dialClient(started.StreamURL, started.TokenValue)
		terminate(started.SessionID)
		p.closedByServer(ws, "TerminateSession")
		eventually(t, "the session is in the history", func() bool { return p.session("History", started.SessionID) != nil })
		p.terminate(started.SessionID)
		var out struct{ SessionId, TokenValue, StreamUrl *string }
		d.mustJSON(c, &out, "ssm", "resume-session", "--session-id", started.SessionID)
		if out.SessionId == nil || *out.SessionId != started.SessionID || out.TokenValue != nil || out.StreamUrl != nil {
			t.Errorf("ResumeSession of an ended session has a token")
		}
		p.closedByServer(p.dialClient(started.StreamURL, started.TokenValue), "a client of an ended session")
	})

	t.Run("expired activation", func(t *testing.T) {
		d := d.in(t)
		eventually(t, "the activation is shown as expired", func() bool {
			var out struct{ ActivationList []struct{ Expired bool } }
			d.mustJSON(c, &out, "ssm", "describe-activations", "--filters", "FilterKey=ActivationIds,FilterValues="+shortID)
			return len(out.ActivationList) == 1 && out.ActivationList[0].Expired
		})
		d.registerRefused(shortID, shortCode, "The activation has expired")
	})
	d.stop(syscall.SIGTERM) // does not wait for sessions
}
