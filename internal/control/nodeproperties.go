package control

import (
	"context"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// DescribeInstanceProperties lists the managed nodes as the console does. Equal narrows
// in the store; what the other operators leave is chosen from what the store gives.
func (s *Server) DescribeInstanceProperties(ctx context.Context, in *ssm.DescribeInstancePropertiesInput) (*ssm.DescribeInstancePropertiesOutput, error) {
	const operation = "ssm:DescribeInstanceProperties"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	parameters := []any{in.InstancePropertyFilterList, in.FiltersWithOperator}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, err
	}
	if len(in.InstancePropertyFilterList) > 0 && len(in.FiltersWithOperator) > 0 {
		return nil, validation("InstancePropertyFilterList and FiltersWithOperator cannot be used together.")
	}
	var filters []ssm.InstanceInformationStringFilter
	for _, f := range in.InstancePropertyFilterList {
		filters = append(filters, ssm.InstanceInformationStringFilter{Key: f.Key, Values: f.ValueSet})
	}
	now := s.cfg.Now()
	var tests []nodeTest
	for _, f := range in.FiltersWithOperator {
		if _, own := propertyValue[f.Key]; f.Operator == "" || f.Operator == "Equal" && !own {
			filters = append(filters, ssm.InstanceInformationStringFilter{Key: f.Key, Values: f.Values})
			continue
		}
		test, err := propertyTest(f, now)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	out := &ssm.DescribeInstancePropertiesOutput{InstanceProperties: []ssm.InstanceProperty{}}
	filter, some, err := nodeFilter(filters, now)
	if ssm.IsCode(err, ssm.CodeInvalidInstanceFilter) {
		err = ssm.Errorf(codeInvalidPropertyFilter, "The specified filter value isn't valid.")
	}
	if err != nil || !some {
		return out, err
	}
	list, next, err := s.nodesThat(ctx, filter, tests, store.Page{After: cursor, Limit: pageLimit(in.MaxResults)})
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		x := instanceInformation(n, now)
		out.InstanceProperties = append(out.InstanceProperties, ssm.InstanceProperty{
			Name: x.Name, InstanceID: x.InstanceID, IPAddress: x.IPAddress, PingStatus: x.PingStatus,
			LastPingDateTime: x.LastPingDateTime, AgentVersion: x.AgentVersion, PlatformType: x.PlatformType,
			PlatformName: x.PlatformName, PlatformVersion: x.PlatformVersion, ActivationID: x.ActivationID,
			IamRole: x.IamRole, RegistrationDate: x.RegistrationDate, ResourceType: x.ResourceType,
			ComputerName: x.ComputerName, SourceID: x.SourceID, SourceType: x.SourceType,
		})
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

const codeInvalidPropertyFilter = "InvalidInstancePropertyFilterValue"

// DescribeInstancesInput is the request of ec2:DescribeInstances.
type DescribeInstancesInput struct {
	InstanceIDs []string    `json:"InstanceId" constraint:"len=0..1000"`
	Filters     []EC2Filter `json:"Filter" constraint:"len=0..50"`
	MaxResults  *int        `constraint:"range=5..1000"`
	NextToken   string      `constraint:""`
	DryRun      bool
}

// EC2Filter is one filter of EC2.
type EC2Filter struct {
	Name   string   `constraint:"len=1..200"`
	Values []string `json:"Value" constraint:"len=0..200"`
}

// DescribeInstancesOutput is the answer of ec2:DescribeInstances.
type DescribeInstancesOutput struct {
	Reservations []Reservation `json:"reservationSet"`
	NextToken    string        `json:"nextToken,omitempty"`
}

// Reservation is instances that were launched together; here each node is one.
type Reservation struct {
	ReservationID string     `json:"reservationId"`
	OwnerID       string     `json:"ownerId"`
	Instances     []Instance `json:"instancesSet"`
}

// Instance is a managed node as tools see it that list instances first.
type Instance struct {
	InstanceID       string        `json:"instanceId"`
	State            InstanceState `json:"instanceState"`
	PrivateIPAddress string        `json:"privateIpAddress,omitempty"`
	PrivateDNSName   string        `json:"privateDnsName,omitempty"`
	LaunchTime       *ssm.Time     `json:"launchTime,omitempty"`
	Platform         string        `json:"platform,omitempty"` // "windows" or absent
	Tags             []EC2Tag      `json:"tagSet"`
}

// InstanceState is whether an instance runs.
type InstanceState struct {
	Code int    `json:"code"`
	Name string `json:"name"`
}

// EC2Tag is a tag as EC2 writes it.
type EC2Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// The states of an instance that a node can be in.
var (
	instanceRunning = InstanceState{16, "running"}
	instanceStopped = InstanceState{80, "stopped"}
)

// DescribeInstances lists the managed nodes as if they were instances: consoles and tools
// ask EC2 first for what can be connected to. A node that is online is running, and its
// name is the tag Name unless it has one.
func (s *Server) DescribeInstances(ctx context.Context, in *DescribeInstancesInput) (*DescribeInstancesOutput, error) {
	const operation = "ec2:DescribeInstances"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, &ssm.Error{Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set.", Status: 412}
	}
	parameters := []any{in.InstanceIDs, in.Filters}
	cursor, err := s.pageCursor(operation, parameters, in.NextToken)
	if err != nil {
		return nil, ssm.Errorf("InvalidParameterValue", "Invalid value for parameter NextToken.")
	}
	now := s.cfg.Now()
	out := &DescribeInstancesOutput{Reservations: []Reservation{}}
	filter, some, err := s.instanceFilter(ctx, in)
	if err != nil || !some {
		return out, err
	}
	limit := store.Page{After: cursor}
	if in.MaxResults != nil {
		limit.Limit = *in.MaxResults
	}
	switch { // set by instance-state-name below
	case filter.online && !filter.offline:
		filter.OnlineAt = now
	case filter.offline && !filter.online:
		filter.LostAt = now
	}
	list, next, err := s.cfg.Store.Nodes(ctx, filter.NodeFilter, limit)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		i := Instance{InstanceID: n.ID, State: instanceStopped, PrivateIPAddress: n.IPAddress, PrivateDNSName: n.ComputerName,
			LaunchTime: ssm.At(n.RegisteredAt), Tags: []EC2Tag{}}
		if n.Online(now) {
			i.State = instanceRunning
		}
		if n.PlatformType == "Windows" {
			i.Platform = "windows"
		}
		named := false
		for _, t := range n.Tags {
			named = named || t.Key == "Name"
			i.Tags = append(i.Tags, EC2Tag{t.Key, t.Value})
		}
		if !named && n.Name != "" {
			i.Tags = append(i.Tags, EC2Tag{"Name", n.Name})
		}
		out.Reservations = append(out.Reservations, Reservation{
			ReservationID: "r-" + strings.TrimPrefix(n.ID, "mi-"), OwnerID: s.cfg.ARNs.Account, Instances: []Instance{i},
		})
	}
	out.NextToken, err = s.pageToken(operation, parameters, next)
	return out, err
}

// instanceFilter is the filter of nodes that a DescribeInstances asks for.
type instanceFilter struct {
	store.NodeFilter
	online, offline bool // asked for by the state; both or none is no narrowing
}

// instanceFilter reads ids and filters; some is false when no node can match. An id that
// is no node's is an error, as at EC2.
func (s *Server) instanceFilter(ctx context.Context, in *DescribeInstancesInput) (f instanceFilter, some bool, err error) {
	for _, id := range in.InstanceIDs {
		if !nodeIDPattern.MatchString(id) {
			return f, false, ssm.Errorf("InvalidInstanceID.Malformed", "Invalid id: %q", id)
		}
		n, err := s.node(ctx, id)
		if err != nil {
			return f, false, err
		}
		if n == nil {
			return f, false, ssm.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
		f.IDs = append(f.IDs, id)
	}
	some = true
	for _, given := range in.Filters {
		tag, isTag := strings.CutPrefix(given.Name, "tag:")
		switch {
		case given.Name == "instance-id" && len(f.IDs) == 0:
			f.IDs = given.Values
			some = some && len(given.Values) > 0
		case given.Name == "instance-id":
			f.IDs = common(f.IDs, given.Values)
			some = some && len(f.IDs) > 0
		case given.Name == "instance-state-name":
			for _, state := range given.Values {
				f.online = f.online || state == instanceRunning.Name
				f.offline = f.offline || state == instanceStopped.Name
			}
			some = some && (f.online || f.offline)
		case given.Name == "tag-key":
			f.TagKeys = given.Values
		case isTag && tag != "":
			if f.Tags == nil {
				f.Tags = make(map[string][]string)
			}
			f.Tags[tag] = given.Values
		default:
			return f, false, ssm.Errorf("InvalidParameterValue", "The filter '%s' is invalid", given.Name)
		}
	}
	return f, some, nil
}

// common gives the texts that are in both lists.
func common(a, b []string) (both []string) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				both = append(both, x)
				break
			}
		}
	}
	return both
}
