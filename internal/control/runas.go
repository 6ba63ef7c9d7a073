package control

import (
	"context"

	"sekisho/internal/auth"
	"sekisho/internal/document"
	"sekisho/internal/message"
	"sekisho/internal/ssm"
)

// runAsTag is the tag of a user, a role or a role's session that says as which local user
// its sessions run. It goes before the document's runAsDefaultUser (api.md §7.2).
const runAsTag = "SSMSessionRunAs"

// runAs gives the local user by the caller's tag; empty when the document does not ask for
// one, or there is no tag. A tag that can name nobody is refused here: the document's
// default must not take its place.
func (s *Server) runAs(ctx context.Context, content message.DocumentContent) (string, error) {
	if !content.Inputs.RunAsEnabled {
		return "", nil
	}
	name, ok, err := s.cfg.Auth.Tag(ctx, runAsTag)
	if err != nil || !ok {
		return "", err
	}
	if !document.ValidRunAsUser(name) {
		p, _ := auth.From(ctx)
		return "", ssm.Errorf(ssm.CodeInvalidParameters, "The tag %s of %s is %q, which cannot be a local user's name.", runAsTag, p.ARN, name)
	}
	return name, nil
}
