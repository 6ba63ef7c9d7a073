package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func shortHeartbeatKeepsFacts(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := node(t, s)
	must(t, s.UpdateNodeInformation(ctx, want.ID, store.NodeInformation{
		AgentName: "amazon-ssm-agent", AgentVersion: "3.4.0.0", PlatformType: "Linux", PlatformName: "Debian GNU/Linux",
		PlatformVersion: "12", ComputerName: "web-1", IPAddress: "192.0.2.7",
	}, t0))
	must(t, s.UpdateNodeInformation(ctx, want.ID, store.NodeInformation{AgentVersion: "3.5.0.0"}, t0.Add(time.Minute)))
	want.AgentName, want.AgentVersion, want.PlatformType = "amazon-ssm-agent", "3.5.0.0", "Linux"
	want.PlatformName, want.PlatformVersion = "Debian GNU/Linux", "12"
	want.ComputerName, want.IPAddress, want.LastPingAt = "web-1", "192.0.2.7", t0.Add(time.Minute)
	got, err := s.Node(ctx, want.ID)
	must(t, err)
	equal(t, "node", got, want)
	wantErr(t, s.UpdateNodeInformation(ctx, "mi-0ffffffffffffffff", store.NodeInformation{}, t0), store.ErrNotFound)
	_, err = s.Node(ctx, "mi-0ffffffffffffffff")
	wantErr(t, err, store.ErrNotFound)
}

func nodeFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a := activation(t, s, 10) // tags Environment=test, owner=
	register := func(id string, activation store.Activation) {
		n := newNode()
		n.ID = id
		_, err := s.RegisterNode(ctx, activation.ID, hash(code), n, t0)
		must(t, err)
	}
	b := store.Activation{
		ID: ssm.NewActivationID(), CodeHash: hash(code), IamRole: "Other", RegistrationLimit: 10,
		ExpirationDate: t0.Add(time.Hour), CreatedAt: t0, Tags: []ssm.Tag{{Key: "Environment", Value: "prod"}},
	}
	must(t, s.CreateActivation(ctx, b))
	register("mi-01", a)
	register("mi-02", a)
	register("mi-03", b)
	register("mi-04", b)
	must(t, s.UpdateNodeInformation(ctx, "mi-01", store.NodeInformation{AgentVersion: "3.4.0.0", PlatformType: "Linux"}, t0))
	must(t, s.UpdateNodeInformation(ctx, "mi-02", store.NodeInformation{AgentVersion: "3.3.0.0", PlatformType: "Windows"}, t0.Add(time.Minute)))
	must(t, s.DeregisterNode(ctx, "mi-04", t0))

	for name, test := range map[string]struct {
		filter store.NodeFilter
		want   []string
	}{
		"none":         {store.NodeFilter{}, []string{"mi-01", "mi-02", "mi-03"}},
		"all":          {store.NodeFilter{Deregistered: true}, []string{"mi-01", "mi-02", "mi-03", "mi-04"}},
		"ids":          {store.NodeFilter{IDs: []string{"mi-03", "mi-01", "mi-99", "mi-04"}}, []string{"mi-01", "mi-03"}},
		"version":      {store.NodeFilter{AgentVersions: []string{"3.3.0.0"}}, []string{"mi-02"}},
		"platform":     {store.NodeFilter{PlatformTypes: []string{"Linux", "Windows"}}, []string{"mi-01", "mi-02"}},
		"activation":   {store.NodeFilter{ActivationIDs: []string{b.ID}}, []string{"mi-03"}},
		"role":         {store.NodeFilter{IamRoles: []string{a.IamRole}, PlatformTypes: []string{"Linux"}}, []string{"mi-01"}},
		"gone":         {store.NodeFilter{OnlyDeregistered: true}, []string{"mi-04"}},
		"online":       {store.NodeFilter{OnlineAt: t0.Add(10*time.Minute + time.Second)}, []string{"mi-02"}},
		"lost":         {store.NodeFilter{LostAt: t0.Add(10*time.Minute + time.Second)}, []string{"mi-01", "mi-03"}},
		"tag key":      {store.NodeFilter{TagKeys: []string{"owner", "nothing"}}, []string{"mi-01", "mi-02"}},
		"tag":          {store.NodeFilter{Tags: map[string][]string{"Environment": {"prod", "dev"}}}, []string{"mi-03"}},
		"tag any":      {store.NodeFilter{Tags: map[string][]string{"Environment": nil}}, []string{"mi-01", "mi-02", "mi-03"}},
		"two tags":     {store.NodeFilter{Tags: map[string][]string{"Environment": {"test"}, "owner": {""}}}, []string{"mi-01", "mi-02"}},
		"tag mismatch": {store.NodeFilter{Tags: map[string][]string{"Environment": {"test"}, "owner": {"x"}}}, nil},
	} {
		list, _, err := s.Nodes(ctx, test.filter, store.Page{})
		must(t, err)
		var got []string
		for _, n := range list {
			got = append(got, n.ID)
		}
		equal(t, name, got, test.want)
	}
}

