package control

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// UpdateInstanceInformation is a node's heartbeat. The short form, without platform
// facts, keeps those that are stored.
func (s *Server) UpdateInstanceInformation(ctx context.Context, in *ssm.UpdateInstanceInformationInput) (*ssm.Empty, error) {
	if err := s.authorize(ctx, "ssm:UpdateInstanceInformation", s.cfg.ARNs.Node(in.InstanceID)); err != nil {
		return nil, err
	}
	// Permission is not enough: what a node is, only the node knows.
	if p, _ := auth.From(ctx); p.NodeID != in.InstanceID {
		return nil, ssm.Errorf(ssm.CodeAccessDenied, "Only the managed node itself may report its information.")
	}
	err := s.cfg.Store.UpdateNodeInformation(ctx, in.InstanceID, store.NodeInformation{
		AgentName:       in.AgentName,
		AgentVersion:    in.AgentVersion,
		PlatformType:    in.PlatformType,
		PlatformName:    in.PlatformName,
		PlatformVersion: in.PlatformVersion,
		ComputerName:    in.ComputerName,
		IPAddress:       in.IPAddress,
	}, s.cfg.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidNode(in.InstanceID)
	}
	return &ssm.Empty{}, err
}

// DescribeInstanceInformation lists the managed nodes.
func (s *Server) DescribeInstanceInformation(ctx context.Context, in *ssm.DescribeInstanceInformationInput) (*ssm.DescribeInstanceInformationOutput, error) {
	const operation = "ssm:DescribeInstanceInformation"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	parameters := []any{in.Filters, in.InstanceInformationFilterList}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.InstanceInformationFilterList) > 0 {
		return nil, validation("Filters and InstanceInformationFilterList cannot be used together.")
	}
	filters := in.Filters
	for _, f := range in.InstanceInformationFilterList {
		filters = append(filters, ssm.InstanceInformationStringFilter{Key: f.Key, Values: f.ValueSet})
	}
	out := &ssm.DescribeInstanceInformationOutput{InstanceInformationList: []ssm.InstanceInformation{}}
	filter, some, err := nodeFilter(filters, now)
	if err != nil || !some {
		return out, err
	}
	list, next, err := s.cfg.Store.Nodes(ctx, filter, store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		out.InstanceInformationList = append(out.InstanceInformationList, instanceInformation(n, now))
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

func instanceInformation(n store.Node, now time.Time) ssm.InstanceInformation {
	return ssm.InstanceInformation{
		InstanceID:       n.ID,
		PingStatus:       pingStatus(n, now),
		LastPingDateTime: ssm.At(n.LastPingAt),
		AgentVersion:     n.AgentVersion,
		PlatformType:     n.PlatformType,
		PlatformName:     n.PlatformName,
		PlatformVersion:  n.PlatformVersion,
		ActivationID:     n.ActivationID,
		IamRole:          n.IamRole,
		RegistrationDate: ssm.At(n.RegisteredAt),
		ResourceType:     "ManagedInstance",
		Name:             n.Name,
		IPAddress:        n.IPAddress,
		ComputerName:     n.ComputerName,
		SourceID:         n.ID,
		SourceType:       "AWS::SSM::ManagedInstance",
	}
}

// pingStatus is the truth of [store.Node.Online], in the service's words.
func pingStatus(n store.Node, now time.Time) string {
	switch {
	case !n.DeregisteredAt.IsZero():
		return ssm.PingInactive
	case n.Online(now):
		return ssm.PingOnline
	}
	return ssm.PingConnectionLost
}

// nodeIDPattern is what an instance id may look like: hybrid or EC2 (api.md §3).
var nodeIDPattern = regexp.MustCompile(`^(?:mi-[0-9a-f]{17}|i-(?:[0-9a-f]{8}|[0-9a-f]{17}))$`)

// nodeFilter reads the filters of DescribeInstanceInformation. Different keys must all
// match, one key with any of its values. some is false when no node can match.
func nodeFilter(filters []ssm.InstanceInformationStringFilter, now time.Time) (f store.NodeFilter, some bool, err error) {
	values := make(map[string][]string, len(filters))
	for _, given := range filters {
		values[given.Key] = append(values[given.Key], given.Values...)
	}
	some = true
	for key, list := range values {
		tag, isTag := strings.CutPrefix(key, "tag:")
		switch {
		case key == "InstanceIds":
			if !all(list, nodeIDPattern.MatchString) {
				return f, false, ssm.Errorf(ssm.CodeInvalidInstanceID, "An instance ID is not of the form mi-0123456789abcdef0.")
			}
			f.IDs = list
		case key == "AgentVersion":
			f.AgentVersions = list
		case key == "PlatformTypes":
			if !all(list, oneOf(ssm.Enums["PlatformType"]...)) {
				return f, false, errFilterValue
			}
			f.PlatformTypes = list
		case key == "ActivationIds":
			f.ActivationIDs = list
		case key == "IamRole":
			f.IamRoles = list
		case key == "PingStatus":
			if !all(list, oneOf(ssm.PingOnline, ssm.PingConnectionLost, ssm.PingInactive)) {
				return f, false, errFilterValue
			}
			some = pingFilter(&f, list, now) && some
		case key == "ResourceType":
			if !all(list, oneOf("ManagedInstance", "EC2Instance")) {
				return f, false, errFilterValue
			}
			some = some && slices.Contains(list, "ManagedInstance") // there are no others
		case key == "AssociationStatus", key == "DocumentName":
			some = false // there are no associations
		case key == "tag-key":
			f.TagKeys = list
		case isTag && tag != "":
			if f.Tags == nil {
				f.Tags = make(map[string][]string)
			}
			f.Tags[tag] = list
		default:
			return f, false, ssm.Errorf(ssm.CodeInvalidFilterKey, "")
		}
	}
	return f, some, nil
}

// pingFilter narrows f to the ping statuses. Deregistered nodes are listed only to those
// who ask for nothing else. It says false when no node can match.
func pingFilter(f *store.NodeFilter, statuses []string, now time.Time) bool {
	online, lost := slices.Contains(statuses, ssm.PingOnline), slices.Contains(statuses, ssm.PingConnectionLost)
	switch {
	case online && lost: // every node is one of them
	case online:
		f.OnlineAt = now
	case lost:
		f.LostAt = now
	default:
		f.OnlyDeregistered = slices.Contains(statuses, ssm.PingInactive)
		return f.OnlyDeregistered
	}
	return true
}

var errFilterValue = ssm.Errorf(ssm.CodeInvalidInstanceFilter, "The specified filter value isn't valid.")

func oneOf(allowed ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(allowed, value) }
}

func all(values []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(values, func(value string) bool { return !ok(value) })
}

// GetConnectionStatus says whether a node's control channel is open. A node that does
// not exist is not connected.
func (s *Server) GetConnectionStatus(ctx context.Context, in *ssm.GetConnectionStatusInput) (*ssm.GetConnectionStatusOutput, error) {
	node, err := s.node(ctx, in.Target)
	if err != nil {
		return nil, err
	}
	target := auth.Request{Action: "ssm:GetConnectionStatus", Resource: s.cfg.ARNs.Node(in.Target)}
	if node != nil {
		target.Context = tagContext(node.Tags)
	}
	if err := s.cfg.Auth.Authorize(ctx, target); err != nil {
		return nil, err
	}
	status := "notconnected"
	if node != nil && node.Connected(s.cfg.Now()) {
		status = "connected"
	}
	return &ssm.GetConnectionStatusOutput{Target: in.Target, Status: status}, nil
}
