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
	"crypto/sha256"
	"encoding/base32"
	"time"

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
	SessionName string // of a role session only
	// NodeID is the managed node that calls, by its own key or by its role session,
	// whose name is then the node's id.
	NodeID        string
	AccessKeyID   string    // empty for a console sign-in
	Administrator bool      // may do everything
	TokenIssuedAt time.Time // of temporary credentials; else zero
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
	path := u.Path
	if path == "" {
		path = "/"
	}
	return Principal{
		Kind:          User,
		Account:       a.cfg.ARNs.Account,
		ARN:           "arn:aws:iam::" + a.cfg.ARNs.Account + ":user" + path + u.Name,
		UserID:        u.ID,
		UserName:      u.Name,
		Administrator: u.Administrator,
	}
}

// rolePrincipal is the principal of a role's temporary credentials.
func (a *Auth) rolePrincipal(c store.TemporaryCredential) Principal {
	return Principal{
		Kind:          RoleSession,
		Account:       a.cfg.ARNs.Account,
		ARN:           "arn:aws:sts::" + a.cfg.ARNs.Account + ":assumed-role/" + c.RoleName + "/" + c.SessionName,
		UserID:        roleID(a.cfg.ARNs.Account, c.RoleName) + ":" + c.SessionName,
		RoleName:      c.RoleName,
		SessionName:   c.SessionName,
		NodeID:        c.NodeID,
		AccessKeyID:   c.AccessKeyID,
		TokenIssuedAt: c.IssuedAt,
	}
}

// roleID is the unique id of a role: "AROA" and 17 characters. As long as roles are
// names on activations and not stored objects, it is made from the name, so that it
// stays the same from one call to the next.
func roleID(account, role string) string {
	sum := sha256.Sum256([]byte("role\x00" + account + "\x00" + role))
	return "AROA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
