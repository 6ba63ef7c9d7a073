package iam

import (
	"context"
	"slices"
	"strings"
	"time"

	"sekisho/internal/policy/managed"
	"sekisho/internal/store"
)

// GetAccountAuthorizationDetailsInput is the request of
// iam:GetAccountAuthorizationDetails. No filter means everything.
type GetAccountAuthorizationDetailsInput struct {
	Filter   []string `constraint:"enum=IAMEntityType"`
	MaxItems *int     `constraint:"range=1..1000"`
	Marker   string   `constraint:"len=1.."`
}

// GetAccountAuthorizationDetailsOutput is the answer of
// iam:GetAccountAuthorizationDetails.
type GetAccountAuthorizationDetailsOutput struct {
	UserDetailList  []UserDetail
	GroupDetailList []GroupDetail
	RoleDetailList  []RoleDetail
	Policies        []ManagedPolicyDetail
	IsTruncated     bool
	Marker          string `json:",omitempty"`
}

// PolicyDetail is an inline policy with its document.
type PolicyDetail struct{ PolicyName, PolicyDocument string }

// UserDetail is a user with everything that gives permissions.
type UserDetail struct {
	Path                    string
	UserName                string
	UserID                  string `json:"UserId"`
	ARN                     string `json:"Arn"`
	CreateDate              time.Time
	UserPolicyList          []PolicyDetail
	GroupList               []string
	AttachedManagedPolicies []AttachedPolicy
	PermissionsBoundary     *AttachedPermissionsBoundary
	Tags                    []Tag
}

// GroupDetail is a group with its policies.
type GroupDetail struct {
	Path                    string
	GroupName               string
	GroupID                 string `json:"GroupId"`
	ARN                     string `json:"Arn"`
	CreateDate              time.Time
	GroupPolicyList         []PolicyDetail
	AttachedManagedPolicies []AttachedPolicy
}

// RoleDetail is a role with its policies and instance profiles.
type RoleDetail struct {
	Path                     string
	RoleName                 string
	RoleID                   string `json:"RoleId"`
	ARN                      string `json:"Arn"`
	CreateDate               time.Time
	AssumeRolePolicyDocument string
	InstanceProfileList      []InstanceProfile
	RolePolicyList           []PolicyDetail
	AttachedManagedPolicies  []AttachedPolicy
	PermissionsBoundary      *AttachedPermissionsBoundary
	Tags                     []Tag
	RoleLastUsed             *RoleLastUsed
}

