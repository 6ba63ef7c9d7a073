package policy

import "strings"

// Explain puts a refusal into the words of AWS. An empty principal is an anonymous one. It returns the empty
// text for a decision that allows.
func Explain(d Decision, principalARN, action, resource string) string {
	if d.Allowed {
		return ""
	}
	if principalARN == "" {
		principalARN = "anonymous"
	}
	var b strings.Builder
	b.WriteString("User: " + principalARN + " is not authorized to perform: " + action + " on resource: " + resource)
	switch d.Reason {
	case DeniedByIdentity:
		b.WriteString(" with an explicit deny in an identity-based policy")
	case DeniedByBoundary:
		b.WriteString(" with an explicit deny in a permissions boundary")
	case DeniedBySession:
		b.WriteString(" with an explicit deny in a session policy")
	case DeniedByResource:
		b.WriteString(" with an explicit deny in a resource-based policy")
	case NoBoundaryAllows:
		b.WriteString(" because no permissions boundary allows the " + action + " action")
	case NoSessionAllows:
		b.WriteString(" because no session policy allows the " + action + " action")
	case NoResourceAllows:
		b.WriteString(" because no resource-based policy allows the " + action + " action")
	case NoTrustAllows, DeniedByTrust: // AWS does not say more about a role's trust policy
	default:
		b.WriteString(" because no identity-based policy allows the " + action + " action")
	}
	return b.String()
}