// Whether a node is there: by its control channel, and after that was lost by what it
// says.
func whetherNodesAreThere(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := node(t, s).ID
	expect := func(at time.Duration, online bool) {
		t.Helper()
		n, err := s.Node(ctx, id)
		must(t, err)
		now := t0.Add(at)
		equal(t, "online", n.Online(now), online)
		yes, _, err := s.Nodes(ctx, store.NodeFilter{OnlineAt: now}, store.Page{})
		must(t, err)
		no, _, err := s.Nodes(ctx, store.NodeFilter{LostAt: now}, store.Page{})
		must(t, err)
		equal(t, "listed as online", len(yes) == 1, online)
		equal(t, "listed as lost", len(no) == 1, !online)
	}
	heard := func(at time.Duration) {
		t.Helper()
		must(t, s.UpdateNodeInformation(ctx, id, store.NodeInformation{}, t0.Add(at)))
	}
	const lease = 15 * time.Second
	expect(0, false) // never heard of
	heard(0)
	expect(10*time.Minute, true)
	expect(10*time.Minute+1e6, false)
	must(t, s.ConnectNode(ctx, id, "gw-1", "", "", t0.Add(lease), t0))
	heard(time.Second)
	expect(lease-1e6, true)
	expect(lease, false) // the gateway is gone
	heard(lease + time.Second)
	expect(lease+time.Minute, true) // but the node is not
	must(t, s.ConnectNode(ctx, id, "gw-2", "", "", t0.Add(time.Hour), t0.Add(time.Minute)))
	expect(59*time.Minute, true)
	_, err := s.DisconnectNode(ctx, id, "gw-2", t0.Add(2*time.Minute))
	must(t, err)
	expect(2*time.Minute, false) // at once
	heard(3 * time.Minute)
	expect(4*time.Minute, true)
	must(t, s.ConnectNode(ctx, id, "gw-2", "", "", t0.Add(time.Hour), t0.Add(5*time.Minute)))
	expect(6*time.Minute, true)
}

// Settings, and the tiers and registrations that node-hours are counted by.
func tiersAndRegistrations(t *testing.T, s *store.Store) {
	ctx := t.Context()
	put := func(id, value string, at time.Duration) {
		t.Helper()
		must(t, s.PutSetting(ctx, store.Setting{ID: id, Value: value, ModifiedAt: t0.Add(at), ModifiedBy: "x"}))
	}
	put(ssm.ActivationTierSetting, ssm.TierAdvanced, 0)
	put("/ssm/opsinsights/opscenter", "Enabled", time.Minute)
	must(t, s.DeleteSetting(ctx, ssm.ActivationTierSetting, t0.Add(time.Hour)))
	must(t, s.DeleteSetting(ctx, "/ssm/opsinsights/opscenter", t0.Add(2*time.Hour)))
	tiers, err := s.TierChanges(ctx)
	must(t, err)
	equal(t, "tiers", tiers, []store.TierChange{{Since: t0, Tier: ssm.TierAdvanced}, {Since: t0.Add(time.Hour), Tier: ssm.TierStandard}})

	n := node(t, s)
	must(t, s.TagNode(ctx, n.ID, []ssm.Tag{{Key: "zz", Value: "1"}}, 50))
	whole, err := s.Node(ctx, n.ID)
	must(t, err)
	list, err := s.Registrations(ctx, n.RegisteredAt.Add(time.Hour), n.RegisteredAt.Add(2*time.Hour))
	must(t, err)
	want := []store.Registration{{NodeID: n.ID, Name: n.Name, ActivationID: n.ActivationID, IamRole: n.IamRole, RegisteredAt: n.RegisteredAt, Tags: whole.Tags}}
	equal(t, "registrations", list, want)
	gone := n.RegisteredAt.Add(90 * time.Minute)
	must(t, s.DeregisterNode(ctx, n.ID, gone))
	want[0].DeregisteredAt = gone
	list, err = s.Registrations(ctx, n.RegisteredAt.Add(time.Hour), n.RegisteredAt.Add(2*time.Hour))
	must(t, err)
	equal(t, "with the tags that it had", list, want)
	for _, period := range [][2]time.Time{{gone, gone.Add(time.Hour)}, {n.RegisteredAt.Add(-time.Hour), n.RegisteredAt}} {
		list, err = s.Registrations(ctx, period[0], period[1])
		must(t, err)
		equal(t, "outside", len(list), 0)
	}
}

