package logstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

// world is a log service on a real store, served over HTTP, with the users alice, an
// administrator, and bob, who may do nothing until [world.allow] says so.
type world struct {
	t      *testing.T
	store  *store.Store
	server *Server
	http   *httptest.Server
	keys   *fakeKeys
	ahead  atomic.Int64 // how far the service's clock is ahead, in nanoseconds
}

func newWorld(t *testing.T) *world { return newWorldOn(t, storetest.Open(t)) }

func newWorldOn(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := &world{t: t, store: s, keys: &fakeKeys{}}
	a, err := auth.New(auth.Config{Store: w.store, ARNs: arns})
	must(t, err)
	w.server, err = New(Config{Store: w.store, Auth: a, ARNs: arns, Keys: w.keys,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	must(t, err)
	api, err := awsapi.New(awsapi.Config{Operations: w.server.Operations(), Authenticate: a.ForAPI})
	must(t, err)
	w.http = httptest.NewServer(api)
	t.Cleanup(w.http.Close)
	for _, name := range []string{"alice", "bob"} {
		id := "AIDA" + strings.Repeat(strings.ToUpper(name[:1]), 17)
		must(t, w.store.CreateUser(t.Context(), store.User{ID: id, Name: name, CreatedAt: time.Now()}))
		cred := credentials(name)
		must(t, w.store.CreateAccessKey(t.Context(), store.AccessKey{
			ID: cred.AccessKeyID, UserID: id, Secret: store.Secret(cred.SecretAccessKey), Active: true, CreatedAt: time.Now()}))
	}
	must(t, w.store.AttachPolicy(t.Context(), user("alice"), "arn:aws:iam::aws:policy/AdministratorAccess", 10))
	return w
}

func user(name string) store.Entity { return store.Entity{Type: store.EntityUser, Name: name} }

func credentials(user string) sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "AKIA" + strings.Repeat(strings.ToUpper(user[:1]), 16), SecretAccessKey: user + "'s secret"}
}

// allow gives bob one statement.
func (w *world) allow(action, resource string) {
	w.t.Helper()
	document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":%q,"Resource":%q}}`, action, resource)
	must(w.t, w.store.PutInlinePolicy(w.t.Context(), user("bob"), "test", document, len(document), 1<<20))
}

// try calls an operation as a user, over HTTP.
func (w *world) try(user, operation string, in, out any) error {
	c := awsapi.Client{Endpoint: w.http.URL, Sign: func(r *http.Request, body []byte) error {
		sigv4.Sign(r, sigv4.Hash(body), credentials(user), arns.Region, "logs", time.Now())
		return nil
	}}
	return c.Call(w.t.Context(), "Logs_20140328."+operation, in, out)
}

// do calls an operation as alice, which must succeed.
func do[Out any](w *world, operation string, in any) Out {
	w.t.Helper()
	var out Out
	if err := w.try("alice", operation, in, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// refused calls an operation as alice and wants an error whose text begins so.
func (w *world) refused(want, operation string, in any) {
	w.t.Helper()
	err := w.try("alice", operation, in, nil)
	e, ok := errors.AsType[*ssm.Error](err)
	if !ok || !strings.HasPrefix(e.Error(), want) {
		w.t.Errorf("%s: %v\nwant %s", operation, err, want)
	}
}

// stream makes a group and streams in it.
func (w *world) stream(group string, streams ...string) {
	w.t.Helper()
	do[Empty](w, "CreateLogGroup", &CreateLogGroupInput{LogGroupName: group})
	for _, name := range streams {
		do[Empty](w, "CreateLogStream", &StreamInput{LogGroupName: group, LogStreamName: name})
	}
}

// put puts messages a second apart into a stream; the first is at.
func (w *world) put(group, stream string, at time.Time, messages ...string) PutLogEventsOutput {
	w.t.Helper()
	return do[PutLogEventsOutput](w, "PutLogEvents", batch(group, stream, at, messages...))
}

func batch(group, stream string, at time.Time, messages ...string) *PutLogEventsInput {
	in := &PutLogEventsInput{LogGroupName: group, LogStreamName: stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, InputLogEvent{Timestamp: new(at.Add(time.Duration(i) * time.Second).UnixMilli()), Message: new(Text(m))})
	}
	return in
}

func texts(events []OutputLogEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Message))
	}
	return strings.Join(all, " ")
}

func filtered(events []FilteredLogEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, e.LogStreamName+":"+string(e.Message))
	}
	return strings.Join(all, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v\nwant %v", what, got, want)
	}
}
