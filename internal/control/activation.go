package control

import (
	"context"
	"errors"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Times and numbers of activations (api.md §11.1).
const (
	defaultActivationLife = 24 * time.Hour
	maxActivationLife     = 30 * 24 * time.Hour
	maxTags               = 50
)

// CreateActivation makes an activation and shows its code, this once. Whoever makes it
// must be allowed to pass the role, which must exist and trust the service.
func (s *Server) CreateActivation(ctx context.Context, in *ssm.CreateActivationInput) (*ssm.CreateActivationOutput, error) {
	name := strings.TrimPrefix(in.IamRole, "/")
	roleARN := s.nodeRoleARN(name)
	role, roleErr := s.nodeRole(ctx, name)
	if roleErr == nil {
		roleARN = s.roleARN(role) // what is passed, however the caller wrote it
	} else if !errors.Is(roleErr, errNoRole) {
		return nil, roleErr
	}
	create := auth.Request{Action: "ssm:CreateActivation", Resource: everything, Context: requestTagContext(in.Tags)}
	pass := auth.Request{Action: "iam:PassRole", Resource: roleARN,
		Context: map[string][]string{"iam:PassedToService": {servicePrincipal}}}
	if err := s.cfg.Auth.Authorize(ctx, create, pass); err != nil {
		return nil, named(err, roleARN, s.nodeRoleARN(name))
	}
	if roleErr != nil {
		return nil, noNodeRole(roleARN)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	expires := now.Add(defaultActivationLife)
	if in.ExpirationDate != nil {
		expires = in.ExpirationDate.Time
	}
	if !expires.After(now) || expires.Sub(now) > maxActivationLife {
		return nil, validation("Expiration date must be in the future and at most 30 days ahead.")
	}
	limit := 1
	if in.RegistrationLimit != nil {
		limit = *in.RegistrationLimit
	}
	p, _ := auth.From(ctx)
	id, code := ssm.NewActivationID(), ssm.NewActivationCode()
	err := s.cfg.Store.CreateActivation(ctx, store.Activation{
		ID:                  id,
		CodeHash:            secretHash(code),
		Description:         in.Description,
		DefaultInstanceName: in.DefaultInstanceName,
		IamRole:             name,
		RegistrationLimit:   limit,
		ExpirationDate:      expires,
		CreatedAt:           now,
		CreatedBy:           p.ARN,
		Tags:                in.Tags,
	})
	if err != nil {
		return nil, err
	}
	return &ssm.CreateActivationOutput{ActivationID: id, ActivationCode: code}, nil
}

// named makes a denial name a resource as the caller did: the whole ARN, with the path,
// would tell that it exists.
func named(err error, arn, as string) error {
	if e, ok := errors.AsType[*ssm.Error](err); ok && arn != as {
		told := *e
		told.Message = strings.ReplaceAll(e.Message, " on resource: "+arn, " on resource: "+as)
		return &told
	}
	return err
}

// requestTagContext gives the condition keys that tags in a request make.
func requestTagContext(tags []ssm.Tag) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	keys := make(map[string][]string, len(tags)+1)
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}

// checkTags refuses what tags of a resource may not be. Keys of the service itself
// must not come from a caller: policies rely on them. Nor may two keys differ in case
// only: to a policy, which compares them without, they are one key with two values, of
// which it takes the one that it allows.
func checkTags(tags []ssm.Tag) error {
	if len(tags) > maxTags {
		return ssm.Errorf("TooManyTagsError", "")
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if seen[strings.ToLower(t.Key)] {
			return validation("Duplicate tag key found: %s", t.Key)
		}
		if len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:") {
			return validation("Tag keys that begin with aws: are reserved: %s", t.Key)
		}
		seen[strings.ToLower(t.Key)] = true
	}
	return nil
}

// DescribeActivations lists activations, without their codes.
func (s *Server) DescribeActivations(ctx context.Context, in *ssm.DescribeActivationsInput) (*ssm.DescribeActivationsOutput, error) {
	const operation = "ssm:DescribeActivations"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	cursor, err := s.pageCursor(operation, in.Filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	var filter store.ActivationFilter
	for _, f := range in.Filters {
		var to *[]string
		switch f.FilterKey {
		case "ActivationIds":
			to = &filter.IDs
		case "DefaultInstanceName":
			to = &filter.DefaultInstanceNames
		case "IamRole":
			to = &filter.IamRoles
		}
		// A filter must say what it wants: one without a key or values would list all.
		if to == nil || len(f.FilterValues) == 0 {
			return nil, ssm.Errorf(ssm.CodeInvalidFilter,
				"The filter name isn't valid. Verify the you entered the correct name and try again.")
		}
		*to = append(*to, f.FilterValues...)
	}
	page := store.Page{After: cursor, Limit: pageLimit(in.MaxResults)}
	list, next, err := s.cfg.Store.Activations(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	out := &ssm.DescribeActivationsOutput{ActivationList: make([]ssm.Activation, 0, len(list))}
	for _, a := range list {
		out.ActivationList = append(out.ActivationList, ssm.Activation{
			ActivationID:        a.ID,
			Description:         a.Description,
			DefaultInstanceName: a.DefaultInstanceName,
			IamRole:             a.IamRole,
			RegistrationLimit:   a.RegistrationLimit,
			RegistrationsCount:  a.RegistrationsCount,
			ExpirationDate:      ssm.At(a.ExpirationDate),
			Expired:             !now.Before(a.ExpirationDate),
			CreatedDate:         ssm.At(a.CreatedAt),
			Tags:                a.Tags,
		})
	}
	out.NextToken, err = s.pageToken(operation, in.Filters, next)
	return out, err
}

// errActivation is the answer to an activation that does not exist, or whose code was
// wrong: the two are not told apart.
var errActivation = ssm.Errorf(ssm.CodeInvalidActivation,
	"The activation isn't valid. The activation might have been deleted, or the activation ID and code do not match.")

// DeleteActivation removes an activation. Nodes that registered with it stay.
func (s *Server) DeleteActivation(ctx context.Context, in *ssm.DeleteActivationInput) (*ssm.Empty, error) {
	const operation = "ssm:DeleteActivation"
	if err := s.authorize(ctx, operation, everything); err != nil {
		return nil, err
	}
	err := s.cfg.Store.DeleteActivation(ctx, in.ActivationID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errActivation
	}
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, nil
}
