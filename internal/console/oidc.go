package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"sekisho/internal/auth"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// OIDC is an OpenID Connect provider by which people may sign in (ADR 0038).
type OIDC struct {
	Name         string // of the provider, on the button
	Issuer       string // "https://…", the URL of a provider that is stored in IAM
	ClientID     string
	ClientSecret store.Secret // empty for a client that has none
	Scopes       []string     // openid is always asked for
	// RoleClaim names the claim of the ID token that says which role a person gets: by
	// Roles, the first whose value the claim has, or by holding the ARN of a role.
	RoleClaim string
	Roles     []RoleRule
	// NameClaim names the claim that becomes the name of the role's session.
	NameClaim string
	// Client makes what the provider is spoken to with.
	Client func(ctx context.Context, issuer string) (*http.Client, error)
	Now    func() time.Time // nil means time.Now
}

// RoleRule gives a role to those whose claim has a value; "*" is everybody.
type RoleRule struct{ Value, RoleARN string }

const (
	oidcPath         = "/console/oidc/"
	oidcCallbackPath = oidcPath + "callback"
	// oidcCookie binds an answer of the provider to the browser that asked.
	oidcCookie = "__Host-sekisho-oidc"
	// oidcPatience is how long somebody may take to sign in at the provider.
	oidcPatience = 10 * time.Minute
	// oidcDeadline bounds all requests to the provider for one sign-in together.
	oidcDeadline = 15 * time.Second
	// oidcFresh is how long the provider's description of itself serves.
	oidcFresh = 10 * time.Minute
	// oidcBusy bounds how many sign-ins speak with the provider at once.
	oidcBusy = 8
	// maxOIDCText bounds what a browser brings back in one parameter, in bytes. Codes of
	// the large providers have up to 2 KiB.
	maxOIDCText = 4 << 10
)

// Codes of what went wrong; the sign-in page says in words what to do (signin.tsx).
const (
	codeOIDCExpired  = "OIDCExpired"
	codeOIDCCanceled = "OIDCCanceled"
	codeOIDCProvider = "OIDCProvider"
	codeOIDCToken    = "OIDCToken"
	codeOIDCNoRole   = "OIDCNoRole"
	codeOIDCNoName   = "OIDCNoName"
	codeOIDCDenied   = "OIDCDenied"
	codeOIDCConfig   = "OIDCConfig"
)

// oidcError is a failed sign-in: a code for the page, words for the trail, a cause for
// the log.
func oidcError(code, message string, cause error) error {
	e := &ssm.Error{Code: code, Status: http.StatusUnauthorized, Message: message}
	if cause == nil {
		return e
	}
	return fmt.Errorf("%w (%w)", e, cause)
}

// federation signs people in by a provider.
type federation struct {
	cfg  OIDC
	busy chan struct{} // has a place for each sign-in under way

	mu       sync.Mutex // guards the following
	provider *oidc.Provider
	asked    time.Time // when provider was described
}

func newFederation(cfg OIDC) *federation {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &federation{cfg: cfg, busy: make(chan struct{}, oidcBusy)}
}

// discover gives the provider as it describes itself, and a context to speak to it in.
func (f *federation) discover(ctx context.Context) (context.Context, *oidc.Provider, error) {
	client, err := f.cfg.Client(ctx, f.cfg.Issuer)
	if err != nil {
		return nil, nil, oidcError(codeOIDCConfig, "The provider of sign_in.oidc.issuer is not stored: aws iam create-open-id-connect-provider adds it.", err)
	}
	ctx = oidc.ClientContext(ctx, client)
	f.mu.Lock()
	p, asked := f.provider, f.asked
	f.mu.Unlock()
	if p != nil && f.cfg.Now().Sub(asked) < oidcFresh {
		return ctx, p, nil
	}
	p, err = oidc.NewProvider(ctx, f.cfg.Issuer)
	if err != nil {
		return nil, nil, oidcError(codeOIDCProvider, "The identity provider cannot be reached.", err)
	}
	if !strings.HasPrefix(p.Endpoint().AuthURL, "https://") {
		return nil, nil, oidcError(codeOIDCProvider, "The identity provider names no https address to sign in at.", nil)
	}
	f.mu.Lock()
	f.provider, f.asked = p, f.cfg.Now()
	f.mu.Unlock()
	return ctx, p, nil
}

