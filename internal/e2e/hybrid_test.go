package e2e

import (
	"regexp"
	"testing"
)

const tierSetting = "/ssm/managed-instance/activation-tier"

// TestWalkthroughHybrid is the guide's second story: a machine outside AWS joins by an
// activation, the account's tier opens sessions to it, and it is taken out again.
func TestWalkthroughHybrid(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	if tier := d.tier(c); tier != "standard Default" {
		t.Errorf("a new account is on tier %s", tier)
	}
	r := join(t, d, c)
	place{deployment: d, node: r.node}.hybrid(t, c, "cut")
}

// TestStockAgentWalkthrough is the same story with a stock agent.
func TestStockAgentWalkthrough(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	place{deployment: d, node: stockAgent(t, d, c)}.hybrid(t, c, "stock")
}

// tier says the account's tier and whether somebody chose it.
func (d *deployment) tier(c cli) string {
	d.t.Helper()
	var out struct {
		ServiceSetting struct{ SettingValue, Status, ARN string }
	}
	d.mustJSON(c, &out, "ssm", "get-service-setting", "--setting-id", tierSetting)
	if want := d.arnPrefix() + "servicesetting" + tierSetting; out.ServiceSetting.ARN != want {
		d.t.Errorf("the setting's ARN is %s, want %s", out.ServiceSetting.ARN, want)
	}
	return out.ServiceSetting.SettingValue + " " + out.ServiceSetting.Status
}

// hybrid is the story from the moment that the node has joined.
func (p place) hybrid(t *testing.T, c cli, name string) {
	var nodes struct{ InstanceInformationList []map[string]any }
	p.mustJSON(c, &nodes, "ssm", "describe-instance-information", "--filters", "Key=ResourceType,Values=ManagedInstance")
	if len(nodes.InstanceInformationList) != 1 {
		t.Fatalf("nodes: %v", nodes.InstanceInformationList)
	}
	n := nodes.InstanceInformationList[0]
	if n["InstanceId"] != p.node || n["PingStatus"] != "Online" || n["Name"] != name || n["IamRole"] != "SSMServiceRole" ||
		n["PlatformType"] != "Linux" || n["ResourceType"] != "ManagedInstance" || n["RegistrationDate"] == nil || n["ActivationId"] == nil {
		t.Errorf("the node is shown as %v", n)
	}
	var activations struct {
		ActivationList []struct {
			RegistrationLimit, RegistrationsCount int
			Expired                               bool
		}
	}
	p.mustJSON(c, &activations, "ssm", "describe-activations", "--filters", "FilterKey=ActivationIds,FilterValues="+n["ActivationId"].(string))
	if a := activations.ActivationList; len(a) != 1 || a[0].RegistrationLimit != 1 || a[0].RegistrationsCount != 1 || a[0].Expired {
		t.Errorf("the activation is shown as %+v", a)
	}

	p.must(c, "ssm", "reset-service-setting", "--setting-id", tierSetting)
	p.refusedBy(c, "(BadRequest) when calling the StartSession operation: "+
		"Enable advanced-instances tier to use Session Manager with your on-premises instances", "ssm", "start-session", "--target", p.node)
	p.advanced(c)
	if tier := p.tier(c); tier != "advanced Customized" {
		t.Errorf("the tier is %s", tier)
	}
	v, id := p.session(t, c)

	// Taken out in the middle of a session.
	p.must(c, "ssm", "deregister-managed-instance", "--instance-id", p.node)
	v.expect(`(?i)` + regexp.QuoteMeta(id))
	if code := v.ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "the session is in the history", func() bool { return p.describe(t, c, "History", id) != nil })
	p.refusedBy(c, "(TargetNotConnected) when calling the StartSession operation: "+p.node+" is not connected.", "ssm", "start-session", "--target", p.node)
	p.mustJSON(c, &nodes, "ssm", "describe-instance-information")
	if len(nodes.InstanceInformationList) != 0 {
		t.Errorf("still listed: %v", nodes.InstanceInformationList)
	}
}
