package iam

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/store"
)

// SimulatePrincipalPolicyInput is the request of iam:SimulatePrincipalPolicy.
type SimulatePrincipalPolicyInput struct {
	PolicySourceARN                    string   `json:"PolicySourceArn" constraint:"required len=20..2048"`
	PolicyInputList                    []string `constraint:"pattern=IAMPolicyDocument"`
	PermissionsBoundaryPolicyInputList []string `constraint:"pattern=IAMPolicyDocument"`
	ActionNames                        []string `constraint:"required"`
	ResourceARNs                       []string `json:"ResourceArns"`
	ResourcePolicy                     string   `constraint:"len=1..131072 pattern=IAMPolicyDocument"`
	ResourceOwner                      string   `constraint:"len=1..2048"`
	CallerARN                          string   `json:"CallerArn" constraint:"len=1..2048"`
	ContextEntries                     []ContextEntry
	ResourceHandlingOption             string `constraint:"len=1..64"`
	MaxItems                           *int   `constraint:"range=1..1000"`
	Marker                             string `constraint:"len=1.."`
}

// SimulateCustomPolicyInput is the request of iam:SimulateCustomPolicy.
type SimulateCustomPolicyInput struct {
	PolicyInputList                    []string `constraint:"required pattern=IAMPolicyDocument"`
	PermissionsBoundaryPolicyInputList []string `constraint:"pattern=IAMPolicyDocument"`
	ActionNames                        []string `constraint:"required"`
	ResourceARNs                       []string `json:"ResourceArns"`
	ResourcePolicy                     string   `constraint:"len=1..131072 pattern=IAMPolicyDocument"`
	ResourceOwner                      string   `constraint:"len=1..2048"`
	CallerARN                          string   `json:"CallerArn" constraint:"len=1..2048"`
	ContextEntries                     []ContextEntry
	ResourceHandlingOption             string `constraint:"len=1..64"`
	MaxItems                           *int   `constraint:"range=1..1000"`
	Marker                             string `constraint:"len=1.."`
}

// ContextEntry is a condition key with its values. The types are for clients: here, what
// an operator compares is text until the operator reads it.
type ContextEntry struct {
	ContextKeyName   string `constraint:"len=5..256"`
	ContextKeyValues []string
	ContextKeyType   string `constraint:"enum=IAMContextKeyType"`
}

// SimulatePolicyOutput is the answer of both simulations.
type SimulatePolicyOutput struct {
	EvaluationResults []EvaluationResult
	IsTruncated       bool
	Marker            string `json:",omitempty"`
}

// EvaluationResult is the decision on one action and one resource.
type EvaluationResult struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MatchedStatements                 []Statement
	MissingContextValues              []string
	PermissionsBoundaryDecisionDetail *PermissionsBoundaryDecisionDetail
	EvalDecisionDetails               map[string]string        `json:",omitempty"`
	ResourceSpecificResults           []ResourceSpecificResult `json:",omitempty"`
}

// ResourceSpecificResult repeats the decision under the name of the resource, if the
// request names resources.
type ResourceSpecificResult struct {
	EvalResourceName                  string
	EvalResourceDecision              string
	MatchedStatements                 []Statement
	MissingContextValues              []string
	EvalDecisionDetails               map[string]string `json:",omitempty"`
	PermissionsBoundaryDecisionDetail *PermissionsBoundaryDecisionDetail
}

// PermissionsBoundaryDecisionDetail is what the boundary has to say.
type PermissionsBoundaryDecisionDetail struct{ AllowedByPermissionsBoundary bool }

// Statement is where a statement stands that matched.
type Statement struct {
	SourcePolicyID   string `json:"SourcePolicyId"`
	SourcePolicyType string
	StartPosition    Position
	EndPosition      Position
}

// Position is a place in the text of a policy. Both numbers begin at 1.
type Position struct{ Line, Column int }

// SimulatePrincipalPolicy decides what a user, a group or a role may do, by the same rules
// as everywhere. It knows only the context that the request gives and what follows from
// the principal itself.
func (s *Server) SimulatePrincipalPolicy(ctx context.Context, in *SimulatePrincipalPolicyInput) (*SimulatePolicyOutput, error) {
	const action = "iam:SimulatePrincipalPolicy"
	e, err := s.source(ctx, action, in.PolicySourceARN)
	if err != nil {
		return nil, err
	}
	sim := simulation{Server: s, operation: action, input: SimulateCustomPolicyInput{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceARNs, in.ResourcePolicy,
		in.ResourceOwner, in.CallerARN, in.ContextEntries, in.ResourceHandlingOption, in.MaxItems, in.Marker}, source: in.PolicySourceARN}
	sim.request.Identity, sim.request.Boundary, sim.request.Principal, err = s.cfg.Auth.Sources(ctx, e)
	if err != nil {
		return nil, failed(err, string(e.Type), e.Name)
	}
	sim.owner = e.Name
	if in.ResourcePolicy != "" && in.CallerARN == "" && e.Type != store.EntityUser {
		return nil, fault(codeInvalidInput, "CallerArn must name a user if ResourcePolicy is given and PolicySourceArn does not.")
	}
	return sim.run(ctx)
}

