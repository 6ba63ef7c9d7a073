// Package control is the control plane: one method per API operation, one file per
// noun. A method starts with [auth.Auth.Authorize], so that a caller without
// permission learns nothing about what exists, then acts through the store, and
// reaches a node only by asking the fabric for whoever holds its control channel.
//
// It promises that a session, the hash of its token and the audit event of its start
// are stored together or not at all, and before any node hears of it; that a token or
// an activation code is shown once and kept as a hash; and that every write may be
// repeated, because SDKs repeat. sekishod serves [Server.Operations] through awsapi;
// the console calls the same methods as the signed-in principal.
package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/fabric"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Config says what a Server works with.
type Config struct {
	Store  *store.Store
	Auth   *auth.Auth
	Fabric *fabric.Fabric
	ARNs   ssm.ARNs // the deployment's region and account

	// PublicURL is where clients and nodes reach the server, "https://host:port". It
	// names the message gateway in answers.
	PublicURL string
	// StreamHost, if set, chooses the gateway's host and port from those that the
	// client called, so that a client that came by another name of the server stays
	// with it. An empty answer means the host of PublicURL.
	StreamHost func(requestHost string) string

	// PageTokenKey protects page tokens. Every server of a deployment must have the
	// same; nil derives it from the store's master key.
	PageTokenKey []byte

	TokenTTL      time.Duration // a client token must be used within this; zero means a minute (api.md §6.2)
	CredentialTTL time.Duration // life of a node's credentials; zero means an hour (api.md §11.3)
	PollHold      time.Duration // how long an empty poll of a node is held; zero means 15 s (agent-control-plane.md §3.2)
	HistoryLife   time.Duration // how long an ended session is listed; zero means 30 days (api.md §6.1)
	FabricTimeout time.Duration // how long to wait for a gateway's answer; zero means 5 s

	// MaxDocuments bounds the documents of the account; zero means 500, as at AWS
	// (api.md §9.1).
	MaxDocuments int

	// MaxSessionsPerNode bounds the live sessions of one node; zero means 1000, the
	// number of session workers that a stock agent runs at the most.
	MaxSessionsPerNode int
	// MaxStandardNodes is how many hybrid nodes the standard tier has room for. Default
	// 1000 (api.md §13).
	MaxStandardNodes int

	// ClassicDocumentAccess is the older rule by which StartSession needs no permission on
	// the default document (ADR 0014).
	ClassicDocumentAccess bool

	// Event makes the audit event of a call that succeeds, and Recorded says that it is
	// stored: StartSession stores its event together with the session. What else is
	// called, and what is refused, awsapi's observer records.
	Event    func(ctx context.Context, action string, in, out any, resources ...string) store.AuditEvent
	Recorded func(ctx context.Context)

	// RecordingFiles are the recordings; nil if this server has none. OpenKey decrypts the
	// data key of an encrypted one, if the caller of ctx may (kms:Decrypt).
	RecordingFiles RecordingFiles
	OpenKey        func(ctx context.Context, sealed []byte, encryptionContext map[string]string) ([]byte, error)

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means none
}

// Server is the control plane. Its methods may be called concurrently; those named
// after operations read the caller from the context ([auth.WithPrincipal]).
type Server struct {
	cfg        Config
	streamHost string // of PublicURL
	failures   *failureLimiter
	joining    chan struct{} // holds one for each registration that goes on
	// transcribe has one value when a recording ended that has no transcript yet.
	transcribe chan struct{}

	stop     sync.Once
	stopping chan struct{} // closed by Close
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.Fabric == nil || cfg.ARNs.Account == "" || cfg.ARNs.Region == "" {
		return nil, errors.New("control needs a store, auth, a fabric, an account and a region")
	}
	if cfg.Event == nil || cfg.Recorded == nil {
		return nil, errors.New("control needs to know how an audit event is made")
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("public URL %q names no host", cfg.PublicURL)
	}
	if cfg.PageTokenKey == nil {
		cfg.PageTokenKey = cfg.Store.DeriveKey("page tokens")
	}
	setDefault(&cfg.TokenTTL, time.Minute)
	setDefault(&cfg.CredentialTTL, time.Hour)
	setDefault(&cfg.PollHold, 15*time.Second)
	setDefault(&cfg.HistoryLife, 30*24*time.Hour)
	setDefault(&cfg.FabricTimeout, 5*time.Second)
	setDefault(&cfg.MaxDocuments, 500)
	setDefault(&cfg.MaxSessionsPerNode, 1000)
	setDefault(&cfg.MaxStandardNodes, 1000)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:        cfg,
		streamHost: public.Host,
		failures:   newFailureLimiter(cfg.Now),
		joining:    make(chan struct{}, maxJoining),
		transcribe: make(chan struct{}, 1),
		stopping:   make(chan struct{}),
	}, nil
}

