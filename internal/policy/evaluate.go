package policy

import "slices"

// Outcome is a decision in the words of the simulation API.
type Outcome string

const (
	Allowed      Outcome = "allowed"
	ExplicitDeny Outcome = "explicitDeny"
	ImplicitDeny Outcome = "implicitDeny"
)

// Layer is the role in which a policy took part in a decision.
type Layer int

const (
	LayerIdentity Layer = iota + 1
	LayerBoundary
	LayerSession
	LayerTrust
	LayerResource
)

// Reason says which rule decided.
type Reason int

const (
	AllowedByPolicy Reason = iota + 1
	AllowedAsRoot          // policies do not apply to the account's root
	DeniedByIdentity
	DeniedByBoundary
	DeniedBySession
	DeniedByTrust
	DeniedByResource
	NoIdentityAllows
	NoBoundaryAllows
	NoSessionAllows
	NoTrustAllows
	NoResourceAllows
)

// Match is a statement that covers the request, and where it stands.
type Match struct {
	Layer     Layer
	Source    *Source
	Statement *Statement
	as        naming // how it names the principal, if it names principals
}

// Decision is the answer to a [Request].
type Decision struct {
	Allowed bool
	Outcome Outcome
	Reason  Reason
	// Deciding is the statement that decided: the one that denies, else the first identity statement that allows,
	// else the trust or resource-based one that does. It is empty if nothing matched or root asked.
	Deciding Match
	// Matched and MissingContext are filled only if the request asks for a trace: all statements that cover the
	// request, and the keys that statements for this action and resource refer to but the context lacks.
	Matched        []Match
	MissingContext []string
	// Which layers have a statement that allows; after a deny without trace, those seen so far.
	IdentityAllows, BoundaryAllows, SessionAllows, TrustAllows, ResourceAllows bool
}

// Evaluate decides a request: an explicit deny anywhere wins; then permissions boundary, session policies and
// trust policy must allow as far as they are set, and an identity policy too, unless the role's or the
// resource's own policy names the very principal; otherwise the answer is no.
func Evaluate(r Request) Decision {
	if r.Principal.Type == Account {
		return Decision{Allowed: true, Outcome: Allowed, Reason: AllowedAsRoot}
	}
	e := evaluation{
		principal: &r.Principal,
		context:   r.Context.Fold(),
		action:    fold(r.Action),
		now:       r.Now,
		trace:     r.Trace,
	}
	if r.ResourceVariables != nil {
		e.inResource = r.ResourceVariables.Fold()
	}
	e.mask = requestMask(e.action)
	e.names = append(e.space[:0], splitName(r.Resource))
	for _, alias := range r.Aliases {
		e.names = append(e.names, splitName(alias))
	}
	var d Decision
	var boundary, trust, resource verdict
	identity := e.all(LayerIdentity, r.Identity)
	if d.deny(DeniedByIdentity, identity, &e) {
		return d
	}
	if r.Boundary != nil {
		e.source(LayerBoundary, r.Boundary, &boundary)
		if d.deny(DeniedByBoundary, boundary, &e) {
			return d
		}
	}
	session := e.all(LayerSession, r.Session)
	if d.deny(DeniedBySession, session, &e) {
		return d
	}
	if r.Trust != nil {
		e.source(LayerTrust, r.Trust, &trust)
		if d.deny(DeniedByTrust, trust, &e) {
			return d
		}
	}
	if r.ResourcePolicy != nil {
		e.source(LayerResource, r.ResourcePolicy, &resource)
		if d.deny(DeniedByResource, resource, &e) {
			return d
		}
	}
	d.IdentityAllows, d.BoundaryAllows, d.SessionAllows = identity.allows(), boundary.allows(), session.allows()
	d.TrustAllows, d.ResourceAllows = trust.allows(), resource.allows()
	d.Matched, d.MissingContext = e.matched, e.missing
	if d.Outcome == ExplicitDeny { // with a trace: found, and the rest looked at
		return d
	}
	waived := trust.allow.as == namedSelf || resource.allow.as >= namedAll ||
		trust.allows() && (r.Principal.Type == Service || r.Principal.Type == WebIdentity)
	d.Outcome = ImplicitDeny
	switch {
	case r.Trust != nil && !trust.allows():
		d.Reason = NoTrustAllows
	case !identity.allows() && !waived:
		d.Reason = NoIdentityAllows
	case r.Boundary != nil && !boundary.allows():
		d.Reason = NoBoundaryAllows
	case (len(r.Session) > 0 || r.SessionRequired) && !session.allows():
		d.Reason = NoSessionAllows
	case r.ResourceRequired && !resource.allows():
		d.Reason = NoResourceAllows
	default:
		d.Allowed, d.Outcome, d.Reason = true, Allowed, AllowedByPolicy
		d.Deciding = identity.allow
		if !identity.allows() {
			d.Deciding = trust.allow
		}
		if d.Deciding.Statement == nil {
			d.Deciding = resource.allow
		}
	}
	return d
}

