package logstream

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Forms of tags (API model, TagKey and TagValue).
var (
	tagKeyForm   = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]+\z`)
	tagValueForm = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)
)

// maxTags is how many tags a group may have.
const maxTags = 50

func checkTag(key, value string) error {
	switch {
	case !tagKeyForm.MatchString(key) || utf8.RuneCountInString(key) > 128:
		return invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: " +
			`[Member must have length between 1 and 128, Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$]`)
	case !tagValueForm.MatchString(value) || utf8.RuneCountInString(value) > 256:
		return invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: Map value must satisfy constraint: " +
			`[Member must have length less than or equal to 256, Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$]`)
	case strings.HasPrefix(strings.ToLower(key), "aws:"):
		return invalid("aws: prefixed tag key names are not allowed for external use.")
	}
	return nil
}

// requestTagKeys gives the condition keys that tags in a request make.
func requestTagKeys(tags map[string]string) keys {
	all := keys{}
	for _, key := range sortedNames(tags) {
		all["aws:RequestTag/"+key] = []string{tags[key]}
		all["aws:TagKeys"] = append(all["aws:TagKeys"], key)
	}
	return all
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// TagResourceInput is the request of logs:TagResource.
type TagResourceInput struct {
	ResourceARN string            `json:"resourceArn" constraint:"required len=1..1011 pattern=LogsResourceARN"`
	Tags        map[string]string `json:"tags" constraint:"required len=1..50"`
}

// TagResource puts tags on a group.
func (s *Server) TagResource(ctx context.Context, in *TagResourceInput) (*Empty, error) {
	name, err := s.groupOfARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.tag(ctx, "TagResource", name, in.Tags)
}

// TagLogGroupInput is the request of logs:TagLogGroup.
type TagLogGroupInput struct {
	LogGroupName string            `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	Tags         map[string]string `json:"tags" constraint:"required len=1..50"`
}

// TagLogGroup is TagResource in an older form.
func (s *Server) TagLogGroup(ctx context.Context, in *TagLogGroupInput) (*Empty, error) {
	return nil, s.tag(ctx, "TagLogGroup", in.LogGroupName, in.Tags)
}

func (s *Server) tag(ctx context.Context, action, name string, m map[string]string) error {
	g, err := s.group(ctx, action, name, "", requestTagKeys(m))
	if err != nil {
		return err
	}
	tags, err := tagsOf(m)
	if err != nil {
		return err
	}
	err = s.cfg.Store.TagLogGroup(ctx, g.Name, tags, maxTags)
	if _, ok := errors.AsType[*store.LimitError](err); ok {
		return ssm.Errorf(codeTooManyTags, "The resource has more than %d tags.", maxTags)
	}
	return failed(err, errNoGroup, nil)
}

// UntagResourceInput is the request of logs:UntagResource.
type UntagResourceInput struct {
	ResourceARN string   `json:"resourceArn" constraint:"required len=1..1011 pattern=LogsResourceARN"`
	TagKeys     []string `json:"tagKeys" constraint:"required len=0..50"`
}

// UntagResource takes tags from a group.
func (s *Server) UntagResource(ctx context.Context, in *UntagResourceInput) (*Empty, error) {
	name, err := s.groupOfARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.untag(ctx, "UntagResource", name, in.TagKeys)
}

// UntagLogGroupInput is the request of logs:UntagLogGroup.
type UntagLogGroupInput struct {
	LogGroupName string   `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	Tags         []string `json:"tags" constraint:"required len=1..50"`
}

// UntagLogGroup is UntagResource in an older form.
func (s *Server) UntagLogGroup(ctx context.Context, in *UntagLogGroupInput) (*Empty, error) {
	return nil, s.untag(ctx, "UntagLogGroup", in.LogGroupName, in.Tags)
}

func (s *Server) untag(ctx context.Context, action, name string, tagKeys []string) error {
	g, err := s.group(ctx, action, name, "", keys{"aws:TagKeys": tagKeys})
	if err != nil {
		return err
	}
	return failed(s.cfg.Store.UntagLogGroup(ctx, g.Name, tagKeys), errNoGroup, nil)
}

// ListTagsForResourceInput is the request of logs:ListTagsForResource.
type ListTagsForResourceInput struct {
	ResourceARN string `json:"resourceArn" constraint:"required len=1..1011 pattern=LogsResourceARN"`
}

// TagsOutput is the answer of the operations that list tags.
type TagsOutput struct {
	Tags map[string]string `json:"tags"`
}

// ListTagsForResource lists the tags of a group.
func (s *Server) ListTagsForResource(ctx context.Context, in *ListTagsForResourceInput) (*TagsOutput, error) {
	name, err := s.groupOfARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return s.tags(ctx, "ListTagsForResource", name)
}

// ListTagsLogGroup is ListTagsForResource in an older form.
func (s *Server) ListTagsLogGroup(ctx context.Context, in *GroupInput) (*TagsOutput, error) {
	return s.tags(ctx, "ListTagsLogGroup", in.LogGroupName)
}

func (s *Server) tags(ctx context.Context, action, name string) (*TagsOutput, error) {
	g, err := s.group(ctx, action, name, "", nil)
	if err != nil {
		return nil, err
	}
	out := &TagsOutput{Tags: map[string]string{}}
	for _, t := range g.Tags {
		out.Tags[t.Key] = t.Value
	}
	return out, nil
}
