package iam

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"sekisho/internal/policy"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// encodedDocument is a policy document as answers have it: percent-encoded by RFC 3986
// (api.md §1.4). Clients decode it.
func encodedDocument(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// malformed is the answer to a document that is no policy: the text of IAM, and behind
// it where the fault is. Other errors stay what they are.
func malformed(err error, code string) error {
	if e, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return fault(code, "%s", e.Error())
	}
	return err
}

// errPolicySize is the answer to a managed policy that is too long.
var errPolicySize = fault(codeLimitExceeded, "Cannot exceed quota for PolicySize: %d", policy.QuotaManaged)

// managedDocument reads the document of a managed policy.
func managedDocument(text string) error {
	p, err := policy.Parse([]byte(text), policy.Managed)
	if err != nil {
		if tooLarge(err) {
			return errPolicySize
		}
		return malformed(err, codeMalformedPolicy)
	}
	if p.Size() > policy.QuotaManaged {
		return errPolicySize
	}
	return nil
}

func tooLarge(err error) bool {
	e, ok := errors.AsType[*policy.SyntaxError](err)
	return ok && e.TooLarge
}

// inlineQuotas are how long all inline policies of one entity may be together (api.md
// §4.1).
var inlineQuotas = map[store.EntityType]int{
	store.EntityUser:  policy.QuotaUserInline,
	store.EntityGroup: policy.QuotaGroupInline,
	store.EntityRole:  policy.QuotaRoleInline,
}

func errInlineSize(e store.Entity) error {
	return fault(codeLimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", inlineQuotas[e.Type], e.Type, e.Name)
}

// inlineDocument reads the document of an inline policy and says how long it is.
func inlineDocument(text string, e store.Entity) (size int, err error) {
	p, err := policy.Parse([]byte(text), policy.Inline)
	switch {
	case err == nil:
		return p.Size(), nil
	case tooLarge(err):
		return 0, errInlineSize(e)
	}
	return 0, malformed(err, codeMalformedPolicy)
}

// errTrustSize is the answer to a trust policy that is too long.
var errTrustSize = fault(codeLimitExceeded, "Cannot exceed quota for ACLSizePerRole: %d", policy.QuotaTrust)

// trustDocument reads a trust policy. Everybody it names must exist: a name that somebody
// else could take later must not be trusted by mistake. For the same reason it gives the
// unique ids that the ARNs of users and roles stand for now.
func (s *Server) trustDocument(ctx context.Context, text string) (ids map[string]string, err error) {
	p, err := policy.Parse([]byte(text), policy.Trust)
	if err != nil {
		if tooLarge(err) {
			return nil, errTrustSize
		}
		return nil, malformed(err, codeMalformedPolicy)
	}
	if p.Size() > policy.QuotaTrust {
		return nil, errTrustSize
	}
	ids = make(map[string]string)
	for _, ref := range p.Principals() {
		id, ok, err := s.principal(ctx, ref)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fault(codeMalformedPolicy, "Invalid principal in policy: %q:%q", strings.ToUpper(ref.Kind[:1])+ref.Kind[1:], ref.Value)
		}
		if id != "" {
			ids[ref.Value] = id
		}
	}
	return ids, nil
}

var (
	accountID   = regexp.MustCompile(`^\d{12}$`)
	serviceName = regexp.MustCompile(`^([a-z0-9-]+\.)+amazonaws\.com$`)
	// identityARN has the account, the kind and the path with the name.
	identityARN = regexp.MustCompile(`^arn:aws:(?:iam|sts)::(\d{12}):(root|(?:user|role|assumed-role|federated-user|oidc-provider)/([!-~]+))$`)
	uniqueID    = regexp.MustCompile(`^A(?:IDA|ROA)[A-Z2-7]{17}$`)
)

// identityProviders are those that need no entity of their own.
var identityProviders = map[string]bool{
	"accounts.google.com": true, "cognito-identity.amazonaws.com": true, "graph.facebook.com": true, "www.amazon.com": true,
}

// principal reports whether a trust policy may name somebody, and which unique id an ARN
// stands for, if there is one. What another account holds cannot be known here; it can be
// named, and never calls.
func (s *Server) principal(ctx context.Context, ref policy.PrincipalRef) (id string, ok bool, err error) {
	switch ref.Kind {
	case "*":
		return "", true, nil
	case "Service":
		return "", serviceName.MatchString(ref.Value), nil
	case "AWS":
		if ref.Value == "*" || accountID.MatchString(ref.Value) {
			return "", true, nil
		}
		if uniqueID.MatchString(ref.Value) {
			ok, err := s.idExists(ctx, ref.Value)
			return "", ok, err
		}
	case "Federated":
		if identityProviders[ref.Value] {
			return "", true, nil
		}
	default:
		return "", false, nil
	}
	parts := identityARN.FindStringSubmatch(ref.Value)
	if parts == nil || strings.ContainsAny(ref.Value, "*?") {
		return "", false, nil
	}
	kind, rest, _ := strings.Cut(parts[2], "/")
	if (kind == "oidc-provider") != (ref.Kind == "Federated") {
		return "", false, nil
	}
	if parts[1] != s.cfg.ARNs.Account {
		return "", true, nil
	}
	return s.identity(ctx, kind, rest, ref.Value)
}

// identity reports whether an ARN of this account is somebody's, and the unique id of the
// user or role, also of the role of a session.
func (s *Server) identity(ctx context.Context, kind, rest, arn string) (id string, ok bool, err error) {
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	is := arn
	switch kind {
	case "root", "federated-user":
		return "", true, nil
	case "user":
		var u store.User
		u, err = s.cfg.Store.UserByName(ctx, name)
		id, is = u.ID, s.arn("user", u.Path, u.Name)
	case "role":
		var r store.Role
		r, err = s.cfg.Store.Role(ctx, name)
		id, is = r.ID, s.arn("role", r.Path, r.Name)
	case "assumed-role":
		role, session, _ := strings.Cut(rest, "/")
		if session == "" || strings.Contains(session, "/") {
			return "", false, nil
		}
		var r store.Role
		r, err = s.cfg.Store.Role(ctx, role)
		id = r.ID
	case "oidc-provider":
		_, err = s.cfg.Store.OIDCProvider(ctx, arn)
	}
	if isNotFound(err) {
		return "", false, nil
	}
	return id, is == arn, err
}

// idExists reports whether a unique id is that of a user or role.
func (s *Server) idExists(ctx context.Context, id string) (bool, error) {
	var err error
	if strings.HasPrefix(id, prefixUser) {
		_, err = s.cfg.Store.UserByID(ctx, id)
	} else {
		_, err = s.cfg.Store.RoleByID(ctx, id)
	}
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// errARN is the answer to a text that is no ARN (api.md §18.1).
var errARN = ssm.Errorf(ssm.CodeValidation, "Invalid ARN:  Could not be parsed!")

// checkPolicyARN refuses what names no managed policy.
func checkPolicyARN(arn string) error {
	if !strings.HasPrefix(arn, "arn:") || strings.Count(arn, ":") < 5 {
		return errARN
	}
	if !policyARN.MatchString(arn) {
		return validation("ARN %s is not valid.", arn)
	}
	return nil
}