// deny records an explicit deny and reports whether the decision is complete with it.
func (d *Decision) deny(reason Reason, v verdict, e *evaluation) bool {
	if v.deny.Statement == nil {
		return false
	}
	if d.Outcome == "" {
		d.Outcome, d.Reason, d.Deciding = ExplicitDeny, reason, v.deny
	}
	return !e.trace
}

// verdict is what one layer says: the statements that count in it.
type verdict struct{ allow, deny Match }

func (v *verdict) allows() bool { return v.allow.Statement != nil }

func (e *evaluation) all(layer Layer, sources []Source) (v verdict) {
	for i := range sources {
		if p := sources[i].Policy; p != nil && !p.actions.covers(e.mask) {
			continue
		}
		if e.source(layer, &sources[i], &v) {
			break
		}
	}
	return v
}

// source adds one policy to the verdict and reports whether nothing more need be looked at.
func (e *evaluation) source(layer Layer, src *Source, v *verdict) (done bool) {
	if src.Policy == nil {
		return false
	}
	e.ids = src.PrincipalIDs
	statements := src.Policy.statements
	for i := range statements {
		s := &statements[i]
		if !s.actions.covers(e.mask) {
			continue
		}
		as, ok := e.covers(s)
		if !ok {
			continue
		}
		m := Match{Layer: layer, Source: src, Statement: s, as: as}
		if e.trace {
			e.matched = append(e.matched, m)
		}
		if s.effect == Deny {
			if v.deny.Statement == nil {
				v.deny = m
			}
			if !e.trace {
				return true
			}
			continue
		}
		if v.allow.Statement == nil || m.as > v.allow.as {
			v.allow = m
		}
	}
	return false
}

// covers reports whether a statement covers the request, and how closely it names the principal.
func (e *evaluation) covers(s *Statement) (as naming, ok bool) {
	if !e.coversAction(s) {
		return notNamed, false
	}
	if s.hasPrin {
		if as = s.names(e.principal, e.ids); as == notNamed {
			return notNamed, false
		}
	}
	if e.trace {
		e.noteResourceKeys(s)
	}
	if s.hasRes && !e.coversResource(s) {
		return notNamed, false
	}
	if e.trace {
		e.noteConditionKeys(s)
	}
	for i := range s.tests {
		if !s.tests[i].holds(e, s.effect) {
			return notNamed, false
		}
	}
	return as, true
}

func (e *evaluation) coversAction(s *Statement) bool {
	for i := range s.action {
		if s.action[i].match(e, e.action) {
			return !s.notAction
		}
	}
	return s.notAction
}

func (e *evaluation) coversResource(s *Statement) bool {
	for i := range s.resource {
		p := &s.resource[i]
		// As with negated operators: a variable that stands for nothing must not widen what NotResource allows.
		if s.notRes && s.effect == Allow && !p.rest.resolved(e, true) {
			return false
		}
		for j := range e.names {
			if p.match(e, &e.names[j]) {
				if !s.notRes {
					return true
				}
				// NotResource: one name that is listed suffices, but the remaining patterns may still hold
				// an unresolved variable; the answer is the same.
				return false
			}
		}
	}
	return s.notRes
}

// noteResourceKeys adds the absent keys of variables in a statement's resources.
func (e *evaluation) noteResourceKeys(s *Statement) {
	for i := range s.resource {
		for j := range s.resource[i].rest.pieces {
			if v := &s.resource[i].rest.pieces[j]; len(e.inResource[v.key]) == 0 {
				e.noteVariable(v)
			}
		}
	}
}

// noteConditionKeys adds the absent keys of a statement's conditions.
func (e *evaluation) noteConditionKeys(s *Statement) {
	for i := range s.tests {
		e.note(s.tests[i].name, s.tests[i].key)
		s.tests[i].eachVariable(e.noteVariable)
	}
}

func (e *evaluation) noteVariable(p *piece) {
	if p.kind == variable && !p.hasDefault {
		e.note(p.text, p.key)
	}
}

func (e *evaluation) note(name, key string) {
	if len(e.values(key)) == 0 && !slices.ContainsFunc(e.missing, func(m string) bool { return fold(m) == key }) {
		e.missing = append(e.missing, name)
	}
}
