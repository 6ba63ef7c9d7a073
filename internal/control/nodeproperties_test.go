package control

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
)

// alicePrincipal is alice, for callAs.
func (w *world) alicePrincipal() auth.Principal {
	p, _ := auth.From(w.as("alice"))
	return p
}

func TestDescribeInstanceProperties(t *testing.T) {
	w := newWorld(t)
	a, b := w.node(ssm.Tag{Key: "team", Value: "ops"}), w.node()
	must(t, w.report(a, "Linux"))
	list := func(in *ssm.DescribeInstancePropertiesInput) (ids []string) {
		t.Helper()
		out, err := w.server.DescribeInstanceProperties(w.as("alice"), in)
		must(t, err)
		for _, x := range out.InstanceProperties {
			ids = append(ids, x.InstanceID)
		}
		slices.Sort(ids)
		return ids
	}
	both := []string{a, b}
	slices.Sort(both)
	if diff := cmp.Diff(both, list(&ssm.DescribeInstancePropertiesInput{})); diff != "" {
		t.Error(diff)
	}
	for _, in := range []*ssm.DescribeInstancePropertiesInput{
		{InstancePropertyFilterList: []ssm.InstancePropertyFilter{{Key: "PlatformTypes", ValueSet: []string{"Linux"}}}},
		{FiltersWithOperator: []ssm.InstancePropertyStringFilter{{Key: "tag:team", Values: []string{"ops"}}}},
		{FiltersWithOperator: []ssm.InstancePropertyStringFilter{{Key: "InstanceIds", Values: []string{a}, Operator: "Equal"}}},
	} {
		if diff := cmp.Diff([]string{a}, list(in)); diff != "" {
			t.Errorf("%+v: %s", in, diff)
		}
	}
	for _, c := range []struct {
		key, operator, value string
		want                 []string
	}{
		{"AgentVersion", "LessThan", "3.10", []string{a}}, // not as text
		{"AgentVersion", "LessThan", "3.4.0.0", nil},
		{"AgentVersion", "LessThan", "3.4", nil},
		{"AgentVersion", "GreaterThan", "3.3.99999.0", []string{a}},
		{"AgentVersion", "GreaterThan", "3.4", nil},
		{"AgentVersion", "BeginWith", "3.4.", []string{a}},
		{"PlatformTypes", "NotEqual", "Linux", []string{b}},
		{"tag:team", "BeginWith", "op", []string{a}},
		{"tag:team", "NotEqual", "ops", []string{b}},
		{"ComputerName", "Equal", "web.example.net", []string{a}},
		{"PingStatus", "Equal", "ConnectionLost", []string{b}},
	} {
		in := &ssm.DescribeInstancePropertiesInput{FiltersWithOperator: []ssm.InstancePropertyStringFilter{{Key: c.key, Values: []string{c.value}, Operator: c.operator}}}
		if diff := cmp.Diff(c.want, list(in)); diff != "" {
			t.Errorf("%+v: %s", c, diff)
		}
	}
	_, err := w.server.DescribeInstanceProperties(w.as("alice"), &ssm.DescribeInstancePropertiesInput{
		FiltersWithOperator: []ssm.InstancePropertyStringFilter{{Key: "PlatformTypes", Values: []string{"3"}, Operator: "LessThan"}}})
	wantCode(t, err, "InvalidInstancePropertyFilterValue")
	_, err = w.server.DescribeInstanceProperties(w.as("alice"), &ssm.DescribeInstancePropertiesInput{
		FiltersWithOperator: []ssm.InstancePropertyStringFilter{{Key: "Colour", Values: []string{"red"}}}})
	wantCode(t, err, ssm.CodeInvalidFilterKey)
}

// report is a node's heartbeat.
func (w *world) report(id, platform string) error {
	_, err := w.server.UpdateInstanceInformation(w.asNode(id), &ssm.UpdateInstanceInformationInput{
		InstanceID: id, AgentVersion: "3.4.0.0", PlatformType: platform, IPAddress: "192.0.2.7", ComputerName: "web.example.net"})
	return err
}

func TestDescribeInstancesSpeaksEC2(t *testing.T) {
	w := newWorld(t)
	a := w.node(ssm.Tag{Key: "team", Value: "<ops>"})
	must(t, w.report(a, "Windows"))
	status, answer := callAs(t, w.server, w.alicePrincipal(), "", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1="+a+
		"&Filter.1.Name=instance-state-name&Filter.1.Value.1=running&Filter.1.Value.2=pending")
	for _, want := range []string{
		`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>`,
		"<reservationSet><item><reservationId>r-" + a[3:] + "</reservationId><ownerId>123456789012</ownerId><instancesSet><item><instanceId>" + a + "</instanceId>",
		"<instanceState><code>16</code><name>running</name></instanceState><privateIpAddress>192.0.2.7</privateIpAddress>",
		"<platform>windows</platform>",
		"<tagSet><item><key>team</key><value>&lt;ops&gt;</value></item><item><key>Name</key><value>web</value></item></tagSet>",
	} {
		if status != http.StatusOK || !strings.Contains(answer, want) {
			t.Errorf("answer %d %s\nwant %s", status, answer, want)
		}
	}
	w.ahead.Store(int64(time.Hour)) // silent since
	for query, want := range map[string]string{
		"": a,
		"&Filter.1.Name=tag-key&Filter.1.Value.1=team":                         a,
		"&Filter.1.Name=instance-state-name&Filter.1.Value.1=stopped":          a,
		"&Filter.1.Name=instance-state-name&Filter.1.Value.1=running":          "<reservationSet/>",
		"&Filter.1.Name=instance-state-name&Filter.1.Value.1=terminated":       "<reservationSet/>",
		"&Filter.1.Name=tag:team&Filter.1.Value.1=dev":                         "<reservationSet/>",
		"&InstanceId.1=" + a + "&Filter.1.Name=instance-id&Filter.1.Value.1=x": "<reservationSet/>",
		"&InstanceId.1=i-0123456789abcdef0":                                    "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>The instance ID &#39;i-0123456789abcdef0&#39; does not exist</Message></Error></Errors><RequestID>",
		"&InstanceId.1=x":                                                      "<Code>InvalidInstanceID.Malformed</Code><Message>Invalid id: &#34;x&#34;</Message>",
		"&Filter.1.Name=colour&Filter.1.Value.1=red":                           "<Code>InvalidParameterValue</Code>",
		"&NextToken=x":  "<Code>InvalidParameterValue</Code>",
		"&DryRun=true":  "<Code>DryRunOperation</Code>",
		"&MaxResults=2": "<Code>InvalidParameterValue</Code>",
	} {
		if _, answer := callAs(t, w.server, w.alicePrincipal(), "", "Action=DescribeInstances&Version=2016-11-15"+query); !strings.Contains(answer, want) {
			t.Errorf("%q: %s\nwant %s", query, answer, want)
		}
	}
}
