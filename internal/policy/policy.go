// Package policy is the IAM JSON policy language: it reads policies as strictly as IAM does, prints them, and
// decides whether a set of them allows a request.
//
// It is pure: no clock, no store, no network. A [Policy] never changes after [Parse], so one parsed policy
// may serve any number of decisions at once. [Evaluate] says not only yes or no but which statement of which
// policy decided, and [Explain] puts a refusal into the words that AWS uses. Nothing that Parse accepts makes
// Evaluate panic, and the work of a decision is bounded by the length of the policies times the length of the
// request's texts.
//
// The package auth gathers policies and facts and calls Evaluate; control calls Parse when a policy is saved.
// The rules are those of the IAM user guide ("IAM JSON policy elements", "Policy evaluation logic") with
// observations of the service where the guide is silent.
package policy

// Kind is the use a policy is put to; it selects which elements it must and must not have.
type Kind int

const (
	// Managed is a policy with a name and versions of its own, also when it serves as permissions boundary.
	// IAM accepts it only in Version 2012-10-17.
	Managed Kind = iota + 1
	// Inline is a policy written into one user, group or role.
	Inline
	// Session narrows the temporary credentials it was given with.
	Session
	// Trust says who may assume a role: it has principals and no resources.
	Trust
	// Resource is attached to a thing, such as a bucket: it has both principals and resources.
	Resource
)

func (k Kind) String() string {
	switch k {
	case Managed:
		return "managed policy"
	case Inline:
		return "inline policy"
	case Session:
		return "session policy"
	case Trust:
		return "trust policy"
	case Resource:
		return "resource-based policy"
	}
	return "policy of unknown kind"
}

// Quotas in characters without white space (IAM quotas page; those for inline policies count all policies of
// one owner together). They are the service's to enforce: the error code depends on the operation.
const (
	QuotaManaged     = 6144
	QuotaUserInline  = 2048
	QuotaGroupInline = 5120
	QuotaRoleInline  = 10240
	QuotaTrust       = 2048
	QuotaSession     = 2048
)

// Versions of the language. A policy that states none is of the older one, which has no variables.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Effect is what a statement does to a request it matches.
type Effect int

const (
	Allow Effect = iota + 1
	Deny
)

func (e Effect) String() string {
	if e == Deny {
		return "Deny"
	}
	return "Allow"
}

// Position is a place in a policy's text. Both numbers begin at 1; the column counts characters.
type Position struct{ Line, Column int }

// Policy is one policy, read and compiled. It is immutable.
type Policy struct {
	// What a decision looks at stands first, here and in Statement: with many policies, reading memory is the cost.
	actions    actionMask // of all statements
	statements []Statement

	kind    Kind
	version string // as written; empty if absent
	id      string
	hasID   bool
	size    int
}

// Kind returns what the policy was parsed as.
func (p *Policy) Kind() Kind { return p.kind }

// Version returns the version of the language that the policy is in; [Version2008] if it states none.
func (p *Policy) Version() string {
	if p.version == "" {
		return Version2008
	}
	return p.version
}

// ID returns the policy's Id element.
func (p *Policy) ID() string { return p.id }

// Size returns the length of the text it was parsed from in characters without white space, as the quotas count.
func (p *Policy) Size() int { return p.size }

// Statements returns the policy's statements in the order of the text. The slice must not be changed.
func (p *Policy) Statements() []Statement { return p.statements }

// Statement is one statement of a policy.
type Statement struct {
	actions   actionMask
	effect    Effect
	notAction bool
	notRes    bool
	notPrin   bool
	hasRes    bool // trust policies have no resources: they match every one
	hasPrin   bool
	action    []pattern // lower case
	resource  []resourcePattern
	tests     []test
	principal []principalPattern

	sid        string
	hasSid     bool
	index      int
	start, end Position
	actionText []string
}

// Sid returns the statement's id; it may be empty.
func (s *Statement) Sid() string { return s.sid }

// Effect returns Allow or Deny.
func (s *Statement) Effect() Effect { return s.effect }

// Index returns the statement's number in its policy; the first is 1.
func (s *Statement) Index() int { return s.index }

// Start returns the place of the statement's opening brace in the text.
func (s *Statement) Start() Position { return s.start }

// End returns the place behind the statement's closing brace.
func (s *Statement) End() Position { return s.end }

// Actions returns the patterns of Action, or of NotAction, as written.
func (s *Statement) Actions() (patterns []string, not bool) { return s.actionText, s.notAction }

// HasConditionKey reports whether a condition of the statement tests the key, under any operator.
func (s *Statement) HasConditionKey(name string) bool {
	name = fold(name)
	for i := range s.tests {
		if s.tests[i].key == name {
			return true
		}
	}
	return false
}

// ContextKeys returns the names of all keys that the policy's conditions and variables refer to, each once, in
// the order and the case of the text.
func (p *Policy) ContextKeys() []string {
	var names []string
	seen := map[string]bool{}
	add := func(name, key string) {
		if !seen[key] {
			seen[key] = true
			names = append(names, name)
		}
	}
	for i := range p.statements {
		s := &p.statements[i]
		for j := range s.resource {
			for _, v := range s.resource[j].rest.pieces {
				if v.kind == variable {
					add(v.text, v.key)
				}
			}
		}
		for j := range s.tests {
			add(s.tests[j].name, s.tests[j].key)
			s.tests[j].eachVariable(func(v *piece) { add(v.text, v.key) })
		}
	}
	return names
}

// PrincipalRef is one name in a Principal or NotPrincipal element.
type PrincipalRef struct {
	Kind  string // AWS, Service, Federated, CanonicalUser; "*" for the bare star
	Value string
}

// Principals returns everybody whom the policy names, in order, so that a caller can refuse names that do not exist.
func (p *Policy) Principals() []PrincipalRef {
	var refs []PrincipalRef
	for i := range p.statements {
		for _, pp := range p.statements[i].principal {
			refs = append(refs, pp.ref)
		}
	}
	return refs
}
