package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sekisho/internal/console"
	"sekisho/internal/store"
)

// maxClientSecret bounds the file of a client's secret, in bytes.
const maxClientSecret = 4 << 10

// tidy makes an empty list and none the same.
func (o *oidcConfig) tidy() {
	if len(o.Scopes) == 0 {
		o.Scopes = nil
	}
	if len(o.Roles) == 0 {
		o.Roles = nil
	}
}

// check refuses what could only fail when somebody signs in. Its errors begin with the key.
func (o *oidcConfig) check() error {
	if o.Issuer == "" {
		return nil
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("issuer: %q is not https://HOST/PATH", o.Issuer)
	}
	if o.ClientID == "" {
		return errors.New("client_id: it is needed with an issuer")
	}
	if o.RoleClaim == "" || o.SessionName == "" {
		return errors.New("role_claim and session_name: neither may be empty")
	}
	_, err = o.rules()
	return err
}

// rules reads VALUE=ROLE_ARN.
func (o *oidcConfig) rules() ([]console.RoleRule, error) {
	var rules []console.RoleRule
	for _, text := range o.Roles {
		value, arn, ok := strings.Cut(text, "=arn:aws:iam::")
		if !ok || value == "" || !strings.Contains(arn, ":role/") {
			return nil, fmt.Errorf("roles: %q is not VALUE=ROLE_ARN", text)
		}
		rules = append(rules, console.RoleRule{Value: value, RoleARN: "arn:aws:iam::" + arn})
	}
	return rules, nil
}

// provider is what the console signs people in by; nil for none. client makes what the
// provider is spoken to with.
func (o *oidcConfig) provider(client func(ctx context.Context, issuer string) (*http.Client, error)) (*console.OIDC, error) {
	if o.Issuer == "" {
		return nil, nil
	}
	rules, err := o.rules()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	p := &console.OIDC{Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, Scopes: o.Scopes,
		RoleClaim: o.RoleClaim, Roles: rules, NameClaim: o.SessionName, Client: client}
	if p.Name == "" {
		p.Name = u.Host
	}
	if o.ClientSecretFile != "" {
		if p.ClientSecret, err = readClientSecret(o.ClientSecretFile); err != nil {
			return nil, fmt.Errorf("sign_in.oidc.client_secret_file: %w", err)
		}
	}
	return p, nil
}

func readClientSecret(path string) (store.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxClientSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || len(text) > maxClientSecret {
		return "", fmt.Errorf("%s has no secret of 1 to %d bytes", path, maxClientSecret)
	}
	return store.Secret(secret), nil
}
