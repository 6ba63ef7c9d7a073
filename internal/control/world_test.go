package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	_ "modernc.org/sqlite"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/trail"
)

var arns = ssm.ARNs{Region: "local-1", Account: "123456789012"}

// world is a control plane on a real store and fabric, served over HTTP, with the users
// alice, an administrator, and bob, who may do nothing.
type world struct {
	t      *testing.T
	file   string // of the database
	store  *store.Store
	fabric *fabric.Fabric
	auth   *auth.Auth
	trail  *trail.Recorder
	server *Server
	http   *httptest.Server
	ahead  atomic.Int64 // how far the control plane's clock is ahead, in nanoseconds
}

// newWorld makes a world; change may alter the control plane's configuration.
func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "state.db")}
	var err error
	w.store, err = store.Open(t.Context(), store.Config{
		DSN: "sqlite:" + w.file, MasterKey: bytes.Repeat([]byte{7}, store.MasterKeySize),
	})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	w.fabric, err = fabric.Open(fabric.Config{})
	must(t, err)
	t.Cleanup(w.fabric.Close)
	w.auth, err = auth.New(auth.Config{Store: w.store, ARNs: arns})
	must(t, err)
	w.trail, err = trail.New(trail.Config{Store: w.store, ARNs: arns})
	must(t, err)
	t.Cleanup(func() { must(t, w.trail.Close(context.Background())) })
	cfg := Config{
		Store: w.store, Auth: w.auth, Fabric: w.fabric, ARNs: arns, PublicURL: "https://sekisho.test:8443",
		Event: w.trail.Event, Recorded: trail.Recorded,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	}
	for _, f := range change {
		f(&cfg)
	}
	w.server, err = New(cfg)
	must(t, err)
	t.Cleanup(w.server.Close)
	api, err := awsapi.New(awsapi.Config{
		Operations: w.server.Operations(), Authenticate: w.auth.ForAPI, Observe: w.trail.Observe,
	})
	must(t, err)
	w.http = httptest.NewServer(api)
	t.Cleanup(w.http.Close)

	for _, u := range []store.User{{ID: "AIDAAAAAAAAAAAAAAAAAA", Name: "alice"}, {ID: "AIDABBBBBBBBBBBBBBBBB", Name: "bob"}} {
		u.CreatedAt = time.Now()
		must(t, w.store.CreateUser(t.Context(), u))
		must(t, w.store.CreateAccessKey(t.Context(), store.AccessKey{
			ID: accessKeyID(u.Name), UserID: u.ID, Secret: store.Secret(u.Name + "'s secret"), Active: true, CreatedAt: u.CreatedAt,
		}))
	}
	must(t, w.store.AttachPolicy(t.Context(), store.Entity{Type: store.EntityUser, Name: "alice"},
		"arn:aws:iam::aws:policy/AdministratorAccess", 10))
	w.role("NodeRole", "/service-role/")
	must(t, w.store.PutSetting(t.Context(), store.Setting{
		ID: ssm.ActivationTierSetting, Value: ssm.TierAdvanced, ModifiedAt: time.Now(), ModifiedBy: "System",
	}))
	return w
}

// role makes a role that nodes may be given.
func (w *world) role(name, path string) {
	w.t.Helper()
	must(w.t, w.store.CreateRole(w.t.Context(), store.Role{
		ID: "AROA" + rand.Text()[:17], Name: name, Path: path, MaxSession: time.Hour, CreatedAt: time.Now(),
		TrustPolicy: `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
			"Principal": {"Service": "ssm.amazonaws.com"}}}`,
	}))
	must(w.t, w.store.AttachPolicy(w.t.Context(), store.Entity{Type: store.EntityRole, Name: name},
		"arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", 10))
}

func accessKeyID(user string) string {
	return "AKIA" + strings.Repeat(strings.ToUpper(user[:1]), 16)
}

// as gives a context in which a user is the caller.
func (w *world) as(user string) context.Context {
	w.t.Helper()
	u, err := w.store.UserByName(w.t.Context(), user)
	must(w.t, err)
	return auth.WithPrincipal(w.t.Context(), w.auth.UserPrincipal(u))
}

// asNode gives a context in which a node's role session is the caller.
func (w *world) asNode(id string) context.Context {
	return auth.WithPrincipal(w.t.Context(), auth.Principal{
		Kind: auth.RoleSession, RoleName: "NodeRole", NodeID: id, SessionName: id, ARN: "arn:aws:sts::123456789012:assumed-role/NodeRole/" + id,
	})
}

// client is a stock SDK that signs as a user.
func (w *world) client(user string) *awsssm.Client {
	return awsssm.New(awsssm.Options{
		Region:       arns.Region,
		BaseEndpoint: aws.String(w.http.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKeyID(user), user+"'s secret", ""),
		Retryer:      aws.NopRetryer{},
	})
}

