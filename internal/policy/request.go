package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Context holds the values of condition keys. Names are compared without regard to case, tag keys included. A
// key with no value counts as absent.
type Context map[string][]string

// Add appends a value to a key, whose name it folds.
func (c Context) Add(name, value string) {
	name = fold(name)
	c[name] = append(c[name], value)
}

// Fold returns the context with every name in the form in which it is compared. Whoever decides several pairs with
// one context saves work by folding it once. If two names fold to one, their values are joined in the order of
// the names as given.
func (c Context) Fold() Context {
	folded := true
	for name := range c {
		if fold(name) != name {
			folded = false
			break
		}
	}
	if folded {
		return c
	}
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make(Context, len(c))
	for _, name := range names {
		key := fold(name)
		if have := out[key]; have != nil {
			out[key] = append(slices.Clone(have), c[name]...)
		} else {
			out[key] = c[name]
		}
	}
	return out
}

// SourceType says where a policy hangs, in the words of the simulation API (PolicySourceType).
type SourceType string

const (
	FromUser     SourceType = "user" // inline
	FromGroup    SourceType = "group"
	FromRole     SourceType = "role"
	AWSManaged   SourceType = "aws-managed"
	UserManaged  SourceType = "user-managed"
	FromResource SourceType = "resource" // also a trust policy
	FromNowhere  SourceType = "none"     // given with the request, such as a session policy
)

// Source is a policy with the name it is known by.
type Source struct {
	Policy *Policy
	Name   string
	ARN    string // of a managed policy
	Type   SourceType
	Group  string // the group through which the principal has it
	// PrincipalIDs are the unique ids that the ARNs of users, roles and role sessions in the policy stood for when it
	// was saved. An ARN whose bearer has another id now names nobody: whoever is made under an old name is a stranger.
	// An ARN that is not there names whoever has it.
	PrincipalIDs map[string]string
}

// Request is one question: may this principal do this to that, under these policies?
type Request struct {
	Principal Principal
	Action    string // service:Name
	Resource  string // an ARN, or * for actions without resources
	// Aliases are other names of the same resource, where the service knows one thing by two. A pattern covers
	// the resource if it covers any of its names.
	Aliases []string
	// Context holds the condition keys, those of the principal included ([Principal.Context]). The keys
	// aws:CurrentTime and aws:EpochTime are taken from Now where it lacks them.
	Context Context
	// ResourceVariables are the values that variables have in Resource and NotResource, where they differ from
	// the Context's: who asks about a resource that is named after its owner knows better than the name whose it
	// is. A key without values is one that stands for nothing here; its default counts only if the Context lacks
	// the key too.
	ResourceVariables Context
	Now               time.Time

	Identity []Source // of the principal and its groups
	Boundary *Source  // nil: none is set
	Session  []Source // policies given with temporary credentials
	// SessionRequired: session policies must allow even if there is none, as for federated users.
	SessionRequired bool
	Trust           *Source // of the role to be assumed: it must allow
	ResourcePolicy  *Source // of the resource: it may allow in place of an identity policy
	// ResourceRequired: the resource's own policy must allow, whatever identity policies say, as a key's must.
	ResourceRequired bool

	// Trace asks for all matched statements and missing keys; without it the decision stops at the first deny.
	Trace bool
}

// evaluation is the state of one decision. It lives on the stack.
type evaluation struct {
	principal  *Principal
	context    Context
	action     string // folded
	mask       actionMask
	names      []resourceName
	space      [2]resourceName // for names
	now        time.Time
	time       [2][1]string      // CurrentTime and EpochTime, made when asked for
	ids        map[string]string // Source.PrincipalIDs of the policy that is looked at
	inResource Context           // replaces values in resource patterns; folded
	lastKey    string            // the key asked for last, and its values
	lastValues []string
	trace      bool
	matched    []Match
	missing    []string
}

// values returns a key's values; none if it is absent.
func (e *evaluation) values(key string) []string {
	if key != e.lastKey { // policies of one principal often test the same key
		e.lastKey, e.lastValues = key, e.find(key)
	}
	return e.lastValues
}

func (e *evaluation) find(key string) []string {
	if v := e.context[key]; len(v) > 0 {
		return v
	}
	switch key {
	case "aws:currenttime":
		if e.time[0][0] == "" && !e.now.IsZero() {
			e.time[0][0] = e.now.UTC().Format(time.RFC3339)
		}
		return present(e.time[0][:])
	case "aws:epochtime":
		if e.time[1][0] == "" && !e.now.IsZero() {
			e.time[1][0] = strconv.FormatInt(e.now.Unix(), 10)
		}
		return present(e.time[1][:])
	}
	return nil
}

func present(v []string) []string {
	if v[0] == "" {
		return nil
	}
	return v
}

// variable returns the text of a variable, in a pattern of resources or elsewhere. A key with several values has
// none, as variables stand for one.
func (e *evaluation) variable(p *piece, inResource bool) (string, bool) {
	v := e.values(p.key)
	if inResource && e.inResource != nil {
		if own, replaced := e.inResource[p.key]; replaced {
			if len(own) == 0 && len(v) > 0 {
				return "", false // the default is for those who lack the key, not for those from whom it is taken
			}
			v = own
		}
	}
	if len(v) == 1 {
		return v[0], true
	}
	return p.fallback, p.hasDefault
}

// actionMask is a small summary of action patterns: with it most statements are passed over without looking at
// them. In a request exactly one bit of each word is set.
type actionMask struct {
	whole   uint64 // patterns without wildcards: by service:name
	service uint64 // patterns with wildcards in the name: by service
}

// covers reports whether a pattern in m may match the request; it may err towards true only.
func (m actionMask) covers(request actionMask) bool {
	return m.whole&request.whole|m.service&request.service != 0
}

func (m actionMask) union(o actionMask) actionMask {
	return actionMask{m.whole | o.whole, m.service | o.service}
}

const everyService = ^uint64(0)

// requestMask is the mask of an action; it is folded.
func requestMask(action string) actionMask {
	service, _, _ := strings.Cut(action, ":")
	return actionMask{whole: hashBit(action), service: hashBit(service)}
}

// patternMask is the mask of an action pattern; it is folded.
func patternMask(text string) actionMask {
	service, name, found := strings.Cut(text, ":")
	switch {
	case !found || strings.ContainsAny(service, "*?"):
		return actionMask{service: everyService}
	case strings.ContainsAny(name, "*?"):
		return actionMask{service: hashBit(service)}
	}
	return actionMask{whole: hashBit(text)}
}

// hashBit maps a text to one of 64 bits (FNV-1a).
func hashBit(text string) uint64 {
	h := uint32(2166136261)
	for i := 0; i < len(text); i++ {
		h = (h ^ uint32(text[i])) * 16777619
	}
	h ^= h >> 16
	return 1 << (h & 63)
}
