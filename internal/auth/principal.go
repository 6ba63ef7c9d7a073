// Package auth answers two questions about a request: who is calling, and may they.
// It knows access keys, temporary credentials, a managed node's own key and console
// passwords, and it alone decides what a principal may do. Every API operation calls
// [Auth.Authorize] before it acts; package control, the gateway and the console are
// the callers.
//
// It promises that a refusal says nothing about what exists: an unknown key costs the
// time of a known one, and a denial depends on the caller and the names in the request
// alone.
package auth

import (
	"context"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Kind says what sort of caller a principal is.
type Kind int

// The kinds of principals (api.md §3).
const (
	Anonymous   Kind = iota // nobody signed the request
	Root                    // the account itself
	User                    // a user, with a long-term key or signed in at the console
	RoleSession             // temporary credentials of a role; a node's too
	Node                    // a managed node, by its own RSA key; only for getting credentials
)

func (k Kind) String() string {
	switch k {
	case Root:
		return "Account"
	case User:
		return "User"
	case RoleSession:
		return "AssumedRole"
	case Node:
		return "Node"
	default:
		return "Anonymous"
	}
}

// Principal is a caller whose identity is proved.
type Principal struct {
	Kind        Kind
	Account     string
	ARN         string // as denials and session owners name the caller
	UserID      string // aws:userid: AIDA…, AROA…:session-name, or the account of root
	UserName    string // of a user only
	RoleName    string // of a role session only
	RoleID      string // of a role session only: AROA…
	SessionName string // of a role session only
	// NodeID is the managed node that calls, by its own key or by its role session,
	// whose name is then the node's id.
	NodeID        string
	AccessKeyID   string    // empty for a console sign-in
	Region        string    // that the request was signed for; empty for a console sign-in
	TokenIssuedAt time.Time // of temporary credentials; else zero

	// MFAKnown says that it is known whether the caller showed an MFA code: of temporary
	// credentials and console sign-ins it is, of long-term keys never. MFAAt is when the
	// code was shown; zero for none.
	MFAKnown       bool
	MFAAt          time.Time
	SourceIdentity string // whoever assumed the role first, as given then
	ViaConsole     bool   // the console calls for somebody who signed in there
	SessionKind    string // of temporary credentials: store.CredentialRole and so on
	Session        *Session
}

// Session is what else was said when temporary credentials were made.
type Session struct {
	Policies          []string  `json:",omitempty"` // documents that narrow what the credentials may do
	PolicyARNs        []string  `json:",omitempty"` // managed policies that do
	Tags              []ssm.Tag `json:",omitempty"`
	TransitiveTagKeys []string  `json:",omitempty"` // of Tags: those that go on to the next role
	Chained           bool      `json:",omitempty"` // a role was assumed with a role's credentials
	Provider          string    `json:",omitempty"` // of a web identity: the ARN of its provider
}

// SessionOwner is the name that the ids of sessions this principal starts begin with:
// the user name or the role session name (api.md §6.1).
func (p Principal) SessionOwner() string {
	switch p.Kind {
	case User:
		return p.UserName
	case RoleSession:
		return p.SessionName
	default:
		return "root"
	}
}

type principalKey struct{}

// WithPrincipal gives a context in which p is the caller.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From gives the caller of a context. There is none in the context of an anonymous
// request.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// UserPrincipal is the principal of a user, for callers that proved who the user is
// in another way than by a signature: the console's sign-in.
func (a *Auth) UserPrincipal(u store.User) Principal {
	return Principal{
		Kind:     User,
		Account:  a.cfg.ARNs.Account,
		ARN:      a.iamARN("user", u.Path, u.Name),
		UserID:   u.ID,
		UserName: u.Name,
	}
}

// iamARN names a user or a role.
func (a *Auth) iamARN(kind, path, name string) string {
	if path == "" {
		path = "/"
	}
	return "arn:aws:iam::" + a.cfg.ARNs.Account + ":" + kind + path + name
}

// temporaryPrincipal is the principal of temporary credentials: of a role, with the id
// roleID, or of a user.
func (a *Auth) temporaryPrincipal(c store.TemporaryCredential, roleID string) Principal {
	var p Principal
	if c.Kind == store.CredentialSession {
		p = a.UserPrincipal(store.User{ID: c.UserID, Name: c.UserName, Path: c.UserPath})
	} else {
		p = Principal{
			Kind:        RoleSession,
			Account:     a.cfg.ARNs.Account,
			ARN:         "arn:aws:sts::" + a.cfg.ARNs.Account + ":assumed-role/" + c.RoleName + "/" + c.SessionName,
			UserID:      roleID + ":" + c.SessionName,
			RoleName:    c.RoleName,
			RoleID:      roleID,
			SessionName: c.SessionName,
			NodeID:      c.NodeID,
		}
	}
	p.AccessKeyID = c.AccessKeyID
	p.TokenIssuedAt = c.IssuedAt
	p.MFAKnown, p.MFAAt = true, c.MFAAt
	p.SourceIdentity = c.SourceIdentity
	p.SessionKind = c.Kind
	p.Session = &Session{
		Policies: c.SessionPolicies, PolicyARNs: c.SessionPolicyARNs, Tags: c.SessionTags,
		TransitiveTagKeys: c.TransitiveTagKeys, Chained: c.Chained, Provider: c.Provider,
	}
	return p
}
