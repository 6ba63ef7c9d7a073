package control

import (
	"context"
	"errors"
	"strings"

	"sekisho/internal/document"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// checkPermissionType refuses another type of permission than the one there is. It is
// part of the validation, and so precedes the question who may.
func checkPermissionType(t string) error {
	if t != "Share" {
		return ssm.Errorf(codeDocumentPermissionType, "1 validation error detected: Value '%s' at 'permissionType' failed to satisfy constraint: "+
			"Member must satisfy enum value set: [Share]", cutText(t))
	}
	return nil
}

// cutText bounds a foreign text that goes into an error message.
func cutText(text string) string {
	if len(text) > 256 {
		return strings.ToValidUTF8(text[:256], "") + "..."
	}
	return text
}

// DescribeDocumentPermission lists the accounts that a document is shared with.
func (s *Server) DescribeDocumentPermission(ctx context.Context, in *ssm.DescribeDocumentPermissionInput) (*ssm.DescribeDocumentPermissionOutput, error) {
	const operation = "ssm:DescribeDocumentPermission"
	if err := checkPermissionType(in.PermissionType); err != nil {
		return nil, err
	}
	d, err := s.writeDocument(ctx, operation, in.Name)
	if err != nil {
		return nil, err
	}
	cursor, err := s.pageCursor(operation, in.Name, in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := 200 // clients that do not page must see as many as one answer may hold
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	shares, next, err := s.cfg.Store.DocumentShares(ctx, d.name, store.Page{After: cursor, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := &ssm.DescribeDocumentPermissionOutput{AccountIDs: []string{}, AccountSharingInfoList: []ssm.AccountSharingInfo{}}
	for _, x := range shares {
		out.AccountIDs = append(out.AccountIDs, x.AccountID)
		out.AccountSharingInfoList = append(out.AccountSharingInfoList,
			ssm.AccountSharingInfo{AccountID: x.AccountID, SharedDocumentVersion: x.Version})
	}
	out.NextToken, err = s.pageToken(operation, in.Name, next)
	return out, err
}

// ModifyDocumentPermission shares a document with accounts, or ends that. What is shared
// is stored and shown: there is one account here, so nobody else comes to use it.
func (s *Server) ModifyDocumentPermission(ctx context.Context, in *ssm.ModifyDocumentPermissionInput) (*ssm.Empty, error) {
	if err := checkPermissionType(in.PermissionType); err != nil {
		return nil, err
	}
	d, err := s.writeDocument(ctx, "ssm:ModifyDocumentPermission", in.Name)
	if err != nil {
		return nil, err
	}
	version := in.SharedDocumentVersion
	if version == "" {
		version = document.DefaultVersion
	}
	remove := s.accounts(in.AccountIDsToRemove)
	var add []store.DocumentShare
	for _, account := range s.accounts(in.AccountIDsToAdd) {
		add = append(add, store.DocumentShare{AccountID: account, Version: version})
	}
	err = s.cfg.Store.ShareDocument(ctx, d.name, add, remove, maxDocumentShares)
	var limit *store.LimitError
	switch {
	case errors.Is(err, store.ErrNotFound): // deleted meanwhile
		return nil, d.missing()
	case errors.Is(err, store.ErrMixedShares):
		return nil, ssm.Errorf(codeDocumentPermission, "Accounts can either be all or a group of AWS accounts")
	case errors.As(err, &limit):
		return nil, ssm.Errorf(codeDocumentPermission, "A document can be shared with at most %d accounts.", limit.Limit)
	case err != nil:
		return nil, err
	}
	return &ssm.Empty{}, nil
}

// accounts is a list of accounts less the own one, with which nothing needs sharing.
func (s *Server) accounts(ids []string) []string {
	var list []string
	for _, id := range ids {
		if strings.EqualFold(id, store.ShareWithAll) {
			id = store.ShareWithAll
		}
		if id != s.cfg.ARNs.Account {
			list = append(list, id)
		}
	}
	return list
}
