package control

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// nodeTest says whether a node belongs to an answer.
type nodeTest func(store.Node) bool

// nodesThat gives a page of the nodes of a filter that pass all tests.
func (s *Server) nodesThat(ctx context.Context, f store.NodeFilter, tests []nodeTest, p store.Page) ([]store.Node, string, error) {
	if len(tests) == 0 {
		return s.cfg.Store.Nodes(ctx, f, p)
	}
	var found []store.Node
	for after := p.After; ; {
		list, next, err := s.cfg.Store.Nodes(ctx, f, store.Page{After: after, Limit: 1000})
		if err != nil {
			return nil, "", err
		}
		for _, n := range list {
			if slices.ContainsFunc(tests, func(test nodeTest) bool { return !test(n) }) {
				continue
			}
			if len(found) == p.Limit {
				return found, found[len(found)-1].ID, nil
			}
			found = append(found, n)
		}
		if next == "" {
			return found, "", nil
		}
		after = next
	}
}

// propertyValue gives what a node has of what the operators compare, by filter key.
var propertyValue = map[string]func(store.Node, time.Time) string{
	"InstanceIds":     func(n store.Node, _ time.Time) string { return n.ID },
	"AgentVersion":    func(n store.Node, _ time.Time) string { return n.AgentVersion },
	"PingStatus":      pingStatus,
	"PlatformTypes":   func(n store.Node, _ time.Time) string { return n.PlatformType },
	"PlatformName":    func(n store.Node, _ time.Time) string { return n.PlatformName },
	"PlatformVersion": func(n store.Node, _ time.Time) string { return n.PlatformVersion },
	"ActivationIds":   func(n store.Node, _ time.Time) string { return n.ActivationID },
	"IamRole":         func(n store.Node, _ time.Time) string { return n.IamRole },
	"ResourceType":    func(store.Node, time.Time) string { return "ManagedInstance" },
	"ComputerName":    func(n store.Node, _ time.Time) string { return n.ComputerName },
	"IPAddress":       func(n store.Node, _ time.Time) string { return n.IPAddress },
	"Name":            func(n store.Node, _ time.Time) string { return n.Name },
}

// propertyTest is the test of a filter with an operator.
func propertyTest(f ssm.InstancePropertyStringFilter, now time.Time) (nodeTest, error) {
	tag, isTag := strings.CutPrefix(f.Key, "tag:")
	value, known := propertyValue[f.Key]
	if isTag && tag != "" {
		value, known = func(n store.Node, _ time.Time) string {
			for _, t := range n.Tags {
				if t.Key == tag {
					return t.Value
				}
			}
			return ""
		}, true
	}
	if !known {
		return nil, ssm.Errorf(ssm.CodeInvalidFilterKey, "")
	}
	ordered := f.Operator == "LessThan" || f.Operator == "GreaterThan"
	if ordered && f.Key != "AgentVersion" && f.Key != "PlatformVersion" {
		return nil, ssm.Errorf(codeInvalidPropertyFilter, "The operator %s isn't supported for the filter %s.", f.Operator, f.Key)
	}
	return func(n store.Node) bool { return passes(f.Operator, value(n, now), f.Values) }, nil
}

// passes compares what a node has with the values of a filter, of which one is enough;
// for NotEqual it must be none of them. What is unknown is neither less nor greater.
func passes(operator, has string, values []string) bool {
	for _, v := range values {
		var hit bool
		switch operator {
		case "BeginWith":
			hit = strings.HasPrefix(has, v)
		case "LessThan":
			hit = has != "" && compareVersions(has, v) < 0
		case "GreaterThan":
			hit = has != "" && compareVersions(has, v) > 0
		default:
			hit = has == v
		}
		if hit {
			return operator != "NotEqual"
		}
	}
	return operator == "NotEqual"
}

// compareVersions compares versions part by part: 3.10 is after 3.9. Parts that are no
// numbers are compared as text.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, errM := strconv.Atoi(cmp.Or(x, "0")) // 3.1 is 3.1.0
		n, errN := strconv.Atoi(cmp.Or(y, "0"))
		switch {
		case errM == nil && errN == nil && m != n:
			return cmp.Compare(m, n)
		case (errM != nil || errN != nil) && x != y:
			return strings.Compare(x, y)
		}
	}
	return 0
}