// oauth is the client that this server is at the provider.
func (c *Console) oauth(p *oidc.Provider) *oauth2.Config {
	f := c.federation.cfg
	scopes := []string{oidc.ScopeOpenID}
	for _, s := range f.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret.Reveal(), Endpoint: p.Endpoint(),
		RedirectURL: c.cfg.Endpoint + oidcCallbackPath, Scopes: scopes}
}

// serveOIDC answers the two addresses to which browsers come by themselves, not through
// the pages' scripts. They do nothing that needs a session's cookie.
func (c *Console) serveOIDC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if c.federation == nil || r.URL.Path != oidcPath+"start" && r.URL.Path != oidcCallbackPath {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), oidcDeadline)
	defer cancel()
	r = r.WithContext(ctx)
	select {
	case c.federation.busy <- struct{}{}:
		defer func() { <-c.federation.busy }()
	case <-ctx.Done():
		http.Error(w, "too many sign-ins at once: try again", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == oidcCallbackPath {
		c.oidcCallback(w, r)
	} else {
		c.oidcStart(w, r)
	}
}

// oidcStart sends the browser to the provider.
func (c *Console) oidcStart(w http.ResponseWriter, r *http.Request) {
	// The provider sends the browser back to the public address, so the cookie must be of it.
	if "https://"+r.Host != c.cfg.Endpoint {
		http.Redirect(w, r, c.cfg.Endpoint+oidcPath+"start", http.StatusSeeOther)
		return
	}
	_, p, err := c.federation.discover(r.Context())
	if err != nil {
		c.oidcFailed(w, r, err)
		return
	}
	ask := asked{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), at: c.federation.cfg.Now()}
	http.SetCookie(w, &http.Cookie{Name: oidcCookie, Value: ask.String(), Path: "/", MaxAge: int(oidcPatience / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}) // the provider's page leads back here
	target := c.oauth(p).AuthCodeURL(ask.state, oidc.Nonce(ask.nonce), oauth2.S256ChallengeOption(ask.verifier))
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// asked is what a browser keeps while its user is at the provider. It is the user's own:
// who changes it gets nowhere.
type asked struct {
	state, nonce, verifier string
	at                     time.Time
}

func (a asked) String() string {
	return strings.Join([]string{a.state, a.nonce, a.verifier, strconv.FormatInt(a.at.Unix(), 10)}, ".")
}

func parseAsked(text string) (asked, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 4 || slices.Contains(parts, "") {
		return asked{}, false
	}
	seconds, err := strconv.ParseInt(parts[3], 10, 64)
	return asked{parts[0], parts[1], parts[2], time.Unix(seconds, 0)}, err == nil
}

// oidcCallback takes what the provider says of the person.
func (c *Console) oidcCallback(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: oidcCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	token, s, err := c.federate(r)
	if err != nil {
		c.oidcFailed(w, r, err)
		return
	}
	c.recordFederated(auth.WithPrincipal(c.request(r), s.User), nil)
	setCookie(w, token, 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// federatedFacts are what the trail tells of such a sign-in.
type federatedFacts struct{ Provider string }

func (c *Console) recordFederated(ctx context.Context, err error) {
	if e, ok := errors.AsType[*ssm.Error](err); ok {
		err = e
	}
	c.cfg.Record(ctx, "signin:ConsoleLogin", &federatedFacts{c.federation.cfg.Issuer}, &loginOutcome{ConsoleLogin: "Success"}, err)
}

// oidcFailed leads back to the sign-in page, which says what to do.
func (c *Console) oidcFailed(w http.ResponseWriter, r *http.Request, err error) {
	code := ssm.CodeInternal
	if e, ok := errors.AsType[*ssm.Error](err); ok {
		code = e.Code
	}
	c.cfg.Logger.Warn("sign-in by the identity provider failed", "code", code, "error", err)
	c.recordFederated(c.request(r), err)
	http.Redirect(w, r, "/#/sign-in/"+url.PathEscape(code), http.StatusSeeOther)
}

// federate proves a person by what the browser brings from the provider, and makes the
// person's session, as the role that the provider's word and the trust policy give.
func (c *Console) federate(r *http.Request) (token string, s auth.ConsoleSession, err error) {
	code, err := c.authorizationCode(r)
	if err != nil {
		return "", s, err
	}
	raw, claims, err := c.idToken(r.Context(), code)
	if err != nil {
		return "", s, err
	}
	roleARN, err := c.federation.cfg.role(claims)
	if err != nil {
		return "", s, err
	}
	name, err := c.federation.cfg.sessionName(claims)
	if err != nil {
		return "", s, err
	}
	accessKeyID, err := c.assumeByToken(r, roleARN, name, raw)
	if err != nil {
		return "", s, err
	}
	return c.cfg.Auth.SignInRole(r.Context(), accessKeyID)
}

// grant is a code with what it was asked for by.
type grant struct {
	code string
	asked
}

// authorizationCode gives the code that answers what this browser asked.
func (c *Console) authorizationCode(r *http.Request) (grant, error) {
	expired := func(message string) (grant, error) { return grant{}, oidcError(codeOIDCExpired, message, nil) }
	cookie, err := r.Cookie(oidcCookie)
	if err != nil {
		return expired("This browser has not begun to sign in, or has signed in already.")
	}
	ask, ok := parseAsked(cookie.Value)
	query := r.URL.Query()
	state, code := query.Get("state"), query.Get("code")
	switch age := c.federation.cfg.Now().Sub(ask.at); {
	case !ok, subtle.ConstantTimeCompare([]byte(state), []byte(ask.state)) != 1:
		return expired("The answer of the identity provider is not to what this browser asked.")
	case age < -time.Minute, age >= oidcPatience:
		return expired("Signing in at the identity provider took too long.")
	case query.Get("error") != "":
		cause := query.Get("error")
		return grant{}, oidcError(codeOIDCCanceled, "The identity provider did not sign the person in.", fmt.Errorf("error %q", cause[:min(len(cause), 100)]))
	case code == "", len(code) > maxOIDCText:
		return expired("The answer of the identity provider has no code.")
	}
	return grant{code, ask}, nil
}

// tokenAlgorithms are the signatures that AssumeRoleWithWebIdentity accepts.
var tokenAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512}

// idToken exchanges a code for the provider's word on a person, and proves it.
func (c *Console) idToken(ctx context.Context, g grant) (raw string, claims map[string]any, err error) {
	ctx, p, err := c.federation.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	tokens, err := c.oauth(p).Exchange(ctx, g.code, oauth2.VerifierOption(g.verifier))
	if err != nil {
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response != nil && refused.Response.StatusCode < 500 {
			// Its body is not for the log: it can repeat what was sent.
			return "", nil, oidcError(codeOIDCToken, "The identity provider does not accept the code, or not this server as a client.",
				fmt.Errorf("status %d, error %q", refused.Response.StatusCode, refused.ErrorCode))
		}
		return "", nil, oidcError(codeOIDCProvider, "The identity provider cannot be reached.", err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return "", nil, oidcError(codeOIDCToken, "The identity provider gave no ID token.", nil)
	}
	verifier := p.VerifierContext(ctx, &oidc.Config{ClientID: c.federation.cfg.ClientID, SupportedSigningAlgs: tokenAlgorithms, Now: c.federation.cfg.Now})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return "", nil, oidcError(codeOIDCToken, "The ID token of the identity provider is not valid.", err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(g.nonce)) != 1 {
		return "", nil, oidcError(codeOIDCToken, "The ID token of the identity provider is not for this sign-in.", nil)
	}
	if err := token.Claims(&claims); err != nil {
		return "", nil, oidcError(codeOIDCToken, "The ID token of the identity provider cannot be read.", err)
	}
	return raw, claims, nil
}

// role chooses a role for a person by the claims of a proved token.
func (o *OIDC) role(claims map[string]any) (string, error) {
	values := claimTexts(claims[o.RoleClaim])
	for _, rule := range o.Roles {
		if rule.Value == "*" || slices.Contains(values, rule.Value) {
			return rule.RoleARN, nil
		}
	}
	for _, v := range values {
		if strings.HasPrefix(v, "arn:aws:iam::") && strings.Contains(v, ":role/") {
			return v, nil
		}
	}
	return "", oidcError(codeOIDCNoRole, "No role is meant for this person: sign_in.oidc.roles names none for the claim "+strconv.Quote(o.RoleClaim)+".", nil)
}

// claimTexts are the texts of a claim that is a text or a list.
func claimTexts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case []any:
		var out []string
		for _, v := range claim {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// sessionForm is the form of a role session's name (STS API reference).
var sessionForm = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)

// sessionName names a person's session. A name is taken as it is or not at all: two
// people must not come to share one.
func (o *OIDC) sessionName(claims map[string]any) (string, error) {
	name, _ := claims[o.NameClaim].(string)
	if o.NameClaim == "email" && claims["email_verified"] != true && claims["email_verified"] != "true" {
		name = ""
	}
	if !sessionForm.MatchString(name) {
		return "", oidcError(codeOIDCNoName, "The ID token has no (verified) claim "+strconv.Quote(o.NameClaim)+
			" that can name a session: sign_in.oidc.session_name can be another claim.", nil)
	}
	return name, nil
}

// assumeByToken calls sts:AssumeRoleWithWebIdentity and gives the id of the credentials,
// which stay here.
func (c *Console) assumeByToken(r *http.Request, roleARN, name, token string) (string, error) {
	body, err := json.Marshal(map[string]string{"RoleArn": roleARN, "RoleSessionName": name, "WebIdentityToken": token})
	if err != nil {
		return "", err
	}
	call := r.Clone(r.Context())
	call.Method, call.URL.Path = http.MethodPost, apiPath+"sts/AssumeRoleWithWebIdentity"
	call.Body, call.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	call.Header.Set("Content-Length", strconv.Itoa(len(body)))
	out := &captured{header: http.Header{}, status: http.StatusOK}
	c.call(out, call) // by nobody: the token is the proof
	if out.status != http.StatusOK {
		return "", refusedRole(out.body.Bytes())
	}
	var answered struct {
		Credentials struct {
			AccessKeyID string `json:"AccessKeyId"`
		}
	}
	if err := json.Unmarshal(out.body.Bytes(), &answered); err != nil || answered.Credentials.AccessKeyID == "" {
		return "", fmt.Errorf("the answer of AssumeRoleWithWebIdentity has no credentials: %w", err)
	}
	return answered.Credentials.AccessKeyID, nil
}

// refusedRole is the error of an operation's refusal.
func refusedRole(body []byte) error {
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Other   string `json:"Message"`
	}
	json.Unmarshal(body, &refusal) // what cannot be read stays empty
	message := cmp.Or(refusal.Message, refusal.Other)
	if strings.HasPrefix(refusal.Type, "AccessDenied") {
		return oidcError(codeOIDCDenied, "The trust policy of the role does not allow this person: "+message, nil)
	}
	return oidcError(codeOIDCToken, "AssumeRoleWithWebIdentity: "+refusal.Type+": "+message, nil)
}