// SimulateCustomPolicy decides what policies in the request amount to.
func (s *Server) SimulateCustomPolicy(ctx context.Context, in *SimulateCustomPolicyInput) (*SimulatePolicyOutput, error) {
	const action = "iam:SimulateCustomPolicy"
	if err := s.authorize(ctx, action, everything); err != nil {
		return nil, err
	}
	if in.ResourcePolicy != "" && in.CallerARN == "" {
		return nil, fault(codeInvalidInput, "CallerArn is required if ResourcePolicy is given.")
	}
	sim := simulation{Server: s, operation: action, input: *in}
	sim.request.Principal.AccountID = s.cfg.ARNs.Account
	return sim.run(ctx)
}

// sourceARN is the ARN of a user, group or role of the account.
var sourceARN = regexp.MustCompile(`^arn:aws:iam::(\d{12}):(user|group|role)(/(?:[!-.0-~]+/)*)([\w+=,.@-]+)$`)

// source finds the entity whose policies are asked about, and asks for action on it.
func (s *Server) source(ctx context.Context, action, arn string) (store.Entity, error) {
	parts := sourceARN.FindStringSubmatch(arn)
	if parts == nil || parts[1] != s.cfg.ARNs.Account {
		if err := s.authorize(ctx, action, arn); err != nil {
			return store.Entity{}, err
		}
		return store.Entity{}, fault(codeInvalidInput, "Invalid Entity Arn: %s does not clearly define entity type and name.", arn)
	}
	e := store.Entity{Type: store.EntityType(parts[2]), Name: parts[4]}
	found, err := s.subjectOf(ctx, e)
	if err != nil && !isNotFound(err) {
		return e, err
	}
	if err == nil && orSlash(found.path) != parts[3] { // another one's name, under this path nobody's
		found, err = subject{Entity: e}, store.ErrNotFound
	}
	if denied := s.authorize(ctx, action, arn, resourceTagKeys(found.tags)); denied != nil {
		return e, denied
	}
	return e, failed(err, string(e.Type), e.Name)
}

// simulation is one request to a simulator.
type simulation struct {
	*Server
	operation string
	source    string // PolicySourceArn
	owner     string // name of the entity that it names
	input     SimulateCustomPolicyInput
	request   policy.Request
	size      int // characters of all policies
	longest   int // of the texts that policies are held against, in bytes
}

const (
	// simulationWork bounds the work of one page, in characters of policies times
	// characters of the longest text that is held against them. A page may be shorter
	// than it was asked to be.
	simulationWork = 1 << 30

	maxActionName   = 128
	maxResourceName = 2048
	maxContextValue = 4096
)

