package iam

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Bounds of a password, in characters. The lower is that of the service's default
// password policy.
const (
	minPassword = 8
	maxPassword = 128
)

// LoginProfile says that a user can sign in at the console with a password.
type LoginProfile struct {
	UserName              string
	CreateDate            time.Time
	PasswordResetRequired bool
}

// LoginProfileOutput is an answer that shows a login profile.
type LoginProfileOutput struct{ LoginProfile LoginProfile }

// checkPassword refuses passwords that are too easy. The error does not repeat it.
func checkPassword(password store.Secret, userName string) error {
	switch text := password.Reveal(); {
	case utf8.RuneCountInString(text) < minPassword:
		return fault(codePasswordPolicy, "Password should have a minimum length of %d", minPassword)
	case utf8.RuneCountInString(text) > maxPassword:
		return fault(codePasswordPolicy, "Password should have a maximum length of %d", maxPassword)
	case strings.EqualFold(text, userName):
		return fault(codePasswordPolicy, "Password should not be the name of the user")
	}
	return nil
}

// withHashing runs f, which hashes a password. Few do at a time: a hash takes much
// memory.
func (s *Server) withHashing(ctx context.Context, f func()) error {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setPassword stores a new password.
func (s *Server) setPassword(ctx context.Context, userName string, password store.Secret, reset bool, createdAt time.Time) error {
	if err := checkPassword(password, userName); err != nil {
		return err
	}
	var hash string
	if err := s.withHashing(ctx, func() { hash = auth.HashPassword(password.Reveal()) }); err != nil {
		return err
	}
	return failed(s.cfg.Store.SetLoginProfile(ctx, userName, hash, reset, createdAt), "user", userName)
}

// profileDate is when a user first got its password. Users of the first release have no
// date of their own for it.
func profileDate(u store.User) time.Time {
	if u.PasswordCreatedAt.IsZero() {
		return u.CreatedAt
	}
	return u.PasswordCreatedAt
}

// profile finds the user of a login profile and the hash of its password.
func (s *Server) profile(ctx context.Context, action, name string) (store.User, string, error) {
	u, err := s.userOrCaller(ctx, action, name)
	if err != nil {
		return store.User{}, "", err
	}
	hash, err := s.cfg.Store.PasswordHash(ctx, u.Name)
	return u, hash, failed(err, "Login Profile", u.Name)
}

// CreateLoginProfileInput is the request of iam:CreateLoginProfile.
type CreateLoginProfileInput struct {
	UserName              string       `constraint:"len=1..64 pattern=IAMName"`
	Password              store.Secret `constraint:"required"`
	PasswordResetRequired bool
}

// CreateLoginProfile gives a user a password.
func (s *Server) CreateLoginProfile(ctx context.Context, in *CreateLoginProfileInput) (*LoginProfileOutput, error) {
	u, _, err := s.profile(ctx, "iam:CreateLoginProfile", in.UserName)
	switch {
	case err == nil:
		return nil, alreadyExists("Login Profile", u.Name)
	case u.Name == "" || !ssm.IsCode(err, codeNoSuchEntity):
		return nil, err
	}
	now := s.cfg.Now()
	if err := s.setPassword(ctx, u.Name, in.Password, in.PasswordResetRequired, now); err != nil {
		return nil, err
	}
	return &LoginProfileOutput{LoginProfile: LoginProfile{
		UserName: u.Name, CreateDate: now, PasswordResetRequired: in.PasswordResetRequired,
	}}, nil
}

// GetLoginProfile tells whether a user has a password.
func (s *Server) GetLoginProfile(ctx context.Context, in *OptionalUserInput) (*LoginProfileOutput, error) {
	u, _, err := s.profile(ctx, "iam:GetLoginProfile", in.UserName)
	if err != nil {
		return nil, err
	}
	return &LoginProfileOutput{LoginProfile: LoginProfile{
		UserName: u.Name, CreateDate: profileDate(u), PasswordResetRequired: u.PasswordResetRequired,
	}}, nil
}

// UpdateLoginProfileInput is the request of iam:UpdateLoginProfile. What is absent stays
// as it is.
type UpdateLoginProfileInput struct {
	UserName              string `constraint:"required len=1..64 pattern=IAMName"`
	Password              *store.Secret
	PasswordResetRequired *bool
}

// UpdateLoginProfile changes a user's password, or whether the user must.
func (s *Server) UpdateLoginProfile(ctx context.Context, in *UpdateLoginProfileInput) (*ssm.Empty, error) {
	u, _, err := s.profile(ctx, "iam:UpdateLoginProfile", in.UserName)
	if err != nil {
		return nil, err
	}
	reset := u.PasswordResetRequired
	if in.PasswordResetRequired != nil {
		reset = *in.PasswordResetRequired
	}
	if in.Password != nil {
		return &ssm.Empty{}, s.setPassword(ctx, u.Name, *in.Password, reset, profileDate(u))
	}
	err = s.cfg.Store.SetLoginProfile(ctx, u.Name, "", reset, profileDate(u)) // keeps the password
	return &ssm.Empty{}, failed(err, "Login Profile", u.Name)
}

// DeleteLoginProfile takes a user's password away.
func (s *Server) DeleteLoginProfile(ctx context.Context, in *OptionalUserInput) (*ssm.Empty, error) {
	u, _, err := s.profile(ctx, "iam:DeleteLoginProfile", in.UserName)
	if err != nil {
		return nil, err
	}
	return &ssm.Empty{}, failed(s.cfg.Store.DeleteLoginProfile(ctx, u.Name), "Login Profile", u.Name)
}

// ChangePasswordInput is the request of iam:ChangePassword.
type ChangePasswordInput struct {
	OldPassword store.Secret `constraint:"required"`
	NewPassword store.Secret `constraint:"required"`
}

// ChangePassword replaces the caller's own password. Who holds a user's keys does not so
// hold the password: the old one must be known, and few guesses a minute are free.
func (s *Server) ChangePassword(ctx context.Context, in *ChangePasswordInput) (*ssm.Empty, error) {
	p, _ := auth.From(ctx)
	if p.Kind != auth.User {
		return nil, fault(codeInvalidUserType, "Only IAM Users can change their own password")
	}
	u, hash, err := s.profile(ctx, "iam:ChangePassword", p.UserName)
	if err != nil {
		return nil, err
	}
	if !s.guesses.begin(u.ID, s.cfg.Now()) {
		return nil, ssm.Errorf(ssm.CodeThrottling, "Rate exceeded")
	}
	var right bool
	if err := s.withHashing(ctx, func() { right = auth.CheckPassword(hash, in.OldPassword.Reveal()) }); err != nil {
		return nil, err
	}
	if !right {
		return nil, fault(codeForbidden, "The old password was incorrect.")
	}
	if in.NewPassword == in.OldPassword {
		return nil, fault(codePasswordPolicy, "New password should differ from the old one")
	}
	if err := s.setPassword(ctx, u.Name, in.NewPassword, false, profileDate(u)); err != nil {
		return nil, err
	}
	s.guesses.forget(u.ID)
	return &ssm.Empty{}, nil
}