func newestConnectionWins(t *testing.T, s *store.Store) {
	ctx := t.Context()
	id := node(t, s).ID
	expect := func(gateway string, until time.Time, lastPing time.Time) {
		t.Helper()
		n, err := s.Node(ctx, id)
		must(t, err)
		equal(t, "gateway", n.ConnectedGateway, gateway)
		equal(t, "lease", n.ConnectedUntil, until)
		equal(t, "last ping", n.LastPingAt, lastPing)
	}
	lease := t0.Add(time.Minute)
	must(t, s.ConnectNode(ctx, id, "gw-1", "3.4.0.0", "Linux", lease, t0))
	expect("gw-1", lease, t0)
	must(t, s.ConnectNode(ctx, id, "gw-2", "", "", lease.Add(time.Second), t0.Add(time.Second)))
	expect("gw-2", lease.Add(time.Second), t0.Add(time.Second))
	n, err := s.Node(ctx, id)
	must(t, err)
	equal(t, "agent version", n.AgentVersion, "3.4.0.0")
	equal(t, "platform", n.PlatformType, "Linux")
	equal(t, "connected", n.Connected(lease), true)
	equal(t, "connected at the end of the lease", n.Connected(lease.Add(time.Second)), false)

	// The loser notices late: the new connection stays.
	held, err := s.DisconnectNode(ctx, id, "gw-1", t0.Add(2*time.Second))
	must(t, err)
	equal(t, "held", held, false)
	expect("gw-2", lease.Add(time.Second), t0.Add(time.Second))
	held, err = s.DisconnectNode(ctx, id, "gw-2", t0.Add(3*time.Second))
	must(t, err)
	equal(t, "held", held, true)
	expect("", time.Time{}, t0.Add(3*time.Second))
	held, err = s.DisconnectNode(ctx, id, "", t0.Add(4*time.Second))
	must(t, err)
	equal(t, "held by nobody", held, false)
	wantErr(t, s.ConnectNode(ctx, "mi-0ffffffffffffffff", "gw-1", "", "", lease, t0), store.ErrNotFound)
	wantErr(t, s.ConnectNode(ctx, id, "", "", "", lease, t0), store.ErrInvalid)
}

func extendNodeConnections(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b, c := node(t, s).ID, node(t, s).ID, node(t, s).ID
	lease := t0.Add(time.Minute)
	must(t, s.ConnectNode(ctx, a, "gw-1", "", "", lease, t0))
	must(t, s.ConnectNode(ctx, b, "gw-2", "", "", lease, t0))
	must(t, s.ConnectNode(ctx, c, "gw-1", "", "", lease, t0))
	want := []string{a, c}
	slices.Sort(want)

	// More ids than one statement takes: unknown ones before and after those that count.
	var ids []string
	for i := range 1500 {
		ids = append(ids, fmt.Sprintf("mi-unknown%d", i))
	}
	ids = append(append(ids, a, b, c), "mi-unknown")
	held, err := s.ExtendNodeConnections(ctx, "gw-1", ids, lease.Add(time.Hour))
	must(t, err)
	equal(t, "held", held, want)
	for id, until := range map[string]time.Time{a: lease.Add(time.Hour), b: lease, c: lease.Add(time.Hour)} {
		n, err := s.Node(ctx, id)
		must(t, err)
		equal(t, "lease", n.ConnectedUntil, until)
	}
	for _, gateway := range []string{"gw-3", ""} {
		held, err = s.ExtendNodeConnections(ctx, gateway, ids, lease)
		must(t, err)
		equal(t, "held", len(held), 0)
	}
	held, err = s.ExtendNodeConnections(ctx, "gw-1", nil, lease)
	must(t, err)
	equal(t, "held", len(held), 0)
}

func deregisteredNode(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := node(t, s)
	must(t, s.ConnectNode(ctx, n.ID, "gw-1", "", "", t0.Add(time.Minute), t0))
	must(t, s.DeregisterNode(ctx, n.ID, t0.Add(time.Second)))
	wantErr(t, s.DeregisterNode(ctx, n.ID, t0.Add(time.Minute)), store.ErrNotFound)
	n.LastPingAt, n.DeregisteredAt, n.Tags = t0, t0.Add(time.Second), nil
	got, err := s.Node(ctx, n.ID)
	must(t, err)
	equal(t, "node", got, n)

	// It does not come back by being heard of.
	wantErr(t, s.ConnectNode(ctx, n.ID, "gw-1", "", "", t0.Add(time.Hour), t0), store.ErrNotFound)
	wantErr(t, s.UpdateNodeInformation(ctx, n.ID, store.NodeInformation{}, t0), store.ErrNotFound)
	held, err := s.ExtendNodeConnections(ctx, "gw-1", []string{n.ID}, t0.Add(time.Hour))
	must(t, err)
	equal(t, "held", len(held), 0)
}
