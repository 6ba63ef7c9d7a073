package logstream

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// LogGroup describes a group.
type LogGroup struct {
	LogGroupName      string `json:"logGroupName"`
	CreationTime      int64  `json:"creationTime"` // Unix milliseconds, as all times of this service
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	MetricFilterCount int    `json:"metricFilterCount"`
	ARN               string `json:"arn"`
	StoredBytes       int64  `json:"storedBytes"`
	KMSKeyID          string `json:"kmsKeyId,omitempty"`
	LogGroupClass     string `json:"logGroupClass"`
	LogGroupARN       string `json:"logGroupArn"`
}

func (s *Server) describe(g store.LogGroup) LogGroup {
	return LogGroup{
		LogGroupName: g.Name, CreationTime: g.CreatedAt.UnixMilli(), RetentionInDays: g.RetentionDays,
		ARN: s.groupARN(g.Name) + ":*", LogGroupARN: s.groupARN(g.Name), StoredBytes: g.StoredBytes,
		KMSKeyID: g.KMSKeyID, LogGroupClass: g.Class,
	}
}

// CreateLogGroupInput is the request of logs:CreateLogGroup.
type CreateLogGroupInput struct {
	LogGroupName              string            `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	KMSKeyID                  string            `json:"kmsKeyId" constraint:"len=0..256"`
	Tags                      map[string]string `json:"tags" constraint:"len=1..50"`
	LogGroupClass             string            `json:"logGroupClass" constraint:"enum=LogsGroupClass"`
	DeletionProtectionEnabled bool              `json:"deletionProtectionEnabled"`
}

// classStandard is the only class that groups are treated as; the others are kept as
// they were given.
const classStandard = "STANDARD"

// CreateLogGroup makes a group.
func (s *Server) CreateLogGroup(ctx context.Context, in *CreateLogGroupInput) (*Empty, error) {
	tagKeys := requestTagKeys(in.Tags)
	if _, err := s.group(ctx, "CreateLogGroup", in.LogGroupName, "", tagKeys); err == nil {
		return nil, errGroupExists
	} else if !errors.Is(err, errNoGroup) {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if _, err := s.group(ctx, "TagResource", in.LogGroupName, "", tagKeys); err != nil && !errors.Is(err, errNoGroup) {
			return nil, err
		}
	}
	if in.DeletionProtectionEnabled {
		return nil, invalid("Deletion protection is not implemented by Sekisho.")
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	g := store.LogGroup{Name: in.LogGroupName, Class: in.LogGroupClass, CreatedAt: s.cfg.Now(), Tags: tags}
	if g.Class == "" {
		g.Class = classStandard
	}
	if in.KMSKeyID != "" {
		if g.KMSKeyID, g.SealedKey, err = s.newKey(ctx, in.KMSKeyID, g.Name); err != nil {
			return nil, err
		}
	}
	return nil, failed(s.cfg.Store.CreateLogGroup(ctx, g), nil, errGroupExists)
}

// GroupInput is a request that names a group and nothing else.
type GroupInput struct {
	LogGroupName string `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
}

// DeleteLogGroup deletes a group with all that is in it.
func (s *Server) DeleteLogGroup(ctx context.Context, in *GroupInput) (*Empty, error) {
	g, err := s.group(ctx, "DeleteLogGroup", in.LogGroupName, "", nil)
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.DeleteLogGroup(ctx, g.Name, s.cfg.Now()), errNoGroup, nil)
}

// DescribeLogGroupsInput is the request of logs:DescribeLogGroups.
type DescribeLogGroupsInput struct {
	AccountIdentifiers    []string `json:"accountIdentifiers" constraint:"len=0..20"`
	LogGroupNamePrefix    string   `json:"logGroupNamePrefix" constraint:"len=1..512 pattern=LogsGroupName"`
	LogGroupNamePattern   string   `json:"logGroupNamePattern" constraint:"len=0..512 pattern=LogsGroupNamePattern"`
	NextToken             string   `json:"nextToken" constraint:"len=1.."`
	Limit                 *int     `json:"limit" constraint:"range=1..50"`
	IncludeLinkedAccounts bool     `json:"includeLinkedAccounts"`
	LogGroupClass         string   `json:"logGroupClass" constraint:"enum=LogsGroupClass"`
	LogGroupIdentifiers   []string `json:"logGroupIdentifiers" constraint:"len=1..50 pattern=LogsGroupIdentifier"`
}

