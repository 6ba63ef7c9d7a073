package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// cookieName has the prefix by which browsers take it only with Secure, for the whole
	// host and for no other (RFC 6265bis §4.1.3.2).
	cookieName = "__Host-sekisho-session"
	// headerConsole must be in every request that does something. A page of another origin
	// cannot set it without asking first, and nobody answers that it may.
	headerConsole = "X-Sekisho-Console"

	apiPath = "/console/api/"
	// maxRequest bounds the console's own requests, in bytes; operations have the bound of
	// the API.
	maxRequest = 64 << 10
	// maxMay bounds how many permissions are asked for at once.
	maxMay = 200
)

// signInInput is the request of /console/sign-in.
type signInInput struct {
	UserName string
	Password store.Secret
	MFACode  store.Secret
}

// session is what the pages know of who is signed in.
type session struct {
	UserName string
	ARN      string
	UserID   string `json:"UserId"`
	Account  string
	Region   string
	Endpoint string
	MFA      bool
	// Of a role that the user has switched to: its name, and when it ends, as a date of
	// RFC 3339.
	Role     string `json:",omitempty"`
	RoleEnds string `json:",omitempty"`
	// Federated says that an identity provider vouches for the person, so that the role
	// is the one of the sign-in.
	Federated bool `json:",omitempty"`
}

func (c *Console) session(s auth.ConsoleSession) session {
	p := s.Principal
	out := session{UserName: cmp.Or(s.User.UserName, s.User.SessionName), ARN: p.ARN, UserID: p.UserID, Account: p.Account,
		Region: c.cfg.Region, Endpoint: c.cfg.Endpoint, MFA: !p.MFAAt.IsZero(), Role: p.RoleName, Federated: s.Federated}
	if !s.RoleEnds.IsZero() {
		out.RoleEnds = s.RoleEnds.UTC().Format(time.RFC3339)
	}
	return out
}

// serveAPI answers what the pages ask for.
func (c *Console) serveAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := sameOrigin(r); err != nil {
		refuse(w, err)
		return
	}
	if r.URL.Path == "/console/sign-in" {
		c.signIn(w, r)
		return
	}
	if r.URL.Path == "/console/sign-in-methods" {
		answer(w, http.StatusOK, c.methods())
		return
	}
	token := ""
	if cookie, err := r.Cookie(cookieName); err == nil {
		token = cookie.Value
	}
	signedIn, err := c.cfg.Auth.Console(r.Context(), token)
	if err != nil {
		c.fail(w, err)
		return
	}
	p := signedIn.Principal
	switch path := r.URL.Path; {
	case path == "/console/session":
		answer(w, http.StatusOK, c.session(signedIn))
	case path == "/console/switch-role":
		c.switchRole(w, r, token, signedIn)
	case path == "/console/sign-out":
		c.signOut(w, r, token, p)
	case path == "/console/may":
		c.may(w, r, p)
	case strings.HasPrefix(path, apiPath):
		c.operation(w, r, p)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

// sameOrigin refuses what another site's page sends (Fetch Metadata, and Origin for
// browsers that lack it).
func sameOrigin(r *http.Request) error {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if r.Header.Get(headerConsole) == "" || site != "" && site != "same-origin" || origin != "" && origin != "https://"+r.Host {
		return &ssm.Error{Code: ssm.CodeAccessDenied, Status: http.StatusForbidden, Message: "The request does not come from the console's own page."}
	}
	return nil
}

// operation calls an operation of the API as the principal: the path names it, the body
// is its input as JSON, whatever protocol its service has otherwise.
func (c *Console) operation(w http.ResponseWriter, r *http.Request, p auth.Principal) {
	c.call(w, r.WithContext(auth.WithPrincipal(r.Context(), p)))
}

// call calls an operation as the caller in the context of r, if there is one.
func (c *Console) call(w http.ResponseWriter, r *http.Request) {
	service, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, apiPath), "/")
	if !ok || service == "" || name == "" || strings.ContainsAny(name, "./") {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	call := r.Clone(r.Context())
	call.URL.Path, call.URL.RawQuery = "/", ""
	call.Header.Set("X-Amz-Target", service+"."+name)
	call.Header.Set("Content-Type", "application/x-amz-json-1.1")
	call.Header.Del("Authorization")
	c.api.ServeHTTP(w, call)
}

// jsonServices are all services, spoken to in JSON.
func jsonServices() []awsapi.Service {
	services := awsapi.Services()
	for i := range services {
		s := &services[i]
		s.Protocol, s.TargetPrefix, s.ShortPrefix = awsapi.JSON, s.SigningName, ""
	}
	return services
}