// nodeKey is one key for all tests: making one takes a while.
var nodeKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func publicKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(nodeKey().Public())
	must(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

const fingerprint = "9f0ef5dd-8a2b-4f43-9f06-3c3f2f2b7a10"

// node registers a node and gives its id.
func (w *world) node(tags ...ssm.Tag) string {
	w.t.Helper()
	made, err := w.server.CreateActivation(w.as("alice"), &ssm.CreateActivationInput{
		IamRole: "service-role/NodeRole", DefaultInstanceName: "web", Tags: tags,
	})
	must(w.t, err)
	joined, err := w.server.RegisterManagedInstance(w.t.Context(), &ssm.RegisterManagedInstanceInput{
		ActivationID: made.ActivationID, ActivationCode: made.ActivationCode,
		Fingerprint: fingerprint, PublicKey: publicKey(w.t), PublicKeyType: "Rsa",
	})
	must(w.t, err)
	return joined.InstanceID
}

// gateway stands for the gateway that holds a node's control channel, and hands on what
// it is asked.
type gateway struct {
	asked chan fabric.NodeRequest
}

// connect opens a node's control channel. The answers are those of answer, or success.
func (w *world) connect(nodeID string, answer ...func(fabric.NodeRequest) error) *gateway {
	w.t.Helper()
	now := w.server.cfg.Now()
	must(w.t, w.store.ConnectNode(w.t.Context(), nodeID, "gateway", "3.4.0.0", "Linux", now.Add(time.Minute), now))
	g := &gateway{asked: make(chan fabric.NodeRequest, 100)}
	stop, err := w.fabric.Handle(fabric.Node(nodeID), func(_ context.Context, data []byte) ([]byte, error) {
		var r fabric.NodeRequest
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, err
		}
		g.asked <- r
		for _, f := range answer {
			if err := f(r); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	must(w.t, err)
	w.t.Cleanup(stop)
	return g
}

// relay stands for the gateway that relays a session.
func (w *world) relay(sessionID string, answer ...func(fabric.SessionRequest) error) chan fabric.SessionRequest {
	w.t.Helper()
	asked := make(chan fabric.SessionRequest, 100)
	stop, err := w.fabric.Handle(fabric.Session(sessionID), func(_ context.Context, data []byte) ([]byte, error) {
		var r fabric.SessionRequest
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, err
		}
		asked <- r
		for _, f := range answer {
			if err := f(r); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	must(w.t, err)
	w.t.Cleanup(stop)
	return asked
}

// session starts a session as a user on a connected node.
func (w *world) session(user, nodeID string) *ssm.StartSessionOutput {
	w.t.Helper()
	out, err := w.server.StartSession(w.as(user), &ssm.StartSessionInput{Target: nodeID})
	must(w.t, err)
	return out
}

func (w *world) stored(sessionID string) store.Session {
	w.t.Helper()
	s, err := w.store.Session(w.t.Context(), sessionID)
	must(w.t, err)
	return s
}

// next gives what was asked; the asker has its answer already or waits for it.
func next[T any](t *testing.T, asked <-chan T) T {
	t.Helper()
	select {
	case r := <-asked:
		return r
	default:
		t.Fatal("nothing was asked")
		panic("unreachable")
	}
}

func none[T any](t *testing.T, asked <-chan T) {
	t.Helper()
	select {
	case r := <-asked:
		t.Errorf("asked for %+v, want nothing", r)
	default:
	}
}

// dump is everything in the database, a line for each row.
func (w *world) dump() string {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.file)
	must(w.t, err)
	defer db.Close()
	tables := texts(w.t, db, `select name from sqlite_master where type = 'table' order by name`)
	if len(tables) < 5 {
		w.t.Fatalf("the database has the tables %v", tables)
	}
	var all strings.Builder
	for _, table := range tables {
		if strings.HasPrefix(table, "audit_") { // any call is recorded
			continue
		}
		rows, err := db.Query(`select * from "` + table + `" order by 1`)
		must(w.t, err)
		columns, err := rows.Columns()
		must(w.t, err)
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			must(w.t, rows.Scan(values...))
			fmt.Fprintf(&all, "%s:", table)
			for i, v := range values {
				if strings.HasPrefix(columns[i], "last_used") {
					continue
				}
				fmt.Fprintf(&all, " %v", *v.(*any))
			}
			all.WriteString("\n")
		}
		must(w.t, rows.Err())
		must(w.t, rows.Close())
	}
	return all.String()
}

func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	must(t, err)
	defer rows.Close()
	var list []string
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		list = append(list, text)
	}
	must(t, rows.Err())
	return list
}

// audited gives the actions on the audit trail, with the codes of those that were
// refused.
func (w *world) audited() []string {
	w.t.Helper()
	must(w.t, w.trail.Close(w.t.Context())) // stores what is queued
	events, _, err := w.store.AuditEvents(w.t.Context(), store.AuditFilter{}, store.Page{Limit: 1000})
	must(w.t, err)
	var list []string
	for _, e := range events {
		list = append(list, strings.TrimSpace(e.Action+" "+e.ErrorCode))
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *ssm.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		t.Errorf("error = %v\nwant    %s: %s", err, code, message)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if !ssm.IsCode(err, code) {
		t.Errorf("error = %v, want %s", err, code)
	}
}

// wantAPIError is wantError for what a stock SDK made of an error.
func wantAPIError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("error = %v\nwant    %s: %s", err, code, message)
	}
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