// ManagedPolicyDetail is a managed policy with all its versions.
type ManagedPolicyDetail struct {
	PolicyName                    string
	PolicyID                      string `json:"PolicyId"`
	ARN                           string `json:"Arn"`
	Path                          string
	DefaultVersionID              string `json:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `json:",omitempty"`
	CreateDate                    time.Time
	UpdateDate                    time.Time
	PolicyVersionList             []PolicyVersion
}

// details collects one answer of GetAccountAuthorizationDetails.
type details struct {
	*Server
	out *GetAccountAuthorizationDetailsOutput
}

// section is one of the lists in an answer. read adds a page of it and says where the next
// one goes on.
type section struct {
	filter string
	read   func(d details, ctx context.Context, p store.Page) (added int, next string, err error)
}

// sections are in the order in which they are paged through. A marker begins with the
// number of its section.
var sections = []section{
	{"User", details.users},
	{"Group", details.groups},
	{"Role", details.roles},
	{"LocalManagedPolicy", details.localPolicies},
	{"AWSManagedPolicy", details.servicePolicies},
}

// GetAccountAuthorizationDetails shows users, groups, roles and managed policies with all
// that gives permissions. Of the policies that come with the service, it shows those that
// somebody has.
func (s *Server) GetAccountAuthorizationDetails(ctx context.Context, in *GetAccountAuthorizationDetailsInput) (*GetAccountAuthorizationDetailsOutput, error) {
	const action = "iam:GetAccountAuthorizationDetails"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	page, err := s.page(action, in.Filter, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	at := 0
	if page.After != "" {
		if at = int(page.After[0] - '0'); at >= len(sections) {
			return nil, errMarker
		}
		page.After = page.After[1:]
	}
	d := details{s, &GetAccountAuthorizationDetailsOutput{
		UserDetailList: []UserDetail{}, GroupDetailList: []GroupDetail{}, RoleDetailList: []RoleDetail{}, Policies: []ManagedPolicyDetail{},
	}}
	next := ""
	for ; at < len(sections) && next == ""; at++ {
		if len(in.Filter) > 0 && !slices.Contains(in.Filter, sections[at].filter) {
			continue
		}
		prefix := string(rune('0' + at))
		if page.Limit == 0 { // the page is full, and there may be more
			next = prefix
			break
		}
		added, rest, err := sections[at].read(d, ctx, page)
		if err != nil {
			return nil, failed(err, "entity", "")
		}
		if rest != "" {
			next = prefix + rest
		}
		page.Limit -= added
		page.After = ""
	}
	d.out.IsTruncated = next != ""
	d.out.Marker, err = s.marker(action, in.Filter, next)
	return d.out, err
}

// own gives the policies that an entity has itself, not through a group.
func own(p store.Permissions, t store.EntityType) (inline []PolicyDetail, attached []AttachedPolicy) {
	inline, attached = []PolicyDetail{}, []AttachedPolicy{}
	for _, d := range p.Documents {
		switch {
		case d.Owner.Type != t:
		case d.Inline:
			inline = append(inline, PolicyDetail{d.Name, encodedDocument(d.Document)})
		default:
			attached = append(attached, shownAttached([]string{d.ARN})...)
		}
	}
	return inline, attached
}

func (d details) users(ctx context.Context, page store.Page) (int, string, error) {
	users, next, err := d.cfg.Store.Users(ctx, "", page)
	for _, u := range users {
		u, permissions, err := d.cfg.Store.UserPermissions(ctx, u.ID)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		shown := UserDetail{
			Path: orSlash(u.Path), UserName: u.Name, UserID: u.ID, ARN: d.arn("user", u.Path, u.Name), CreateDate: u.CreatedAt,
			GroupList:           append([]string{}, permissions.Groups...),
			PermissionsBoundary: shownBoundary(u.Boundary),
			Tags:                shownTags(u.Tags),
		}
		shown.UserPolicyList, shown.AttachedManagedPolicies = own(permissions, store.EntityUser)
		d.out.UserDetailList = append(d.out.UserDetailList, shown)
	}
	return len(users), next, err
}

func (d details) groups(ctx context.Context, page store.Page) (int, string, error) {
	groups, next, err := d.cfg.Store.Groups(ctx, "", page)
	for _, g := range groups {
		g, permissions, err := d.cfg.Store.GroupPermissions(ctx, g.Name)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		shown := GroupDetail{Path: orSlash(g.Path), GroupName: g.Name, GroupID: g.ID, ARN: d.arn("group", g.Path, g.Name), CreateDate: g.CreatedAt}
		shown.GroupPolicyList, shown.AttachedManagedPolicies = own(permissions, store.EntityGroup)
		d.out.GroupDetailList = append(d.out.GroupDetailList, shown)
	}
	return len(groups), next, err
}

func (d details) roles(ctx context.Context, page store.Page) (int, string, error) {
	roles, next, err := d.cfg.Store.Roles(ctx, "", page)
	for _, r := range roles {
		r, permissions, err := d.cfg.Store.RolePermissions(ctx, r.Name)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		profiles, _, err := d.cfg.Store.InstanceProfilesOfRole(ctx, r.Name, store.Page{Limit: 1000})
		if err != nil && !isNotFound(err) {
			return 0, "", err
		}
		shown := RoleDetail{
			Path: orSlash(r.Path), RoleName: r.Name, RoleID: r.ID, ARN: d.arn("role", r.Path, r.Name), CreateDate: r.CreatedAt,
			AssumeRolePolicyDocument: encodedDocument(r.TrustPolicy),
			InstanceProfileList:      d.shownInstanceProfiles(profiles),
			PermissionsBoundary:      shownBoundary(r.Boundary),
			Tags:                     shownTags(r.Tags),
			RoleLastUsed:             d.lastUsed(r),
		}
		shown.RolePolicyList, shown.AttachedManagedPolicies = own(permissions, store.EntityRole)
		d.out.RoleDetailList = append(d.out.RoleDetailList, shown)
	}
	return len(roles), next, err
}

func (d details) localPolicies(ctx context.Context, page store.Page) (int, string, error) {
	policies, next, err := d.cfg.Store.Policies(ctx, store.PolicyFilter{}, page)
	for _, p := range policies {
		versions, err := d.cfg.Store.PolicyVersions(ctx, p.ARN)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		d.addPolicy(p, versions)
	}
	return len(policies), next, err
}

func (d details) servicePolicies(ctx context.Context, page store.Page) (int, string, error) {
	added := 0
	for _, shipped := range managed.All() {
		if strings.Compare(shipped.Name, page.After) <= 0 {
			continue
		}
		p, err := d.serviceProvided(ctx, shipped)
		if err != nil {
			return 0, "", err
		}
		if p.AttachmentCount+p.BoundaryCount == 0 {
			continue
		}
		if added == page.Limit {
			return added, page.After, nil
		}
		d.addPolicy(p, []store.PolicyVersion{versionOf(shipped)})
		added++
		page.After = p.Name
	}
	return added, "", nil
}

func (d details) addPolicy(p store.ManagedPolicy, versions []store.PolicyVersion) {
	shown := listedPolicy(p)
	detail := ManagedPolicyDetail{
		PolicyName: shown.PolicyName, PolicyID: shown.PolicyID, ARN: shown.ARN, Path: shown.Path, DefaultVersionID: shown.DefaultVersionID,
		AttachmentCount: shown.AttachmentCount, PermissionsBoundaryUsageCount: shown.PermissionsBoundaryUsageCount, IsAttachable: true,
		Description: shown.Description, CreateDate: shown.CreateDate, UpdateDate: shown.UpdateDate,
	}
	for _, v := range versions {
		detail.PolicyVersionList = append(detail.PolicyVersionList, shownVersion(v))
	}
	d.out.Policies = append(d.out.Policies, detail)
}
