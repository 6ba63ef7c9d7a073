package control

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// taggedResource is a resource that a request about tags names.
type taggedResource struct {
	arn  string
	id   string
	tags []ssm.Tag

	// Both are nil for what does not exist, or cannot have tags here.
	tag   func(ctx context.Context, id string, tags []ssm.Tag, limit int) error
	untag func(ctx context.Context, id string, keys []string) error
}

// arnKinds is how ARNs spell the resource types of the tag operations.
var arnKinds = map[string]string{
	"Automation":        "automation-execution",
	"MaintenanceWindow": "maintenancewindow",
	"ManagedInstance":   "managed-instance",
	"OpsMetadata":       "opsmetadata",
	"PatchBaseline":     "patchbaseline",
}

// taggedResource finds what a request about tags names.
func (s *Server) taggedResource(ctx context.Context, resourceType, id string) (*taggedResource, error) {
	kind := arnKinds[resourceType]
	if kind == "" {
		kind = strings.ToLower(resourceType)
	}
	r := &taggedResource{
		arn: "arn:aws:ssm:" + s.cfg.ARNs.Region + ":" + s.cfg.ARNs.Account + ":" + kind + "/" + strings.TrimPrefix(id, "/"),
		id:  id,
	}
	switch resourceType {
	case "Document":
		if strings.Contains(id, ":") { // a name, no ARN
			return r, nil
		}
		d, err := s.findDocument(ctx, id)
		if err != nil {
			return nil, err
		}
		r.arn, r.tags = d.arn, d.tags()
		if d.stored != nil {
			r.tag, r.untag = s.cfg.Store.TagDocument, s.cfg.Store.UntagDocument
		}
	case "ManagedInstance":
		n, err := s.node(ctx, id)
		if err != nil {
			return nil, err
		}
		if n != nil {
			r.tags, r.tag, r.untag = n.Tags, s.cfg.Store.TagNode, s.cfg.Store.UntagNode
		}
	}
	return r, nil
}

// errResourceID has no text at the service either (api.md §10).
var errResourceID = ssm.Errorf("InvalidResourceId", "")

// authorized asks whether the caller may do action to the resource, with the tags or tag
// keys of the request, and then whether the resource exists.
func (r *taggedResource) authorized(ctx context.Context, a *auth.Auth, action string, request map[string][]string) error {
	keys := tagContext(r.tags)
	for key, values := range request {
		keys[key] = values
	}
	if err := a.Authorize(ctx, auth.Request{Action: action, Resource: r.arn, Context: keys}); err != nil {
		return err
	}
	if r.tag == nil {
		return errResourceID
	}
	return nil
}

// tagFailed is the answer to an error of the store.
func tagFailed(err error) error {
	var limit *store.LimitError
	switch {
	case errors.Is(err, store.ErrNotFound): // gone meanwhile
		return errResourceID
	case errors.As(err, &limit):
		return ssm.Errorf("TooManyTagsError", "")
	}
	return err
}

// AddTagsToResource puts tags on a document or a node. A tag with the same key is
// replaced.
func (s *Server) AddTagsToResource(ctx context.Context, in *ssm.AddTagsToResourceInput) (*ssm.Empty, error) {
	r, err := s.taggedResource(ctx, in.ResourceType, in.ResourceID)
	if err != nil {
		return nil, err
	}
	if err := r.authorized(ctx, s.cfg.Auth, "ssm:AddTagsToResource", requestTagContext(in.Tags)); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := r.tag(ctx, r.id, in.Tags, maxTags); err != nil {
		return nil, tagFailed(err)
	}
	return &ssm.Empty{}, nil
}

// RemoveTagsFromResource takes tags from a document or a node.
func (s *Server) RemoveTagsFromResource(ctx context.Context, in *ssm.RemoveTagsFromResourceInput) (*ssm.Empty, error) {
	r, err := s.taggedResource(ctx, in.ResourceType, in.ResourceID)
	if err != nil {
		return nil, err
	}
	request := map[string][]string{"aws:TagKeys": in.TagKeys}
	if err := r.authorized(ctx, s.cfg.Auth, "ssm:RemoveTagsFromResource", request); err != nil {
		return nil, err
	}
	if err := r.untag(ctx, r.id, in.TagKeys); err != nil {
		return nil, tagFailed(err)
	}
	return &ssm.Empty{}, nil
}

// ListTagsForResource lists the tags of a document or a node, by key.
func (s *Server) ListTagsForResource(ctx context.Context, in *ssm.ListTagsForResourceInput) (*ssm.ListTagsForResourceOutput, error) {
	r, err := s.taggedResource(ctx, in.ResourceType, in.ResourceID)
	if err != nil {
		return nil, err
	}
	if err := r.authorized(ctx, s.cfg.Auth, "ssm:ListTagsForResource", nil); err != nil {
		return nil, err
	}
	return &ssm.ListTagsForResourceOutput{TagList: r.tags}, nil
}