// authenticate takes the caller whom serveAPI has proved. What nodes sign for themselves
// is not for people.
func authenticate(ctx context.Context, _ *http.Request, _ []byte, op awsapi.Operation) (context.Context, error) {
	if p, ok := auth.From(ctx); !ok || p.Kind != auth.User && p.Kind != auth.RoleSession || !p.ViaConsole || op.NodeSigned {
		return ctx, ssm.Errorf(ssm.CodeAccessDenied, "The operation %s is not for the console.", op.Name)
	}
	return ctx, nil
}

// methods says how one can sign in beside user and password.
func (c *Console) methods() any {
	var out struct {
		OIDC string `json:",omitempty"` // the name of the identity provider
	}
	if c.federation != nil {
		out.OIDC = c.federation.cfg.Name
	}
	return out
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	var in signInInput
	if err := read(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	ctx := c.request(r)
	token, p, err := c.cfg.Auth.SignIn(ctx, auth.SignInInput{UserName: in.UserName, Password: in.Password, MFACode: in.MFACode})
	if err == nil {
		ctx = auth.WithPrincipal(ctx, p)
	}
	c.recordSignIn(ctx, p, err)
	if err != nil {
		c.fail(w, err)
		return
	}
	setCookie(w, token, 0)
	answer(w, http.StatusOK, c.session(auth.ConsoleSession{Principal: p, User: p}))
}

// loginFacts are what the trail tells of a sign-in, by the names of CloudTrail's
// ConsoleLogin. The name that somebody typed is not among them: people type passwords
// there.
type loginFacts struct{ MFAUsed string }

type loginOutcome struct{ ConsoleLogin string }

func (c *Console) recordSignIn(ctx context.Context, p auth.Principal, err error) {
	facts := &loginFacts{MFAUsed: "No"}
	if !p.MFAAt.IsZero() {
		facts.MFAUsed = "Yes"
	}
	c.cfg.Record(ctx, "signin:ConsoleLogin", facts, &loginOutcome{ConsoleLogin: "Success"}, err)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, token string, p auth.Principal) {
	var in struct{ Everywhere bool }
	if err := read(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	err := c.cfg.Auth.SignOut(r.Context(), token, in.Everywhere)
	c.cfg.Record(auth.WithPrincipal(c.request(r), p), "signin:ConsoleLogout", &in, nil, err)
	if err != nil {
		c.fail(w, err)
		return
	}
	setCookie(w, "", -1)
	answer(w, http.StatusOK, struct{}{})
}

// permission is an answer of /console/may.
type permission struct {
	Allowed bool
	Message string `json:",omitempty"` // the refusal, as the operation would say it
}

func (c *Console) may(w http.ResponseWriter, r *http.Request, p auth.Principal) {
	var in struct{ Requests []auth.MayRequest }
	if err := read(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	if len(in.Requests) > maxMay {
		refuse(w, ssm.Errorf(ssm.CodeValidation, "More than %d requests", maxMay))
		return
	}
	ctx := auth.WithPrincipal(c.request(r), p)
	out := make([]permission, len(in.Requests))
	for i, m := range in.Requests {
		allowed, message, err := c.cfg.Auth.May(ctx, m)
		if err != nil {
			c.fail(w, err)
			return
		}
		out[i] = permission{allowed, message}
	}
	answer(w, http.StatusOK, struct{ Results []permission }{out})
}

// request is a context with the facts of r, as the API has them.
func (c *Console) request(r *http.Request) context.Context {
	return awsapi.WithHTTPRequest(r.Context(), r)
}

// setCookie gives the browser a session, or with a negative age takes it away. It has no
// end of its own: the server knows when it is over.
func setCookie(w http.ResponseWriter, token string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: token, Path: "/", MaxAge: age,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// read decodes a small JSON body.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		err = d.Decode(into)
	}
	if err != nil {
		return ssm.Errorf(ssm.CodeValidation, "The request is not the JSON that is expected.")
	}
	return nil
}

// fail answers an error. One that is not of the API is logged; its detail stays here.
func (c *Console) fail(w http.ResponseWriter, err error) {
	if _, ok := errors.AsType[*ssm.Error](err); !ok && !errors.Is(err, context.Canceled) {
		c.cfg.Logger.Error("console request failed", "error", err)
	}
	refuse(w, err)
}

func refuse(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*ssm.Error](err)
	if !ok {
		e = &ssm.Error{Code: ssm.CodeInternal, Status: http.StatusInternalServerError, Message: "An internal error occurred."}
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	answer(w, status, struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("console answer: %v", err)) // plain structs
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