func (sim *simulation) run(ctx context.Context) (*SimulatePolicyOutput, error) {
	if err := sim.prepare(); err != nil {
		return nil, err
	}
	in := &sim.input
	if len(in.ActionNames) == 0 {
		return nil, validation("1 validation error detected: Value '[]' at 'actionNames' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	resources := in.ResourceARNs
	if len(resources) == 0 {
		resources = []string{everything}
	}
	for _, action := range in.ActionNames {
		if service, name, ok := strings.Cut(action, ":"); !ok || service == "" || name == "" || strings.Contains(name, ":") {
			return nil, fault(codeInvalidInput, "Invalid Action Name: %s", action)
		}
		if err := sim.text("actionNames", action, maxActionName); err != nil {
			return nil, err
		}
	}
	for _, resource := range resources {
		if resource != everything && (!strings.HasPrefix(resource, "arn:") || strings.Count(resource, ":") < 5) {
			return nil, fault(codeInvalidInput, "Invalid Resource ARN: %s", resource)
		}
		if err := sim.text("resourceArns", resource, maxResourceName); err != nil {
			return nil, err
		}
	}
	bound := *in
	bound.Marker, bound.MaxItems = "", nil
	parameters := []any{sim.source, bound}
	page, err := sim.page(sim.operation, parameters, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	first, _ := strconv.Atoi(page.After) // MACed, so a number or empty
	total := len(in.ActionNames) * len(resources)
	last := min(total, first+page.Limit, first+max(1, simulationWork/((sim.size+1)*(sim.longest+1))))
	out := &SimulatePolicyOutput{EvaluationResults: make([]EvaluationResult, 0, max(0, last-first)), IsTruncated: last < total}
	for i := first; i < last; i++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		out.EvaluationResults = append(out.EvaluationResults, sim.decide(in.ActionNames[i/len(resources)], resources[i%len(resources)]))
	}
	if out.IsTruncated {
		out.Marker, err = sim.marker(sim.operation, parameters, strconv.Itoa(last))
	}
	return out, err
}

// text refuses a text that is too long: the work of a decision grows with it.
func (sim *simulation) text(member, text string, most int) error {
	sim.longest = max(sim.longest, len(text))
	return checkLengths(member, []string{text}, most)
}

// prepare reads the policies and the context of the request.
func (sim *simulation) prepare() error {
	in, r := &sim.input, &sim.request
	r.Trace, r.Now = true, sim.cfg.Now()
	given, err := inputPolicies("PolicyInputList", in.PolicyInputList)
	if err != nil {
		return err
	}
	r.Identity = append(append([]policy.Source{}, r.Identity...), given...)
	bounds, err := inputPolicies("PermissionsBoundaryPolicyInputList", in.PermissionsBoundaryPolicyInputList)
	if err != nil {
		return err
	}
	switch {
	case len(bounds) > 1:
		return fault(codeInvalidInput, "PermissionsBoundaryPolicyInputList must have one policy.")
	case len(bounds) == 1:
		r.Boundary = &bounds[0]
	}
	if in.ResourcePolicy != "" {
		p, err := policy.Parse([]byte(in.ResourcePolicy), policy.Resource)
		if err != nil {
			return malformed(err, codeInvalidInput)
		}
		r.ResourcePolicy = &policy.Source{Policy: p, Name: "ResourcePolicy", Type: policy.FromResource}
	}
	if in.CallerARN != "" {
		parts := sourceARN.FindStringSubmatch(in.CallerARN)
		if parts == nil || parts[2] != "user" {
			return fault(codeInvalidInput, "Invalid caller ARN: %s must be the ARN of a user.", in.CallerARN)
		}
		if in.CallerARN != r.Principal.ARN {
			r.Principal = policy.Principal{Type: policy.User, AccountID: parts[1], ARN: in.CallerARN, UserName: parts[4]}
		}
	}
	for _, entry := range in.ContextEntries {
		for _, value := range entry.ContextKeyValues {
			if err := sim.text("contextKeyValues", value, maxContextValue); err != nil {
				return err
			}
		}
	}
	r.Context = sim.context()
	for _, source := range r.Identity {
		sim.size += source.Policy.Size()
	}
	if r.Boundary != nil {
		sim.size += r.Boundary.Policy.Size()
	}
	if r.ResourcePolicy != nil {
		sim.size += r.ResourcePolicy.Policy.Size()
	}
	return nil
}

// context gives the keys that follow from the principal, if there is one, and over them
// those of the request.
func (sim *simulation) context() policy.Context {
	all := policy.Context{}
	if sim.request.Principal.Type != "" {
		all = sim.request.Principal.Context().Fold()
	}
	given := policy.Context{}
	for _, entry := range sim.input.ContextEntries {
		for _, value := range entry.ContextKeyValues {
			given.Add(entry.ContextKeyName, value)
		}
	}
	for name, values := range given {
		all[name] = values
	}
	return all
}

// inputPolicies reads the policies of a list in the request.
func inputPolicies(list string, texts []string) ([]policy.Source, error) {
	sources := make([]policy.Source, 0, len(texts))
	for i, text := range texts {
		p, err := policy.Parse([]byte(text), policy.Inline)
		if err != nil {
			return nil, malformed(err, codeInvalidInput)
		}
		sources = append(sources, policy.Source{Policy: p, Name: list + "." + strconv.Itoa(i+1), Type: policy.FromNowhere})
	}
	return sources, nil
}

// decide answers for one action and one resource.
func (sim *simulation) decide(action, resource string) EvaluationResult {
	r := sim.request
	r.Action, r.Resource = action, resource
	d := policy.Evaluate(r)
	result := EvaluationResult{
		EvalActionName:       action,
		EvalResourceName:     resource,
		EvalDecision:         string(d.Outcome),
		MatchedStatements:    make([]Statement, 0, len(d.Matched)),
		MissingContextValues: append([]string{}, d.MissingContext...),
	}
	denies := false // the boundary does
	for _, m := range d.Matched {
		result.MatchedStatements = append(result.MatchedStatements, Statement{
			SourcePolicyID:   sim.sourceID(m.Source),
			SourcePolicyType: string(m.Source.Type),
			StartPosition:    Position(m.Statement.Start()),
			EndPosition:      Position(m.Statement.End()),
		})
		denies = denies || m.Layer == policy.LayerBoundary && m.Statement.Effect() == policy.Deny
	}
	if r.Boundary != nil {
		result.PermissionsBoundaryDecisionDetail = &PermissionsBoundaryDecisionDetail{d.BoundaryAllows && !denies}
	}
	if len(sim.input.ResourceARNs) > 0 {
		result.ResourceSpecificResults = []ResourceSpecificResult{{
			EvalResourceName:                  resource,
			EvalResourceDecision:              result.EvalDecision,
			MatchedStatements:                 result.MatchedStatements,
			MissingContextValues:              result.MissingContextValues,
			PermissionsBoundaryDecisionDetail: result.PermissionsBoundaryDecisionDetail,
		}}
	}
	return result
}

// sourceID is the name of a policy as answers have it. Names of inline policies are unique
// within their owner only, so they have the owner in front.
func (sim *simulation) sourceID(source *policy.Source) string {
	switch source.Type {
	case policy.FromUser, policy.FromRole:
		return string(source.Type) + "_" + sim.owner + "_" + source.Name
	case policy.FromGroup:
		group := source.Group
		if group == "" { // asked about the group itself
			group = sim.owner
		}
		return "group_" + group + "_" + source.Name
	}
	return source.Name
}
