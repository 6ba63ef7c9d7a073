package iam

import (
	"slices"
	"strings"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Shapes that several operations share (api.md Appendix A.4). Lists that the model
// requires are there also when they are empty.

// Tag is a label of an entity. Keys are unique without regard to case.
type Tag struct {
	Key   string `constraint:"required len=1..128 pattern=IAMTagKey"`
	Value string `constraint:"required len=0..256 pattern=IAMTagValue"`
}

// maxTags is how many tags an entity may have.
const maxTags = 50

// User is a user as answers show it. The account's root has no name.
type User struct {
	Path                string
	UserName            string `json:",omitempty"`
	UserID              string `json:"UserId"`
	ARN                 string `json:"Arn"`
	CreateDate          time.Time
	PasswordLastUsed    *ssm.Time
	PermissionsBoundary *AttachedPermissionsBoundary
	Tags                []Tag `json:",omitempty"`
}

// AttachedPermissionsBoundary is the policy that bounds a user's or role's permissions.
type AttachedPermissionsBoundary struct {
	PermissionsBoundaryType string
	PermissionsBoundaryARN  string `json:"PermissionsBoundaryArn"`
}

// Group is a group as answers show it.
type Group struct {
	Path       string
	GroupName  string
	GroupID    string `json:"GroupId"`
	ARN        string `json:"Arn"`
	CreateDate time.Time
}

// AttachedPolicy is a managed policy as an entity has it.
type AttachedPolicy struct {
	PolicyName string
	PolicyARN  string `json:"PolicyArn"`
}

// UserInput names a user.
type UserInput struct {
	UserName string `constraint:"required len=1..128 pattern=IAMName"`
}

// OptionalUserInput names a user or, if it does not, means the caller.
type OptionalUserInput struct {
	UserName string `constraint:"len=1..128 pattern=IAMName"`
}

// GroupInput names a group.
type GroupInput struct {
	GroupName string `constraint:"required len=1..128 pattern=IAMName"`
}

// ListInput asks for a page of a list of everything.
type ListInput struct {
	PathPrefix string `constraint:"len=1..512 pattern=IAMPathPrefix"`
	Marker     string `constraint:"len=1.."`
	MaxItems   *int   `constraint:"range=1..1000"`
}

// UserListInput asks for a page of what a user has.
type UserListInput struct {
	UserName string `constraint:"required len=1..128 pattern=IAMName"`
	Marker   string `constraint:"len=1.."`
	MaxItems *int   `constraint:"range=1..1000"`
}

// OptionalUserListInput is UserListInput in which no name means the caller.
type OptionalUserListInput struct {
	UserName string `constraint:"len=1..128 pattern=IAMName"`
	Marker   string `constraint:"len=1.."`
	MaxItems *int   `constraint:"range=1..1000"`
}

// TagsOutput is a page of tags.
type TagsOutput struct {
	Tags        []Tag
	IsTruncated bool
	Marker      string `json:",omitempty"`
}

// shownSecret is a secret in the answer to the caller who made it. Whoever else puts an
// answer into words, such as an audit trail, gets no secret.
type shownSecret string

// MarshalText is what JSON and other encodings but the answer's own show.
func (shownSecret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// shownBytes is a shownSecret that is no text.
type shownBytes []byte

// MarshalText is what JSON and other encodings but the answer's own show.
func (shownBytes) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// listedUser is a user as lists show it: without tags and boundary (api.md §18.1).
func (s *Server) listedUser(u store.User) User {
	return User{
		Path:             orSlash(u.Path),
		UserName:         u.Name,
		UserID:           u.ID,
		ARN:              s.arn("user", u.Path, u.Name),
		CreateDate:       u.CreatedAt,
		PasswordLastUsed: ssm.At(u.PasswordLastUsed),
	}
}

// shownUser is a user as answers about it alone show it.
func (s *Server) shownUser(u store.User) User {
	shown := s.listedUser(u)
	shown.PermissionsBoundary = shownBoundary(u.Boundary)
	shown.Tags = shownTags(u.Tags)
	return shown
}

func shownBoundary(arn string) *AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &AttachedPermissionsBoundary{PermissionsBoundaryType: "PermissionsBoundaryPolicy", PermissionsBoundaryARN: arn}
}

func (s *Server) shownGroup(g store.Group) Group {
	return Group{
		Path:       orSlash(g.Path),
		GroupName:  g.Name,
		GroupID:    g.ID,
		ARN:        s.arn("group", g.Path, g.Name),
		CreateDate: g.CreatedAt,
	}
}

func shownTags(tags []ssm.Tag) []Tag {
	shown := make([]Tag, 0, len(tags))
	for _, t := range tags {
		shown = append(shown, Tag(t))
	}
	return shown
}

func storedTags(tags []Tag) []ssm.Tag {
	stored := make([]ssm.Tag, 0, len(tags))
	for _, t := range tags {
		stored = append(stored, ssm.Tag(t))
	}
	return stored
}

// checkTags refuses what tags in a request may not be (api.md §18.1). Keys of the
// service itself must not come from a caller: policies rely on them.
func checkTags(tags []Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		key := strings.ToLower(t.Key)
		if seen[key] {
			return fault(codeInvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(key, "aws:") {
			return fault(codeInvalidInput, "System tags cannot be added/updated by requester.")
		}
		seen[key] = true
	}
	return nil
}

// maxTagKey is how long a tag's key may be, in characters.
const maxTagKey = 128

// checkTagKeys refuses keys that no tag has, before a policy has to look at them.
func checkTagKeys(tagKeys []string) error { return checkLengths("tagKeys", tagKeys, maxTagKey) }

// tagsPage makes the answer to a list of an entity's tags.
func (s *Server) tagsPage(operation, name, marker string, maxItems *int, tags []ssm.Tag) (*TagsOutput, error) {
	p, err := s.page(operation, name, marker, maxItems)
	if err != nil {
		return nil, err
	}
	byKey := func(t ssm.Tag) string { return t.Key }
	sorted := slices.SortedFunc(slices.Values(tags), func(a, b ssm.Tag) int { return strings.Compare(a.Key, b.Key) })
	items, next := pageOf(sorted, byKey, p)
	out := &TagsOutput{Tags: shownTags(items), IsTruncated: next != ""}
	out.Marker, err = s.marker(operation, name, next)
	return out, err
}
