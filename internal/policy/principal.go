package policy

import "strings"

// PrincipalType is the kind of a caller, as the key aws:PrincipalType has it where AWS has a word for it.
type PrincipalType string

const (
	Account       PrincipalType = "Account" // the account's root user, to whom no policy applies
	User          PrincipalType = "User"
	AssumedRole   PrincipalType = "AssumedRole"
	FederatedUser PrincipalType = "FederatedUser"
	Anonymous     PrincipalType = "Anonymous"
	Service       PrincipalType = "Service"     // such as ssm.amazonaws.com
	WebIdentity   PrincipalType = "WebIdentity" // somebody whom an identity provider vouches for
)

// Principal holds the facts about the caller that policies can name. It does not hold the caller's policies.
type Principal struct {
	Type       PrincipalType
	AccountID  string
	ARN        string            // as in aws:PrincipalArn: of a role session the role's ARN, with its path
	SessionARN string            // of a role session: arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	ID         string            // as in aws:userid
	UserName   string            // of a user
	Provider   string            // of a service its name; of a web identity the provider's ARN or host name
	Tags       map[string]string // of the user, or of the role overlaid with the session's
}

// Context returns the condition keys that follow from who the caller is. The map is new.
func (p *Principal) Context() Context {
	c := Context{"aws:principaltype": {string(p.Type)}, "aws:principalisawsservice": {"false"}}
	if p.Type == Service {
		c["aws:principalisawsservice"] = []string{"true"}
	}
	for key, value := range map[string]string{
		"aws:principalarn":     p.ARN,
		"aws:principalaccount": p.AccountID,
		"aws:userid":           p.ID,
		"aws:username":         p.UserName,
	} {
		if value != "" {
			c[key] = []string{value}
		}
	}
	for key, value := range p.Tags {
		c.Add("aws:PrincipalTag/"+key, value)
	}
	return c
}

// The kinds of principals in a policy.
const (
	kindAWS       = "AWS"
	kindService   = "Service"
	kindFederated = "Federated"
	kindCanonical = "CanonicalUser"
	kindEveryone  = "*"
)

// naming is how closely a policy names the caller.
type naming uint8

const (
	notNamed     naming = iota
	namedAccount        // through its account, which leaves it to identity policies to say who
	namedAll            // as everybody
	namedSelf           // as the user, role, session, service or provider that it is
)

// principalPattern is one entry of a Principal or NotPrincipal element.
type principalPattern struct {
	ref     PrincipalRef
	account string // if the entry stands for an account
}

// compilePrincipal reads an entry. Wildcards other than the lone star, and groups, are refused.
func compilePrincipal(ref PrincipalRef) (principalPattern, bool) {
	p := principalPattern{ref: ref}
	v := ref.Value
	switch ref.Kind {
	case kindEveryone:
		return p, v == "*"
	case kindService, kindFederated, kindCanonical:
		return p, v != "" && !strings.ContainsAny(v, "*?")
	case kindAWS:
	default:
		return p, false
	}
	switch {
	case v == "*":
		p.ref.Kind = kindAWS
		return p, true
	case isAccountID(v):
		p.account = v
		return p, true
	case isUniqueID(v):
		return p, true
	}
	n := splitName(v)
	if !n.ok || n.part[1] != "aws" || n.part[3] != "" || !isAccountID(n.part[4]) || strings.ContainsAny(v, "*?") {
		return p, false
	}
	kind, name, _ := strings.Cut(n.part[5], "/")
	switch {
	case n.part[2] == "iam" && n.part[5] == "root":
		p.account = n.part[4]
		return p, true
	case n.part[2] == "iam" && (kind == "user" || kind == "role"),
		n.part[2] == "sts" && (kind == "assumed-role" || kind == "federated-user"):
		return p, name != ""
	}
	return p, false
}

// isAccountID reports whether text is an account number: 12 digits.
func isAccountID(text string) bool { return len(text) == 12 && allDigits(text) }

// isUniqueID reports whether text is the id of a user or role: AIDA or AROA and 17 more characters.
func isUniqueID(text string) bool {
	if len(text) != 21 || !strings.HasPrefix(text, "AIDA") && !strings.HasPrefix(text, "AROA") {
		return false
	}
	for _, c := range text {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// names reports how the entry names the caller; ids are [Source.PrincipalIDs].
func (p *principalPattern) names(c *Principal, ids map[string]string) naming {
	v := p.ref.Value
	switch p.ref.Kind {
	case kindEveryone:
		return namedAll
	case kindService:
		return selfIf(c.Type == Service && v == c.Provider)
	case kindFederated:
		return selfIf(c.Type == WebIdentity && v == c.Provider)
	case kindCanonical:
		return notNamed
	}
	switch {
	case v == "*":
		return namedAll
	case c.Type == Service, c.Type == WebIdentity, c.Type == Anonymous:
		return notNamed
	case p.account != "":
		if p.account == c.AccountID {
			return namedAccount
		}
		return notNamed
	}
	id, _, _ := strings.Cut(c.ID, ":") // of a role session: the role's id before the session's name
	if isUniqueID(v) {
		return selfIf(v == id)
	}
	if was, bound := ids[v]; bound && was != id {
		return notNamed
	}
	return selfIf(v == c.ARN || c.SessionARN != "" && v == c.SessionARN)
}

func selfIf(named bool) naming {
	if named {
		return namedSelf
	}
	return notNamed
}

// names returns how closely the statement names the caller; NotPrincipal names everybody whom it does not list.
func (s *Statement) names(c *Principal, ids map[string]string) naming {
	best := notNamed
	for i := range s.principal {
		best = max(best, s.principal[i].names(c, ids))
	}
	if !s.notPrin {
		return best
	}
	if best == notNamed {
		return namedAll
	}
	return notNamed
}