// DescribeLogGroupsOutput is the answer of logs:DescribeLogGroups.
type DescribeLogGroupsOutput struct {
	LogGroups []LogGroup `json:"logGroups"`
	NextToken string     `json:"nextToken,omitempty"`
}

// describeLimit is the usual and the largest number of groups and streams of a page.
const describeLimit = 50

// DescribeLogGroups lists groups in the order of their names.
func (s *Server) DescribeLogGroups(ctx context.Context, in *DescribeLogGroupsInput) (*DescribeLogGroupsOutput, error) {
	err := s.cfg.Auth.Authorize(ctx, auth.Request{Action: "logs:DescribeLogGroups", Resource: s.arn("log-group::log-stream:*")})
	if err != nil {
		return nil, err
	}
	f := store.LogGroupFilter{Prefix: in.LogGroupNamePrefix}
	if f.Prefix != "" && in.LogGroupNamePattern != "" {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	for _, id := range in.LogGroupIdentifiers {
		name, err := s.groupName("", id)
		if err != nil {
			return nil, err
		}
		f.Names = append(f.Names, name)
	}
	list := strings.Join(append([]string{"groups", f.Prefix, in.LogGroupNamePattern, in.LogGroupClass}, f.Names...), "\x00")
	after, err := s.openToken(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := describeLimit
	if in.Limit != nil {
		limit = *in.Limit
	}
	out := &DescribeLogGroupsOutput{LogGroups: []LogGroup{}}
	for {
		groups, next, err := s.cfg.Store.LogGroups(ctx, f, store.Page{After: after, Limit: limit})
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if !fits(g, in.LogGroupNamePattern, in.LogGroupClass) {
				continue
			}
			if len(out.LogGroups) == limit {
				out.NextToken = s.token(list, out.LogGroups[limit-1].LogGroupName)
				return out, nil
			}
			out.LogGroups = append(out.LogGroups, s.describe(g))
		}
		if next == "" {
			return out, nil
		}
		if len(out.LogGroups) == limit {
			out.NextToken = s.token(list, next)
			return out, nil
		}
		after = next
	}
}

// fits says whether a group has pattern in its name, in any case, and the class.
func fits(g store.LogGroup, pattern, class string) bool {
	return strings.Contains(strings.ToLower(g.Name), strings.ToLower(pattern)) && (class == "" || g.Class == class)
}

// retentions are the days that events can be kept (API reference, PutRetentionPolicy).
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicyInput is the request of logs:PutRetentionPolicy.
type PutRetentionPolicyInput struct {
	LogGroupName    string `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	RetentionInDays *int   `json:"retentionInDays" constraint:"required"`
}

// PutRetentionPolicy sets how long a group keeps events.
func (s *Server) PutRetentionPolicy(ctx context.Context, in *PutRetentionPolicyInput) (*Empty, error) {
	g, err := s.group(ctx, "PutRetentionPolicy", in.LogGroupName, "", nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(retentions, *in.RetentionInDays) {
		words := make([]string, len(retentions))
		for i, n := range retentions {
			words[i] = strconv.Itoa(n)
		}
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [%s]", *in.RetentionInDays, strings.Join(words, ", "))
	}
	return nil, failed(s.cfg.Store.SetLogRetention(ctx, g.Name, *in.RetentionInDays), errNoGroup, nil)
}

// DeleteRetentionPolicy lets a group keep its events for ever.
func (s *Server) DeleteRetentionPolicy(ctx context.Context, in *GroupInput) (*Empty, error) {
	g, err := s.group(ctx, "DeleteRetentionPolicy", in.LogGroupName, "", nil)
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.SetLogRetention(ctx, g.Name, 0), errNoGroup, nil)
}

// cutoff is the time before which a group shows no events.
func (s *Server) cutoff(g store.LogGroup) int64 {
	if g.RetentionDays == 0 {
		return 0
	}
	return max(0, s.cfg.Now().AddDate(0, 0, -g.RetentionDays).UnixMilli())
}

// tagsOf checks tags of a request and puts them in order.
func tagsOf(m map[string]string) ([]ssm.Tag, error) {
	var tags []ssm.Tag
	for _, key := range sortedNames(m) {
		if err := checkTag(key, m[key]); err != nil {
			return nil, err
		}
		tags = append(tags, ssm.Tag{Key: key, Value: m[key]})
	}
	return tags, nil
}
