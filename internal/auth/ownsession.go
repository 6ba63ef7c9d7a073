package auth

import "strings"

// sessionSuffix is the length of what follows the owner's name in a session's id: a
// hyphen and 17 hexadecimal digits ([ssm.NewSessionID]).
const sessionSuffix = 18

// SessionRequest asks whether p may do action to the session with an id. owner is the
// user id of whoever started it, as stored; found says whether there is such a session.
//
// Whose session it is decides what the policy variables aws:username and aws:userid stand
// for in resource patterns (ADR 0013). Of the caller's own session, they are the two
// names that its ARN has: the one that its id begins with, which a role's session has as
// well, and its alias by user id. Of anybody else's, they stand for nothing, so that
// session/${aws:username}-* never reaches sessions of one whose name begins alike.
// A session that does not exist is the caller's own if its id is one that the caller's
// sessions have.
func (a *Auth) SessionRequest(p Principal, action, id, owner string, found bool) Request {
	r := Request{
		Action:    action,
		Resource:  a.cfg.ARNs.Session(id),
		Variables: map[string][]string{"aws:username": nil, "aws:userid": nil},
	}
	name, suffix, regular := cutSessionID(id)
	own := p.UserID != "" && owner == p.UserID
	if !found {
		own = p.UserID != "" && regular && suffix[1] == '0' && name == cutOwner(p.SessionOwner())
	}
	if !own {
		return r
	}
	if regular {
		r.Aliases = []string{a.cfg.ARNs.Session(p.UserID + suffix)}
	} else {
		name = p.SessionOwner()
	}
	r.Variables["aws:username"] = []string{name}
	r.Variables["aws:userid"] = []string{p.UserID}
	return r
}

// cutSessionID divides a session's id into its owner's name and the rest, which begins
// with a hyphen. It says no if the id has another form.
func cutSessionID(id string) (name, suffix string, ok bool) {
	n := len(id) - sessionSuffix
	if n <= 0 || id[n] != '-' || strings.Trim(id[n+1:], "0123456789abcdef") != "" {
		return "", "", false
	}
	return id[:n], id[n:], true
}

// maxSessionID is the longest session id that the API allows.
const maxSessionID = 96

// cutOwner is as much of an owner's name as fits into the ids of its sessions.
func cutOwner(name string) string { return name[:min(len(name), maxSessionID-sessionSuffix)] }
