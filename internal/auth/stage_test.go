package auth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sekisho/internal/awsapi"
	"sekisho/internal/policy"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

// The setting of the sample policies (api.md §21).
const (
	stageAccount = "111122223333"
	ssmARN       = "arn:aws:ssm:us-west-2:111122223333:"
	instanceA    = "arn:aws:ec2:us-west-2:111122223333:instance/i-0aaaaaaaaaaaaaaaa"
	instanceB    = "arn:aws:ec2:us-west-2:111122223333:instance/i-0bbbbbbbbbbbbbbbb"
	managedC     = ssmARN + "managed-instance/mi-0cccccccccccccccc"
	docShell     = ssmARN + "document/SSM-SessionManagerRunShell"
	docD1        = ssmARN + "document/exampleAllowedSessionDocument"
	docSSH       = "arn:aws:ssm:us-west-2::document/AWS-StartSSHSession"
	docPort      = "arn:aws:ssm:us-west-2::document/AWS-StartPortForwardingSession"
	docCommand   = "arn:aws:ssm:us-west-2::document/AWS-StartInteractiveCommand"
	checkKey     = "ssm:SessionDocumentAccessCheck"

	aliceID = "AIDAALICEAAAAAAAAAAAA"
	bobID   = "AIDABOBBBBBBBBBBBBBBB"
	opsID   = "AROAOPSOOOOOOOOOOOOOO"

	trustsAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"]}}`
)

var stageARNs = ssm.ARNs{Region: "us-west-2", Account: stageAccount}

// stage is a deployment whose callers are asked about over signed HTTP requests, so that
// the signature, the store and the decision all take part: the users alice and bob, and
// carol, who has credentials of the role Ops.
type stage struct {
	*testing.T
	store *store.Store
	auth  *Auth
	clock time.Time
	from  string // the address that requests come from
	creds map[string]sigv4.Credentials
	api   *awsapi.Handler
	probe func(context.Context) error // what the operation does
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return newStageOn(t, storetest.Open(t))
}

func newStageOn(t *testing.T, s *store.Store) *stage {
	t.Helper()
	st := &stage{T: t, store: s, clock: now, from: "192.0.2.17:4711", creds: map[string]sigv4.Credentials{}}
	st.serve()
	st.user("alice", aliceID)
	st.user("bob", bobID)
	must(t, s.CreateRole(t.Context(), store.Role{ID: opsID, Name: "Ops", Path: "/team/", TrustPolicy: trustsAccount, CreatedAt: now}))
	st.session("carol", store.TemporaryCredential{RoleName: "Ops", SessionName: "carol"})
	return st
}

// serve makes an Auth on the store, and the API that asks it.
func (s *stage) serve() {
	var err error
	s.auth, err = New(Config{Store: s.store, ARNs: stageARNs, Now: func() time.Time { return s.clock }})
	must(s.T, err)
	probe := awsapi.Op("ssm", "DescribeSessions", func(ctx context.Context, _ *struct{ State string }) (*struct{}, error) {
		return nil, s.probe(ctx)
	})
	s.api, err = awsapi.New(awsapi.Config{Operations: []awsapi.Operation{probe}, Authenticate: s.auth.ForAPI})
	must(s.T, err)
}

// user makes a user with an access key.
func (s *stage) user(name, id string, tags ...ssm.Tag) {
	s.Helper()
	must(s.T, s.store.CreateUser(s.Context(), store.User{ID: id, Name: name, CreatedAt: s.clock, Tags: tags}))
	key := store.AccessKey{ID: "AKIA" + id[4:20], UserID: id, Secret: store.Secret("secret of " + name), Active: true, CreatedAt: s.clock}
	must(s.T, s.store.CreateAccessKey(s.Context(), key))
	s.creds[name] = sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret.Reveal()}
}

// session makes temporary credentials under a name.
func (s *stage) session(name string, c store.TemporaryCredential) {
	s.Helper()
	keyID, secret, token := NewTemporaryCredentials()
	c.AccessKeyID, c.Secret, c.TokenHash = keyID, store.Secret(secret), TokenHash(token)
	c.IssuedAt, c.ExpiresAt = s.clock, s.clock.Add(time.Hour)
	must(s.T, s.store.CreateTemporaryCredential(s.Context(), c))
	s.creds[name] = sigv4.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token}
}

