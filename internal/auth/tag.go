package auth

import (
	"context"
	"strings"
)

// Tag gives a tag of the caller of ctx: the user's, or the role's with those of the
// session over it. Keys are compared as IAM does, without regard to case. ok is false for
// a caller that has no such tag, or can have none.
func (a *Auth) Tag(ctx context.Context, key string) (value string, ok bool, err error) {
	p, _ := From(ctx)
	j, err := a.judge(ctx, p, nil)
	if err != nil || j.gone {
		return "", false, err
	}
	for k, v := range j.request.Principal.Tags {
		if strings.EqualFold(k, key) {
			return v, true, nil
		}
	}
	return "", false, nil
}
