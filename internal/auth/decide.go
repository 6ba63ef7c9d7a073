package auth

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/policy"
	"sekisho/internal/policy/managed"
	"sekisho/internal/store"
)

// judge decides about one caller. It holds everything about a decision but the pair of
// action and resource.
type judge struct {
	auth   *Auth
	caller Principal
	// gone says that there is nobody to allow anything: an anonymous caller, a node's own
	// key, a user or a role that was deleted.
	gone    bool
	context policy.Context // folded
	request policy.Request // what is the same for all pairs
}

// judge gathers what decides about p. The facts are the condition keys of the request, by
// [Auth.facts] or as they were kept.
func (a *Auth) judge(ctx context.Context, p Principal, facts policy.Context) (*judge, error) {
	j := &judge{auth: a, caller: p}
	st, err := a.standingOf(ctx, p)
	if errors.Is(err, store.ErrNotFound) || err == nil && st == nil {
		j.gone = true
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	j.request = policy.Request{Principal: st.facts, Identity: st.identity, Boundary: st.boundary, Now: a.cfg.Now()}
	who := &j.request.Principal
	if p.Kind == RoleSession {
		who.ID, who.SessionARN = p.UserID, p.ARN
		if p.Session != nil && len(p.Session.Tags) > 0 {
			who.Tags = maps.Clone(who.Tags)
			maps.Copy(who.Tags, tagMap(p.Session.Tags))
		}
	}
	if p.Session != nil {
		if err := a.addSession(ctx, &j.request, p.Session); err != nil {
			return nil, err
		}
	}
	j.context = who.Context()
	maps.Copy(j.context, facts.Fold())
	return j, nil
}

// standingOf gives the standing of a caller; nil for one who has none, ever.
func (a *Auth) standingOf(ctx context.Context, p Principal) (*standing, error) {
	switch p.Kind {
	case Root:
		account := policy.Principal{Type: policy.Account, AccountID: p.Account, ARN: p.ARN, ID: p.UserID}
		return &standing{facts: account}, nil
	case User:
		return a.userStanding(ctx, p.UserID)
	case RoleSession:
		return a.roleStanding(ctx, p.RoleName, p.RoleID)
	default:
		return nil, nil
	}
}

// addSession adds the policies that were given with temporary credentials. If one of them
// is there no more, nothing is allowed: what it denied must not come back with its end.
func (a *Auth) addSession(ctx context.Context, r *policy.Request, s *Session) error {
	for _, text := range s.Policies {
		p, err := a.parse(text, policy.Session)
		if err != nil {
			return err
		}
		r.Session = append(r.Session, policy.Source{Policy: p, Type: policy.FromNowhere})
	}
	for _, arn := range s.PolicyARNs {
		p, err := a.sessionPolicy(ctx, arn)
		if errors.Is(err, store.ErrNotFound) {
			r.Session, r.SessionRequired = nil, true
			return nil
		}
		if err != nil {
			return err
		}
		r.Session = append(r.Session, p)
	}
	return nil
}

// sessionPolicy gives a managed policy as it is now.
func (a *Auth) sessionPolicy(ctx context.Context, arn string) (policy.Source, error) {
	held, err := a.standing(ctx, "policy/"+arn, func() (*standing, error) {
		d := store.PolicyDocument{ARN: arn}
		if !managed.Is(arn) {
			m, err := a.cfg.Store.Policy(ctx, arn)
			if err != nil {
				return nil, err
			}
			v, err := a.cfg.Store.PolicyVersion(ctx, arn, m.DefaultVersion)
			if err != nil {
				return nil, err
			}
			d.Name, d.Document = m.Name, v.Document
		} else if _, ok := managed.Find(arn); !ok {
			return nil, store.ErrNotFound
		}
		src, err := a.source(d)
		return &standing{boundary: &src}, err
	})
	if err != nil {
		return policy.Source{}, err
	}
	return *held.boundary, nil
}

// decide answers one pair.
func (j *judge) decide(r Request) policy.Decision {
	q := j.request
	q.Action, q.Resource, q.Aliases, q.ResourceVariables = r.Action, r.Resource, r.Aliases, r.Variables
	q.Context = j.contextOf(r)
	q.Trace = r.trace
	q.Trust = r.trust
	q.ResourcePolicy, q.ResourceRequired = r.ResourcePolicy, r.ResourcePolicy != nil
	if j.gone || !j.mayEver(r) {
		return policy.Decision{Outcome: policy.ImplicitDeny, Reason: policy.NoIdentityAllows}
	}
	return policy.Evaluate(q)
}

// contextOf adds the condition keys of a pair. What is known of the caller and the request
// itself stands against them.
func (j *judge) contextOf(r Request) policy.Context {
	account := j.auth.resourceAccount(r.Resource)
	global := isGlobal(r.Action)
	if len(r.Context) == 0 && account == "" && len(r.override) == 0 && !global {
		return j.context
	}
	c := make(policy.Context, len(r.Context)+len(j.context)+len(r.override)+1)
	if account != "" {
		c["aws:resourceaccount"] = []string{account}
	}
	maps.Copy(c, policy.Context(r.Context).Fold())
	maps.Copy(c, j.context)
	maps.Copy(c, r.override.Fold())
	if global {
		c["aws:requestedregion"] = []string{globalRegion}
	}
	return c
}

// isGlobal says whether an action is of a service that is one for all regions.
func isGlobal(action string) bool {
	return len(action) > 4 && strings.EqualFold(action[:4], "iam:")
}

// resourceAccount is whose a resource is; empty for "*" and for what belongs to AWS.
func (a *Auth) resourceAccount(arn string) string {
	part := strings.SplitN(arn, ":", 6)
	switch {
	case len(part) < 6 || part[0] != "arn" || part[5] == "":
		return ""
	case part[2] == "s3": // buckets have no account in their names
		return a.cfg.ARNs.Account
	case len(part[4]) == 12:
		return part[4]
	}
	return ""
}

// mayEver says whether the caller's credentials are for an action at all, whatever the
// policies say.
func (j *judge) mayEver(r Request) bool {
	switch {
	case j.caller.NodeID != "":
		return j.auth.nodeMay(j.caller.NodeID, r)
	case j.caller.SessionKind == store.CredentialSession:
		return sessionTokenMay(j.caller, r.Action)
	}
	return true
}

// sessionTokenMay is what the credentials of GetSessionToken are not for (api.md §4.2):
// identities without MFA, and more credentials. To pass a role is a permission of other
// services' operations, not an operation of iam.
func sessionTokenMay(p Principal, action string) bool {
	service, name, _ := strings.Cut(strings.ToLower(action), ":")
	switch service {
	case "iam":
		return !p.MFAAt.IsZero() || name == "passrole"
	case "sts":
		switch name {
		case "assumerole", "tagsession", "setsourceidentity", "getcalleridentity":
			return true
		}
		return false
	}
	return true
}

// facts are the condition keys that follow from the request and the credentials that it
// was signed with (api.md §4.6). The time is added by the evaluator.
func (a *Auth) facts(ctx context.Context, p Principal) policy.Context {
	info := awsapi.Info(ctx)
	region := p.Region
	if region == "" {
		region = a.cfg.ARNs.Region
	}
	c := policy.Context{
		// There is no way in without TLS (ADR 0008).
		"aws:securetransport": {"true"},
		"aws:viaawsservice":   {"false"},
		"aws:requestedregion": {region},
		"sekisho:viaconsole":  {strconv.FormatBool(p.ViaConsole)},
		"aws:sourceip":        one(info.SourceIP),
		"aws:useragent":       one(info.UserAgent),
		"aws:sourceidentity":  one(p.SourceIdentity),
	}
	if !p.TokenIssuedAt.IsZero() {
		c["aws:tokenissuetime"] = one(p.TokenIssuedAt.UTC().Format(time.RFC3339))
	}
	if p.MFAKnown {
		c["aws:multifactorauthpresent"] = one(strconv.FormatBool(!p.MFAAt.IsZero()))
		if !p.MFAAt.IsZero() {
			age := max(0, a.cfg.Now().Sub(p.MFAAt)/time.Second)
			c["aws:multifactorauthage"] = one(strconv.FormatInt(int64(age), 10))
		}
	}
	if p.NodeID != "" {
		node := one(a.cfg.ARNs.Node(p.NodeID))
		c["ssm:sourceinstancearn"], c["ec2:sourceinstancearn"] = node, node
	}
	if p.Session != nil && p.Session.Provider != "" {
		c["aws:federatedprovider"] = one(p.Session.Provider)
	}
	maps.DeleteFunc(c, func(_ string, v []string) bool { return len(v) == 0 })
	return c
}

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