func setDefault[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Close answers the polls that are held, so that a listener that is shutting down need
// not wait for them. Other operations go on.
func (s *Server) Close() { s.stop.Do(func() { close(s.stopping) }) }

// Operations are the operations that awsapi serves.
func (s *Server) Operations() []awsapi.Operation {
	register := awsapi.Op("ssm", "RegisterManagedInstance", s.RegisterManagedInstance)
	register.Anonymous = true // guarded by its activation
	token := awsapi.Op("ssm", "RequestManagedInstanceRoleToken", s.RequestManagedInstanceRoleToken)
	token.NodeSigned = true
	newKey := awsapi.Op("ssm", "UpdateManagedInstancePublicKey", s.UpdateManagedInstancePublicKey)
	newKey.NodeSigned = true
	return []awsapi.Operation{
		awsapi.Op("ssm", "CreateActivation", s.CreateActivation),
		awsapi.Op("ssm", "DescribeActivations", s.DescribeActivations),
		awsapi.Op("ssm", "DeleteActivation", s.DeleteActivation),
		register,
		token,
		newKey,
		awsapi.Op("ssm", "DeregisterManagedInstance", s.DeregisterManagedInstance),
		awsapi.Op("ssm", "UpdateManagedInstanceRole", s.UpdateManagedInstanceRole),
		awsapi.Op("ssm", "GetServiceSetting", s.GetServiceSetting),
		awsapi.Op("ssm", "UpdateServiceSetting", s.UpdateServiceSetting),
		awsapi.Op("ssm", "ResetServiceSetting", s.ResetServiceSetting),
		awsapi.Op("ssm", "UpdateInstanceInformation", s.UpdateInstanceInformation),
		awsapi.Op("ssm", "DescribeInstanceInformation", s.DescribeInstanceInformation),
		awsapi.Op("ssm", "DescribeInstanceProperties", s.DescribeInstanceProperties),
		awsapi.Op("ssm", "ListNodes", s.ListNodes),
		awsapi.Op("ssm", "ListNodesSummary", s.ListNodesSummary),
		awsapi.Op("ec2", "DescribeInstances", s.DescribeInstances),
		awsapi.Op("ssm", "StartSession", s.StartSession),
		awsapi.Op("ssm", "ResumeSession", s.ResumeSession),
		awsapi.Op("ssm", "TerminateSession", s.TerminateSession),
		awsapi.Op("ssm", "DescribeSessions", s.DescribeSessions),
		awsapi.Op("ssm", "GetConnectionStatus", s.GetConnectionStatus),
		awsapi.Op("ssm", "CreateDocument", s.CreateDocument),
		awsapi.Op("ssm", "GetDocument", s.GetDocument),
		awsapi.Op("ssm", "DescribeDocument", s.DescribeDocument),
		awsapi.Op("ssm", "UpdateDocument", s.UpdateDocument),
		awsapi.Op("ssm", "UpdateDocumentDefaultVersion", s.UpdateDocumentDefaultVersion),
		awsapi.Op("ssm", "DeleteDocument", s.DeleteDocument),
		awsapi.Op("ssm", "ListDocuments", s.ListDocuments),
		awsapi.Op("ssm", "ListDocumentVersions", s.ListDocumentVersions),
		awsapi.Op("ssm", "DescribeDocumentPermission", s.DescribeDocumentPermission),
		awsapi.Op("ssm", "ModifyDocumentPermission", s.ModifyDocumentPermission),
		awsapi.Op("ssm", "AddTagsToResource", s.AddTagsToResource),
		awsapi.Op("ssm", "RemoveTagsFromResource", s.RemoveTagsFromResource),
		awsapi.Op("ssm", "ListTagsForResource", s.ListTagsForResource),
		awsapi.Op("ssm", "ListInstanceAssociations", s.ListInstanceAssociations),
		awsapi.Op("ssm", "ListAssociations", s.ListAssociations),
		awsapi.Op("ec2messages", "GetMessages", s.GetMessages),
		awsapi.Op("sekisho", "GetNodeHours", s.GetNodeHours),
		awsapi.Op("sekisho", "EndUnauthorizedSessions", s.EndUnauthorizedSessions),
		awsapi.Op("sekisho", "ListRecordings", s.ListRecordings),
		awsapi.Op("sekisho", "GetRecording", s.GetRecording),
		awsapi.Op("sekisho", "VerifyRecording", s.VerifyRecording),
		awsapi.Op("sekisho", "PutLegalHold", s.PutLegalHold),
		awsapi.Op("sekisho", "SearchTranscripts", s.SearchTranscripts),
		awsapi.Op("sekisho", "WatchSession", s.WatchSession),
	}
}

// authorize asks for one action on one resource.
func (s *Server) authorize(ctx context.Context, action, resource string) error {
	return s.cfg.Auth.Authorize(ctx, auth.Request{Action: action, Resource: resource})
}

// everything is the resource of an operation without resource-level permission.
const everything = "*"

// tagContext gives the condition keys that a resource's tags make.
func tagContext(tags []ssm.Tag) map[string][]string {
	keys := make(map[string][]string, 2*len(tags)+1)
	for _, t := range tags {
		keys["ssm:resourceTag/"+t.Key] = []string{t.Value}
		keys["aws:ResourceTag/"+t.Key] = []string{t.Value}
	}
	return keys
}

// node gives a registered node, or nil. What cannot be a node's id is not looked up.
func (s *Server) node(ctx context.Context, id string) (*store.Node, error) {
	if !ssm.IsNodeID(id) {
		return nil, nil
	}
	n, err := s.cfg.Store.Node(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !n.DeregisteredAt.IsZero() {
		return nil, nil
	}
	return &n, nil
}

// secretHash is what is stored of an activation code.
func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// validation is a refused input that no constraint of the model covers.
func validation(format string, args ...any) error {
	return ssm.Errorf(ssm.CodeValidation, format, args...)
}