func policyText(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

func entity(name string) store.Entity {
	switch name {
	case "carol", "dave", "Ops":
		return store.Entity{Type: store.EntityRole, Name: "Ops"}
	}
	return store.Entity{Type: store.EntityUser, Name: name}
}

// give replaces the inline policy of a user, or of the role Ops for its sessions.
func (s *stage) give(name, statements string) {
	s.Helper()
	e := entity(name)
	must(s.T, s.store.PutInlinePolicy(s.Context(), e, "p", policyText(statements), 1, policy.QuotaRoleInline))
}

// managedPolicy makes a policy of the account and returns its ARN.
func (s *stage) managedPolicy(name, statements string) string {
	s.Helper()
	arn := "arn:aws:iam::" + stageAccount + ":policy/" + name
	must(s.T, s.store.CreatePolicy(s.Context(), store.ManagedPolicy{ID: "ANPA" + name, ARN: arn, Name: name, Path: "/", CreatedAt: s.clock},
		policyText(statements)))
	return arn
}

// call runs f in an operation that somebody calls, and returns the error of the answer.
func (s *stage) call(who string, f func(context.Context) error) error {
	s.Helper()
	s.probe = f
	text := []byte("{}")
	r := httptest.NewRequest(http.MethodPost, "https://sekisho.test:8443/", bytes.NewReader(text))
	r.RemoteAddr = s.from
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.DescribeSessions")
	r.Header.Set("User-Agent", "aws-cli/2.30")
	cred, ok := s.creds[who]
	if !ok {
		s.Fatalf("there is no %s", who)
	}
	sigv4.Sign(r, sigv4.Hash(text), cred, "us-west-2", "ssm", s.clock)
	w := httptest.NewRecorder()
	var inner error
	reached := false
	s.probe = func(ctx context.Context) error {
		reached = true
		inner = f(ctx)
		return inner
	}
	s.api.ServeHTTP(w, r)
	if !reached {
		return errors.New(strings.TrimSpace(w.Body.String()))
	}
	if (w.Code == http.StatusOK) != (inner == nil) {
		s.Fatalf("status %d for %v", w.Code, inner)
	}
	return inner
}

// ask asks the policies about somebody.
func (s *stage) ask(who string, reqs ...Request) error {
	s.Helper()
	return s.call(who, func(ctx context.Context) error { return s.auth.Authorize(ctx, reqs...) })
}

// may checks the answer to one pair.
func (s *stage) may(want bool, who, action, resource string, keys map[string][]string) {
	s.Helper()
	err := s.ask(who, Request{Action: action, Resource: resource, Context: keys})
	if (err == nil) != want || err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
		s.Errorf("%s, %s on %s with %v: %v, want allowed %v", who, action, resource, keys, err, want)
	}
}

// denied checks how the text of a denial ends.
func (s *stage) denied(err error, suffix string) {
	s.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != ssm.CodeAccessDenied || !strings.HasSuffix(e.Message, suffix) {
		s.Errorf("error = %v\nwant a denial that ends with %q", err, suffix)
	}
}

// owned asks for a session that somebody with an owner's user id has started.
func (s *stage) owned(want bool, who, action, id, owner string) {
	s.Helper()
	err := s.call(who, func(ctx context.Context) error {
		p, _ := From(ctx)
		r := s.auth.SessionRequest(p, action, id, owner, owner != "")
		if owner != "" {
			r.Context = map[string][]string{"ssm:resourceTag/aws:ssmmessages:session-id": {owner}}
		}
		return s.auth.Authorize(ctx, r)
	})
	if (err == nil) != want || err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
		s.Errorf("%s, %s on %s of %q: %v, want allowed %v", who, action, id, owner, err, want)
	}
}

// starts checks ssm:StartSession as its operation asks (api.md §5.2). An empty document
// is the default one, not named in the request.
func (s *stage) starts(want, classic bool, who, node, document string) {
	s.Helper()
	target := Request{Action: "ssm:StartSession", Resource: node, Context: map[string][]string{checkKey: {"true"}}}
	if node != instanceB {
		target.Context["ssm:resourceTag/Finance"] = []string{"WebServers"}
	}
	needed := !classic || document != "" && document != docShell
	if document == "" {
		document = docShell
	}
	onDocument := Request{Action: "ssm:StartSession", Resource: document}
	err := s.call(who, func(ctx context.Context) error {
		if needed {
			return s.auth.Authorize(ctx, target, onDocument)
		}
		d, err := s.auth.Decide(ctx, target)
		if err != nil {
			return err
		}
		for _, m := range d.Matched {
			if m.Statement.HasConditionKey(checkKey) {
				return s.auth.Authorize(ctx, target, onDocument)
			}
		}
		return s.auth.Authorize(ctx, target)
	})
	if (err == nil) != want || err != nil && !ssm.IsCode(err, ssm.CodeAccessDenied) {
		s.Errorf("%s starts on %s with %s (classic %v): %v, want %v", who, node, document, classic, err, want)
	}
}

func allow(actions, resources, condition string) string {
	list := func(s string) string { return `["` + strings.ReplaceAll(s, " ", `","`) + `"]` }
	s := `{"Effect":"Allow","Action":` + list(actions) + `,"Resource":` + list(resources)
	if condition != "" {
		s += `,"Condition":{` + condition + `}`
	}
	return s + "}"
}

func deny(actions, resources, condition string) string {
	return strings.Replace(allow(actions, resources, condition), "Allow", "Deny", 1)
}

const (
	own      = "-0123456789abcdef0" // behind the owner's name in a session's id
	sessions = "arn:aws:ssm:*:*:session/"
)
