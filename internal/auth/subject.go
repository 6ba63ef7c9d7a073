package auth

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/policy"
)

// Subject is a caller that is to be judged later, when it is not calling: whoever started
// a session that still runs. It can be kept as JSON. It holds no policies but those that
// came with temporary credentials: who has which is looked up when it is judged.
type Subject struct {
	UserID  string
	ARN     string
	Session *Session            `json:",omitempty"` // of temporary credentials
	Context map[string][]string `json:",omitempty"` // the condition keys of the request
}

// Subject gives the caller of ctx, to be judged later as it calls now: from this address,
// with these credentials.
func (a *Auth) Subject(ctx context.Context) Subject {
	p, _ := From(ctx)
	facts, now := a.facts(ctx, p), a.cfg.Now().UTC()
	// What began within office hours was begun rightly.
	facts["aws:currenttime"] = one(now.Format(time.RFC3339))
	facts["aws:epochtime"] = one(strconv.FormatInt(now.Unix(), 10))
	return Subject{UserID: p.UserID, ARN: p.ARN, Session: p.Session, Context: facts}
}

// TraceFor is [Auth.Decide] for a subject.
func (a *Auth) TraceFor(ctx context.Context, s Subject, r Request) (policy.Decision, error) {
	j, err := a.judge(ctx, a.subjectPrincipal(s), s.Context)
	if err != nil {
		return policy.Decision{}, err
	}
	r.trace = true
	return j.decide(r), nil
}

// DecideFor decides whether a subject may do all of reqs, by the policies as they are
// now. If not, reason is the text of the denial. A user or a role that was deleted may
// nothing.
func (a *Auth) DecideFor(ctx context.Context, s Subject, reqs ...Request) (allowed bool, reason string, err error) {
	j, err := a.judge(ctx, a.subjectPrincipal(s), s.Context)
	if err != nil {
		return false, "", err
	}
	for _, r := range reqs {
		if d := j.decide(r); !d.Allowed {
			return false, a.explain(s.ARN, d, r), nil
		}
	}
	return true, "", nil
}

// subjectPrincipal is the principal that a subject was. What it is shows in its user id
// (api.md §3); nodes start no sessions.
func (a *Auth) subjectPrincipal(s Subject) Principal {
	p := Principal{Account: a.cfg.ARNs.Account, ARN: s.ARN, UserID: s.UserID, Session: s.Session}
	roleID, session, isRole := strings.Cut(s.UserID, ":")
	switch {
	case s.UserID == p.Account && s.UserID != "":
		p.Kind = Root
	case isRole && strings.HasPrefix(roleID, "AROA"):
		rest, ok := strings.CutPrefix(s.ARN, "arn:aws:sts::"+p.Account+":assumed-role/")
		name, _, _ := strings.Cut(rest, "/")
		if ok && name != "" {
			p.Kind, p.RoleID, p.RoleName, p.SessionName = RoleSession, roleID, name, session
		}
	case strings.HasPrefix(s.UserID, "AIDA"):
		p.Kind = User
	}
	return p
}
