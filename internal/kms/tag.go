package kms

import (
	"context"
	"slices"
	"strings"

	"sekisho/internal/ssm"
)

// maxTags is how many tags a key may have (KMS quotas).
const maxTags = 50

// Tag is a tag in the words of KMS.
type Tag struct {
	TagKey   string `constraint:"required len=1..128"`
	TagValue string `constraint:"required len=0..256"`
}

// tagsOf checks tags of a request.
func tagsOf(list []Tag) ([]ssm.Tag, error) {
	if len(list) > maxTags {
		return nil, ssm.Errorf(codeTag, "Too many tags")
	}
	tags := make([]ssm.Tag, 0, len(list))
	for _, t := range list {
		if slices.ContainsFunc(tags, func(have ssm.Tag) bool { return have.Key == t.TagKey }) {
			return nil, ssm.Errorf(codeTag, "Duplicate tag keys")
		}
		if strings.HasPrefix(strings.ToLower(t.TagKey), "aws:") {
			return nil, ssm.Errorf(codeTag, "%s", textReservedTag)
		}
		tags = append(tags, ssm.Tag{Key: t.TagKey, Value: t.TagValue})
	}
	return tags, nil
}

// TagResourceInput is the request of kms:TagResource.
type TagResourceInput struct {
	KeyID string `json:"KeyId" constraint:"required len=1..2048"`
	Tags  []Tag  `constraint:"required"`
}

// TagResource puts tags on a key.
func (s *Server) TagResource(ctx context.Context, in *TagResourceInput) (*Empty, error) {
	k, arn, err := s.key(ctx, "TagResource", in.KeyID, false, requestTagKeys(in.Tags))
	if err == nil {
		err = notPending(arn, k)
	}
	if err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.TagKMSKey(ctx, k.ID, tags, maxTags), arn)
}

// UntagResourceInput is the request of kms:UntagResource.
type UntagResourceInput struct {
	KeyID   string   `json:"KeyId" constraint:"required len=1..2048"`
	TagKeys []string `constraint:"required"`
}

// UntagResource takes tags from a key.
func (s *Server) UntagResource(ctx context.Context, in *UntagResourceInput) (*Empty, error) {
	k, arn, err := s.key(ctx, "UntagResource", in.KeyID, false, keys{"aws:TagKeys": in.TagKeys})
	if err == nil {
		err = notPending(arn, k)
	}
	if err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.UntagKMSKey(ctx, k.ID, in.TagKeys), arn)
}

// ListResourceTagsInput is the request of kms:ListResourceTags.
type ListResourceTagsInput struct {
	KeyID  string `json:"KeyId" constraint:"required len=1..2048"`
	Limit  *int   `constraint:"range=1..50"`
	Marker string `constraint:"len=1..1024"`
}

// ListResourceTagsOutput is the answer of kms:ListResourceTags.
type ListResourceTagsOutput struct {
	Tags       []Tag
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// ListResourceTags lists the tags of a key, in the order of their keys.
func (s *Server) ListResourceTags(ctx context.Context, in *ListResourceTagsInput) (*ListResourceTagsOutput, error) {
	k, _, err := s.key(ctx, "ListResourceTags", in.KeyID, false)
	if err != nil {
		return nil, err
	}
	list := "tags " + k.ID
	p, err := s.page(list, in.Marker, in.Limit, maxTags)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(k.Tags, func(a, b ssm.Tag) int { return strings.Compare(a.Key, b.Key) })
	out := &ListResourceTagsOutput{Tags: []Tag{}}
	for _, t := range k.Tags {
		if p.After != "" && t.Key <= p.After {
			continue
		}
		if len(out.Tags) == p.Limit {
			out.Truncated, out.NextMarker = true, s.marker(list, out.Tags[p.Limit-1].TagKey)
			break
		}
		out.Tags = append(out.Tags, Tag{TagKey: t.Key, TagValue: t.Value})
	}
	return out, nil
}
