package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Lists of nodes in the shape for several accounts: filters, pages and counts.
func TestListNodes(t *testing.T) {
	w := newWorld(t)
	var linux, windows []string
	for i := range 7 {
		id := w.node()
		platform := "Linux"
		if i%3 == 2 {
			platform = "Windows"
			windows = append(windows, id)
		} else {
			linux = append(linux, id)
		}
		must(t, w.report(id, platform))
	}
	slices.Sort(linux)
	slices.Sort(windows)
	list := func(size int, filters ...ssm.NodeFilter) (ids []string) {
		t.Helper()
		in := &ssm.ListNodesInput{Filters: filters, MaxResults: &size}
		for {
			out, err := w.server.ListNodes(w.as("alice"), in)
			must(t, err)
			for _, n := range out.Nodes {
				ids = append(ids, n.ID)
				if n.Region != w.server.cfg.ARNs.Region || n.Owner.AccountID != "123456789012" || n.NodeType.Instance.InstanceStatus != ssm.PingOnline {
					t.Errorf("node %+v", n)
				}
			}
			if in.NextToken = out.NextToken; out.NextToken == "" {
				return ids
			}
		}
	}
	for _, size := range []int{1, 2, 50} {
		for _, c := range []struct {
			want    []string
			filters []ssm.NodeFilter
		}{
			{windows, []ssm.NodeFilter{{Key: "PlatformType", Values: []string{"Windows"}}}},
			{linux, []ssm.NodeFilter{{Key: "PlatformType", Values: []string{"Windows"}, Type: "NotEqual"}, {Key: "ManagedStatus", Values: []string{"All"}}}},
			{linux[1:2], []ssm.NodeFilter{{Key: "InstanceId", Values: linux[1:2]}}},
			{linux, []ssm.NodeFilter{{Key: "ComputerName", Values: []string{"web."}, Type: "BeginWith"}, {Key: "PlatformType", Values: []string{"Linux", "MacOS"}}}},
			{nil, []ssm.NodeFilter{{Key: "OrganizationalUnitId", Values: []string{"ou-1"}}}},
			{nil, []ssm.NodeFilter{{Key: "ManagedStatus", Values: []string{"Unmanaged"}}}},
		} {
			if diff := cmp.Diff(c.want, list(size, c.filters...)); diff != "" {
				t.Errorf("pages of %d, %v: %s", size, c.filters, diff)
			}
		}
	}
	if got := list(3); len(got) != 7 || !slices.IsSorted(got) {
		t.Errorf("all: %v", got)
	}
	_, err := w.server.ListNodes(w.as("alice"), &ssm.ListNodesInput{SyncName: "AWS-QuickSetup-ManagedNode"})
	wantCode(t, err, "ResourceDataSyncNotFoundException")

	count := func(name string, within ...ssm.NodeAggregator) ssm.NodeAggregator {
		return ssm.NodeAggregator{AggregatorType: "Count", TypeName: "Instance", AttributeName: name, Aggregators: within}
	}
	one := 1
	in := &ssm.ListNodesSummaryInput{Aggregators: []ssm.NodeAggregator{count("PlatformType", count("AgentVersion"))}, MaxResults: &one}
	var rows []map[string]string
	for {
		out, err := w.server.ListNodesSummary(w.as("alice"), in)
		must(t, err)
		rows = append(rows, out.Summary...)
		if in.NextToken = out.NextToken; out.NextToken == "" {
			break
		}
	}
	want := []map[string]string{
		{"PlatformType": "Linux", "Count": "5"}, {"PlatformType": "Windows", "Count": "2"},
		{"PlatformType": "Linux", "AgentVersion": "3.4.0.0", "Count": "5"}, {"PlatformType": "Windows", "AgentVersion": "3.4.0.0", "Count": "2"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	_, err = w.server.ListNodesSummary(w.as("alice"), &ssm.ListNodesSummaryInput{
		Aggregators: []ssm.NodeAggregator{count("Region", count("PlatformType", count("AgentVersion")))}})
	wantCode(t, err, "InvalidAggregatorException")
}

// A month in which a tier was changed twice and a node came and went.
func TestNodeHours(t *testing.T) {
	w := newWorld(t)
	month := time.Date(2031, 4, 1, 0, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return month.Add(time.Duration(hours) * time.Hour) }
	must(t, w.store.DeleteSetting(t.Context(), ssm.ActivationTierSetting, at(-2000)))
	register := func(when time.Time, team string) string {
		id := ssm.NewUUID()
		a := store.Activation{ID: id, CodeHash: secretHash(id), IamRole: "NodeRole", DefaultInstanceName: team, RegistrationLimit: 1,
			CreatedAt: when, ExpirationDate: when.Add(time.Hour), CreatedBy: "x"}
		if team != "" {
			a.Tags = []ssm.Tag{{Key: "team", Value: team}}
		}
		must(t, w.store.CreateActivation(t.Context(), a))
		n, err := w.store.RegisterNode(t.Context(), id, secretHash(id), store.Node{PublicKey: []byte{1}, PublicKeyType: "Rsa", Fingerprint: id}, when)
		must(t, err)
		return n.ID
	}
	old := register(at(-100), "red") // there all the time
	brief := register(at(20), "red")
	register(at(30), "")
	must(t, w.store.DeregisterNode(t.Context(), brief, at(26)))
	tier := func(value string, when time.Time) {
		must(t, w.store.PutSetting(t.Context(), store.Setting{ID: ssm.ActivationTierSetting, Value: value, ModifiedAt: when, ModifiedBy: "x"}))
	}
	tier(ssm.TierAdvanced, at(10))
	tier(ssm.TierStandard, at(24))

	report := func(since, until time.Time, key string) string {
		t.Helper()
		out, err := CountNodeHours(t.Context(), w.store, since, until, key, at(40))
		must(t, err)
		text := fmt.Sprint(out.Total)
		var nodes []string
		for _, n := range out.Nodes {
			nodes = append(nodes, fmt.Sprintf(" %s %v %v %t", map[string]string{old: "old", brief: "brief"}[n.InstanceID], n.TierHours, n.Tags, n.DeregisteredAt != ""))
		}
		slices.Sort(nodes)
		text += strings.Join(nodes, "")
		for _, x := range out.Tags {
			text += fmt.Sprintf(" %q %d %v", x.Value, x.Nodes, x.TierHours)
		}
		return text
	}
	// old: 40 h of which 14 advanced; brief: 20 to 26, 4 of them advanced; the third: 10 h.
	if got := report(time.Time{}, at(40), "team"); got != `{38 18} "" 1 {10 0} "red" 2 {28 18}` {
		t.Errorf("by tag: %s", got)
	}
	if got := report(at(25), at(26), ""); got != "{2 0} brief {1 0} [{team red}] true old {1 0} [{team red}] false" {
		t.Errorf("one hour: %s", got)
	}
	if got := report(at(12), at(13).Add(-30*time.Minute), "none"); got != `{0 0.5} "" 1 {0 0.5}` {
		t.Errorf("half an hour: %s", got)
	}
	if _, err := CountNodeHours(t.Context(), w.store, at(41), time.Time{}, "", at(40)); err == nil {
		t.Error("a period of the future is counted")
	}
	_, err := w.server.GetNodeHours(w.as("alice"), &GetNodeHoursInput{Since: ssm.At(time.Now().Add(-time.Hour))})
	must(t, err)
}
