package sigv4

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultSkew is how far a request's date may be from ours, as the newer front ends
// of the service have it.
const DefaultSkew = 5 * time.Minute

// Policy is what a deployment accepts.
type Policy struct {
	Now     time.Time
	Skew    time.Duration                     // zero means [DefaultSkew]
	Service string                            // signing name of the service that is called; empty accepts any
	Regions func(service, region string) bool // nil accepts any region
}

// Check judges everything about a signature that needs no key, in the order of
// api.md §2.2: date, host, algorithm, scope. A failure is an [*Error].
func (a *Auth) Check(p Policy) error {
	if err := a.checkTime(p); err != nil {
		return err
	}
	if !slices.ContainsFunc(a.SignedHeaders, isHost) {
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if a.Algorithm != Algorithm {
		return incomplete("Unsupported AWS 'algorithm': '%s' (only AWS4-HMAC-SHA256 for now). ", cut(a.Algorithm))
	}
	if a.scopeParts != 5 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", cut(a.Credential))
	}
	if p.Regions != nil && !p.Regions(a.Service, a.Region) {
		return invalid("Credential should be scoped to a valid region, not '%s'. ", cut(a.Region))
	}
	if p.Service != "" && a.Service != p.Service {
		return invalid("Credential should be scoped to correct service: '%s'. ", p.Service)
	}
	if a.terminator != terminator {
		return invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'. ", cut(a.terminator))
	}
	if day := a.Time.Format(dateForm); a.Date != day {
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			cut(a.Date), day, a.Time.Format(timeForm))
	}
	return nil
}

// checkTime holds the date against the window. A presigned URL lives as long as it
// says, and may be as far in the future as any other request.
func (a *Auth) checkTime(p Policy) error {
	skew := p.Skew
	if skew <= 0 {
		skew = DefaultSkew
	}
	life := skew
	if a.Presigned && a.Expires > 0 {
		life = a.Expires
	}
	now := p.Now.UTC().Truncate(time.Second)
	if oldest := now.Add(-life); a.Time.Before(oldest) {
		return invalid("Signature expired: %s is now earlier than %s (%s - %s)",
			a.Time.Format(timeForm), oldest.Format(timeForm), now.Format(timeForm), minutes(life))
	}
	if newest := now.Add(skew); a.Time.After(newest) {
		return invalid("Signature not yet current: %s is still later than %s (%s + %s)",
			a.Time.Format(timeForm), newest.Format(timeForm), now.Format(timeForm), minutes(skew))
	}
	return nil
}

// minutes writes a window as the service does, "5 min.", or in seconds where it has
// no whole minutes.
func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}

// isHost says whether a signed header's name is that of the host, in HTTP/1.1 or
// HTTP/2 spelling.
func isHost(name string) bool {
	return strings.EqualFold(name, "host") || name == ":authority"
}
