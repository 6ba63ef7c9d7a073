package sts

import (
	"cmp"
	"context"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	defaultRoleSession = time.Hour
	// maxChained is how long a role session lasts that another role session began.
	maxChained = time.Hour
)

// AssumeRole gives credentials of a role. All that a caller who may not assume the role
// learns is that; the role's own facts count after the decision.
func (s *Server) AssumeRole(ctx context.Context, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	p, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if p.Kind == auth.Root {
		return nil, denied("Roles may not be assumed by root accounts.")
	}
	var bad violations
	bad.word("roleSessionName", in.RoleSessionName, marksName, patternName)
	bad.word("externalId", in.ExternalID, marksExternalID, patternExternalID)
	bad.word("serialNumber", in.SerialNumber, marksSerial, patternSerial)
	bad.word("sourceIdentity", in.SourceIdentity, marksName, patternName)
	bad.code("tokenCode", in.TokenCode)
	if err := bad.err(); err != nil {
		return nil, err
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, ssm.Errorf(codeInvalidParameter, "There is no provider of context assertions.")
	}
	var calling auth.Session // what the caller's own credentials were made with
	if p.Session != nil {
		calling = *p.Session
	}
	tags, err := joinTags(in.Tags, in.TransitiveTagKeys, calling)
	if err != nil {
		return nil, err
	}
	policies, err := parsePolicies(in.Policy, in.PolicyARNs)
	if err != nil {
		return nil, err
	}
	size, err := packed(policies, tags.tags)
	if err != nil {
		return nil, err
	}
	role, known, err := s.role(ctx, in.RoleARN)
	if err != nil {
		return nil, err
	}
	shown, err := s.provedBy(ctx, p, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}

	actions := []string{"sts:AssumeRole"}
	if len(in.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	source := cmp.Or(in.SourceIdentity, p.SourceIdentity)
	if source != "" {
		// Also when it is handed on: whoever trusts a role with it says so.
		actions = append(actions, "sts:SetSourceIdentity")
	}
	keys := assumeKeys(in, source)
	if !shown.IsZero() {
		keys["aws:MultiFactorAuthPresent"], keys["aws:MultiFactorAuthAge"] = []string{"true"}, []string{"0"}
	}
	for _, action := range actions {
		decision, err := s.cfg.Auth.MayAssume(ctx, role, action, keys)
		if err != nil {
			return nil, err
		}
		// Whoever began a chain of sessions stays its source.
		changed := p.SourceIdentity != "" && source != p.SourceIdentity
		if !decision.Allowed || !known || changed {
			return nil, denied("User: " + p.ARN + " is not authorized to perform: " + action + " on resource: " + in.RoleARN)
		}
	}

	chained := p.Kind == auth.RoleSession
	length, err := sessionLength(in.DurationSeconds, role, chained)
	if err != nil {
		return nil, err
	}
	if err := s.exist(ctx, policies); err != nil {
		return nil, err
	}
	if shown.IsZero() && !chained {
		shown = p.MFAAt // the same person's, with its age
	}
	credentials, err := s.begin(ctx, role, store.TemporaryCredential{
		SessionName:       in.RoleSessionName,
		SessionPolicies:   policies.documents,
		SessionPolicyARNs: policies.arns,
		SessionTags:       tags.tags,
		TransitiveTagKeys: tags.transitive,
		SourceIdentity:    source,
		MFAAt:             shown,
		Chained:           chained,
	}, length)
	if isNotFound(err) { // deleted in this moment
		return nil, denied("User: " + p.ARN + " is not authorized to perform: sts:AssumeRole on resource: " + in.RoleARN)
	}
	if err != nil {
		return nil, err
	}
	return &AssumeRoleOutput{
		AssumedRoleUser:  s.assumed(role, in.RoleSessionName),
		Credentials:      credentials,
		PackedPolicySize: size,
		SourceIdentity:   source,
	}, nil
}

// assumeKeys are the condition keys of a request to assume a role (api.md §5.1).
func assumeKeys(in *AssumeRoleInput, source string) policy.Context {
	keys := policy.Context{"sts:RoleSessionName": {in.RoleSessionName}}
	if in.ExternalID != "" {
		keys["sts:ExternalId"] = []string{in.ExternalID}
	}
	if source != "" {
		keys["sts:SourceIdentity"] = []string{source}
	}
	for _, t := range in.Tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	if len(in.TransitiveTagKeys) > 0 {
		keys["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	}
	return keys
}

// nobodysTrust is the trust policy of a role that does not exist. A role is looked for
// and decided on in the same way whether or not there is one.
const nobodysTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`

// role finds the role with an ARN. For one that does not exist it gives a stand-in that
// trusts nobody.
func (s *Server) role(ctx context.Context, arn string) (role store.Role, known bool, err error) {
	name, ours, err := s.roleName(arn)
	if err != nil {
		return store.Role{}, false, err
	}
	role, err = s.cfg.Store.Role(ctx, name)
	if err != nil && !isNotFound(err) {
		return store.Role{}, false, err
	}
	if err != nil || !ours || s.roleARN(role.Path, role.Name) != arn {
		return store.Role{Name: name, Path: "/", TrustPolicy: nobodysTrust}, false, nil
	}
	return role, true, nil
}

// sessionLength is how long a role session lasts (api.md §17). Without a wish it is an
// hour, or less if the role allows less.
func sessionLength(wish *int, role store.Role, chained bool) (time.Duration, error) {
	if wish == nil {
		if role.MaxSession > 0 {
			return min(defaultRoleSession, role.MaxSession), nil
		}
		return defaultRoleSession, nil
	}
	length := time.Duration(*wish) * time.Second
	if chained && length > maxChained {
		return 0, ssm.Errorf(ssm.CodeValidation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	if length > max(role.MaxSession, defaultRoleSession) {
		return 0, ssm.Errorf(ssm.CodeValidation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return length, nil
}

// begin issues the credentials of a role's session.
func (s *Server) begin(ctx context.Context, role store.Role, c store.TemporaryCredential, length time.Duration) (Credentials, error) {
	now := s.cfg.Now()
	c.Kind = store.CredentialRole
	c.RoleName, c.RoleID = role.Name, role.ID
	c.IssuedAt, c.ExpiresAt = now, now.Add(length)
	credentials, err := s.issue(ctx, c)
	if err != nil {
		return Credentials{}, err
	}
	if err := s.cfg.Store.TouchRole(ctx, role.Name, now); err != nil && !isNotFound(err) {
		return Credentials{}, err
	}
	return credentials, nil
}

// assumed names the session of a role.
func (s *Server) assumed(role store.Role, session string) AssumedRoleUser {
	return AssumedRoleUser{
		AssumedRoleID: role.ID + ":" + session,
		ARN:           "arn:aws:sts::" + s.cfg.ARNs.Account + ":assumed-role/" + role.Name + "/" + session,
	}
}
