package control

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// ListNodes lists the managed nodes of the account, in the shape that is made for several
// accounts.
func (s *Server) ListNodes(ctx context.Context, in *ssm.ListNodesInput) (*ssm.ListNodesOutput, error) {
	const operation = "ssm:ListNodes"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	if err := noSync(in.SyncName); err != nil {
		return nil, err
	}
	cursor, err := s.pageCursor(operation, in.Filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	list, next, err := s.nodesThat(ctx, store.NodeFilter{}, s.nodeTests(in.Filters, now), store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if err != nil {
		return nil, err
	}
	out := &ssm.ListNodesOutput{Nodes: make([]ssm.Node, 0, len(list))}
	for _, n := range list {
		captured := n.LastPingAt
		if captured.IsZero() {
			captured = n.RegisteredAt
		}
		out.Nodes = append(out.Nodes, ssm.Node{
			CaptureTime: ssm.At(captured), ID: n.ID, Region: s.cfg.ARNs.Region, Owner: ssm.NodeOwner{AccountID: s.cfg.ARNs.Account},
			NodeType: ssm.NodeType{Instance: ssm.InstanceInfo{
				AgentType: n.AgentName, AgentVersion: n.AgentVersion, ComputerName: n.ComputerName, InstanceStatus: pingStatus(n, now),
				IPAddress: n.IPAddress, ManagedStatus: "Managed", PlatformType: n.PlatformType, PlatformName: n.PlatformName,
				PlatformVersion: n.PlatformVersion, ResourceType: "ManagedInstance",
			}},
		})
	}
	out.NextToken, err = s.pageToken(operation, in.Filters, next)
	return out, err
}

// noSync refuses the data of other accounts: there are none.
func noSync(name string) error {
	if name == "" {
		return nil
	}
	return ssm.Errorf("ResourceDataSyncNotFoundException", "The resource data sync %s was not found.", name)
}

// nodeTests are the tests of filters of ListNodes.
func (s *Server) nodeTests(filters []ssm.NodeFilter, now time.Time) (tests []nodeTest) {
	for _, f := range filters {
		if f.Key == "ManagedStatus" && slices.Contains(f.Values, "All") {
			continue
		}
		tests = append(tests, func(n store.Node) bool { return passes(f.Type, s.nodeAttribute(n, f.Key, now), f.Values) })
	}
	return tests
}

// nodeAttribute is what a node has of what ListNodes filters and counts by.
func (s *Server) nodeAttribute(n store.Node, name string, now time.Time) string {
	switch name {
	case "AgentType":
		return n.AgentName
	case "InstanceId":
		return n.ID
	case "InstanceStatus":
		return pingStatus(n, now)
	case "IpAddress":
		return n.IPAddress
	case "ManagedStatus":
		return "Managed"
	case "PlatformType":
		return n.PlatformType
	case "Region":
		return s.cfg.ARNs.Region
	case "AccountId":
		return s.cfg.ARNs.Account
	}
	if value, ok := propertyValue[name]; ok {
		return value(n, now)
	}
	return "" // there are no organizational units
}

// ListNodesSummary counts the nodes by their attributes.
func (s *Server) ListNodesSummary(ctx context.Context, in *ssm.ListNodesSummaryInput) (*ssm.ListNodesSummaryOutput, error) {
	const operation = "ssm:ListNodesSummary"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	if err := noSync(in.SyncName); err != nil {
		return nil, err
	}
	parameters := []any{in.Filters, in.Aggregators}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	var names [][]string // the attributes of each count
	for _, a := range in.Aggregators {
		names = append(names, []string{a.AttributeName})
		for _, b := range a.Aggregators {
			names = append(names, []string{a.AttributeName, b.AttributeName})
			if len(b.Aggregators) > 0 {
				return nil, ssm.Errorf("InvalidAggregatorException", "The specified aggregator isn't valid for the group type. Verify that the aggregator you provided is supported.")
			}
		}
	}
	now := s.cfg.Now()
	counts := make(map[string]int) // by number of the count and values, in the order of the answer
	tests := s.nodeTests(in.Filters, now)
	for after, more := "", true; more; {
		list, next, err := s.nodesThat(ctx, store.NodeFilter{}, tests, store.Page{After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			for i, attributes := range names {
				key := strconv.Itoa(i)
				for _, name := range attributes {
					key += "\x00" + s.nodeAttribute(n, name, now)
				}
				counts[key]++
			}
		}
		after, more = next, next != ""
	}
	out := &ssm.ListNodesSummaryOutput{Summary: []map[string]string{}}
	limit, last := pageLimit(in.MaxResults), ""
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if key <= cursor {
			continue
		}
		if len(out.Summary) == limit {
			out.NextToken, err = s.pageToken(operation, parameters, last)
			return out, err
		}
		parts := strings.Split(key, "\x00")
		i, _ := strconv.Atoi(parts[0])
		row := map[string]string{"Count": strconv.Itoa(counts[key])}
		for j, name := range names[i] {
			row[name] = parts[j+1]
		}
		out.Summary = append(out.Summary, row)
		last = key
	}
	return out, nil
}
