package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/batch"
	"sekisho/internal/console"
	"sekisho/internal/control"
	"sekisho/internal/fabric"
	"sekisho/internal/gateway"
	"sekisho/internal/iam"
	"sekisho/internal/kms"
	"sekisho/internal/logstream"
	"sekisho/internal/recorder"
	"sekisho/internal/s3"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/sts"
	"sekisho/internal/trail"
)

const (
	// headerTimeout bounds the TLS handshake and, again, the request's header.
	headerTimeout = 10 * time.Second
	// bodyTimeout bounds reading one request; bodies are at most a few megabytes.
	// Websockets are not bound by it: the server gives them up when they upgrade.
	bodyTimeout = 60 * time.Second
	// answerTimeout bounds one request from header to answer. It is above the 20 s for
	// which a long poll of ec2messages may wait, and above bodyTimeout.
	answerTimeout = 90 * time.Second
	// idleTimeout is how long a kept-alive connection may rest. Above the 30 s of the
	// stock agent's client, so that the client closes first.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes is ample: the longest header is a session token of some 2 KiB.
	maxHeaderBytes = 32 << 10
	// stopTimeout bounds a graceful stop.
	stopTimeout = 10 * time.Second

	// sweepInterval is how often what is no longer needed is removed from the database.
	sweepInterval = time.Hour
	// objectsDir holds the bytes of the buckets, encrypted. It is in the data directory.
	objectsDir = "objects"

	// lockOutInterval is how often it is looked whether identities changed.
	lockOutInterval = 2 * time.Second
)

// keepAlive notices a peer that is gone without a word (power, cable) within 15 s. The
// kernel answers for a peer whose program is merely stopped, as a stock plugin is while
// its terminal takes no output, so that no such peer is cut off.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 9 * time.Second, Interval: 2 * time.Second, Count: 3}

// server is a running server: everything behind the port, wired.
type server struct {
	cfg    config
	url    string
	name   string // of this gateway among those of the deployment
	arns   ssm.ARNs
	logger *slog.Logger

	store  *store.Store
	fabric *fabric.Fabric
	auth   *auth.Auth
	trail  *trail.Recorder
	kms    *kms.Server
	logs   *logstream.Server
	s3     *s3.Server
	// operations are those of all services.
	operations []awsapi.Operation
	sts        *sts.Server
	control    *control.Server
	gateway    *gateway.Gateway
	records    *recorder.Recorder
	stored     *recorder.Stored // nil: recordings are on this disk only
	http       *http.Server
	listener   net.Listener

	cancel     context.CancelCauseFunc // ends background
	background sync.WaitGroup
	served     chan error // what http.Serve returned; it has room for that
}

// startServer takes the port, opens what cfg names and serves. Whoever gets a server
// stops it.
func startServer(ctx context.Context, cfg config, logger *slog.Logger) (_ *server, err error) {
	// The name is new each time: a process that follows another at once must not be
	// taken for it.
	s := &server{cfg: cfg, name: ssm.NewUUID(), logger: logger}
	defer func() {
		if err != nil {
			s.closeParts(ctx)
		}
	}()
	// The port first: another server on it is the likeliest mistake, and must be found
	// before two processes work on one database.
	s.listener, err = listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	certificate, err := cfg.certificate(time.Now(), logger)
	if err != nil {
		return nil, err
	}
	s.url = cfg.publicURL(s.listener.Addr())
	s.store, err = openStore(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	deployment, err := s.store.Deployment(ctx)
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	if err := cfg.matches(deployment); err != nil {
		return nil, err
	}
	s.arns = ssm.ARNs{Region: deployment.Region, Account: deployment.AccountID}
	handler, err := s.wire(certificate)
	if err != nil {
		return nil, err
	}
	sinks, err := s.sinks()
	if err != nil {
		return nil, fmt.Errorf("sinks: %w", err)
	}
	if err := s.gateway.Recover(ctx); err != nil {
		return nil, fmt.Errorf("take up running sessions: %w", err)
	}

	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Failed handshakes, mostly: any port scan makes them.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	s.served = make(chan error, 1)
	secure := tls.NewListener(batch.Listener{Listener: s.listener}, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	})
	go func() { s.served <- s.http.Serve(secure) }()
	sweepCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.background.Go(func() { s.sweep(sweepCtx) })
	s.background.Go(func() { s.control.RunRecordings(sweepCtx, cfg.Recordings.Retention) })
	for _, k := range sinks {
		s.background.Go(func() { s.runSink(sweepCtx, k) })
	}
	if cfg.Sessions.LockOut == lockOutAutomatic {
		s.background.Go(func() { s.lockOut(sweepCtx) })
	}
	logger.Info("started", "url", s.url, "listen", s.listener.Addr().String(),
		"region", s.arns.Region, "account", s.arns.Account, "version", version)
	return s, nil
}

// wire makes the parts and joins them.
func (s *server) wire(certificate tls.Certificate) (http.Handler, error) {
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	s.fabric, err = fabric.Open(fabric.Config{URL: s.cfg.NATS.URL, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	s.auth, err = auth.New(auth.Config{Store: s.store, ARNs: s.arns, Skew: s.cfg.ClockSkew, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	s.trail, err = trail.New(trail.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	records, err := s.recorder()
	if err != nil {
		return nil, err
	}
	var files control.RecordingFiles = records.Archive()
	if err := s.openStored(records); err != nil {
		return nil, fmt.Errorf("recordings.store: %w", err)
	}
	if s.stored != nil {
		files = s.stored
	}
	s.control, err = control.New(control.Config{
		RecordingFiles: files,
		OpenKey: func(ctx context.Context, sealed []byte, encryptionContext map[string]string) ([]byte, error) {
			out, err := s.kms.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed, EncryptionContext: encryptionContext})
			if err != nil {
				return nil, err
			}
			return out.Plaintext, nil
		},
		Store: s.store, Auth: s.auth, Fabric: s.fabric, ARNs: s.arns, PublicURL: s.url, Logger: s.logger,
		ClassicDocumentAccess: s.cfg.Sessions.DocumentAccessCheck == accessClassic,
		HistoryLife:           s.cfg.Sessions.History,
		Event:                 s.trail.Event, Recorded: trail.Recorded,
		// A client that came by another name of ours stays with it, if it can trust it.
		StreamHost: func(requestHost string) string {
			host, _, err := net.SplitHostPort(requestHost)
			if err != nil {
				host = requestHost
			}
			if leaf.VerifyHostname(host) != nil {
				return ""
			}
			return requestHost
		},
	})
	if err != nil {
		return nil, err
	}
	record, err := s.recordings()
	if err != nil {
		return nil, err
	}
	s.gateway, err = gateway.New(gateway.Config{
		Store: s.store, Auth: s.auth, Fabric: s.fabric, ARNs: s.arns,
		TokenKey: s.store.DeriveKey("gateway channel tokens"),
		Name:     s.name,
		Logger:   s.logger,
		Record:   record,
	})
	if err != nil {
		return nil, err
	}
	if err := s.addServices(); err != nil {
		return nil, err
	}
	api, err := awsapi.New(awsapi.Config{
		Operations:   s.operations,
		Authenticate: s.authenticate,
		Observe:      s.observe,
		Logger:       s.logger,
	})
	if err != nil {
		return nil, err
	}
	provider, err := s.cfg.SignIn.OIDC.provider(s.sts.ProviderClient)
	if err != nil {
		return nil, err
	}
	pages, err := console.New(console.Config{Region: s.arns.Region, Endpoint: s.url, Assets: console.Built(), Auth: s.auth,
		Operations: s.operations, Observe: s.observe, Record: s.trail.Record, OIDC: provider, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	programs, err := newInstaller(s.cfg, s.url)
	if err != nil {
		return nil, err
	}
	return routes{gateway: s.gateway, s3: s.s3, api: api, console: pages, install: programs}, nil
}

// addServices makes the services and gathers their operations.
func (s *server) addServices() error {
	identities, err := iam.New(iam.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Logger: s.logger})
	if err != nil {
		return err
	}
	s.sts, err = sts.New(sts.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Logger: s.logger})
	if err != nil {
		return err
	}
	s.kms, err = kms.New(kms.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Logger: s.logger})
	if err != nil {
		return err
	}
	s.logs, err = logstream.New(logstream.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Keys: s.kms, Logger: s.logger})
	if err != nil {
		return err
	}
	s.s3, err = s3.New(s3.Config{Store: s.store, Auth: s.auth, ARNs: s.arns, Keys: s.kms, Logger: s.logger,
		Blobs: s3.Dir(filepath.Join(s.cfg.DataDir, objectsDir)), Domains: s.cfg.s3Domains(), Record: s.trail.Record})
	if err != nil {
		return err
	}
	s.operations = slices.Concat(s.control.Operations(), identities.Operations(), s.sts.Operations(),
		s.trail.Operations(), s.kms.Operations(), s.logs.Operations())
	return nil
}

// authenticate puts the caller of an API request into its context.
func (s *server) authenticate(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
	return s.auth.ForAPI(ctx, r, body, op)
}

// observe logs each answer of the API: refusals for operators, the rest when
// debugging. The trail keeps it.
func (s *server) observe(ctx context.Context, result awsapi.Result) {
	s.trail.Observe(ctx, result)
	level := slog.LevelDebug
	if result.Code != "" {
		level = slog.LevelInfo
	}
	principal, _ := auth.From(ctx)
	s.logger.Log(ctx, level, "api request",
		"service", result.Service, "operation", result.Operation, "status", result.Status, "code", result.Code,
		"principal", principal.ARN, "remote", result.SourceIP, "request_id", result.RequestID, "duration", result.Duration)
}

// sweep removes what has had its time until ctx ends.
func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		now := time.Now()
		err := s.control.Sweep(ctx)
		if err == nil {
			err = s.auth.SweepConsole(ctx)
		}
		if err == nil {
			err = s.kms.Sweep(ctx)
		}
		if err == nil {
			err = s.logs.Sweep(ctx)
		}
		if err == nil {
			err = s.s3.Sweep(ctx)
		}
		if retention := s.cfg.Audit.Retention; err == nil && retention > 0 {
			_, err = s.store.DeleteAuditBefore(ctx, now.Add(-retention))
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Warn("remove expired rows", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lockOut ends sessions that have lost their permission, whenever identities changed,
// until ctx ends.
func (s *server) lockOut(ctx context.Context) {
	tick := time.NewTicker(lockOutInterval)
	defer tick.Stop()
	var judged int64 // the revision of the identities that sessions were judged by
	for {
		revision, err := s.store.IdentityRevision(ctx)
		if err == nil && revision != judged {
			err = s.control.LockOut(ctx)
			if err == nil {
				judged = revision
			}
		}
		if err != nil && ctx.Err() == nil {
			s.logger.Warn("sessions not judged anew", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the server gracefully: requests that run are answered, channels are
// closed. Sessions live on in the database and at their two ends.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.cancel(errors.New("server stops"))
	s.background.Wait()
	// Shutdown closes the listener and waits for requests; it does not know the
	// channels, which have left HTTP. They close meanwhile, so that their peers look
	// for the next server at once.
	s.control.Close()
	s.logs.Close()
	shutdown := make(chan error, 1)
	go func() { shutdown <- s.http.Shutdown(ctx) }()
	err := s.gateway.Close(ctx)
	s.gateway = nil
	if shutdownErr := <-shutdown; shutdownErr != nil {
		err = errors.Join(err, fmt.Errorf("requests that still ran were cut: %w", shutdownErr), s.http.Close())
	}
	err = errors.Join(err, s.closeParts(ctx))
	if serveErr := <-s.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	s.logger.Info("stopped")
	return err
}

// closeParts closes whatever of the parts is open, in the order of their dependence.
func (s *server) closeParts(ctx context.Context) error {
	var err error
	if s.gateway != nil {
		err = errors.Join(err, s.gateway.Close(ctx))
	}
	if s.fabric != nil {
		s.fabric.Close()
	}
	if s.trail != nil { // after the last request, before the store
		err = errors.Join(err, s.trail.Close(ctx))
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.listener != nil {
		s.listener.Close() // already closed after serving
	}
	return err
}

// listen takes the port.
func listen(address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use: another server (perhaps another sekishod) listens there; stop it or choose another port", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be used by this user: choose a port above 1023", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// certificate is the configured one, or the private CA's.
func (c *config) certificate(now time.Time, logger *slog.Logger) (tls.Certificate, error) {
	if c.TLS.Certificate != "" {
		certificate, err := tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("tls: %w", err)
		}
		return certificate, nil
	}
	if !exists(filepath.Join(c.DataDir, caCertFile)) {
		return tls.Certificate{}, fmt.Errorf("no private CA in %s (`sekishod init` makes it) and no tls.certificate in the configuration", c.DataDir)
	}
	ca, err := openAuthority(c.DataDir, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	certificate, renewed, err := ca.serverCertificate(c.certNames(), now)
	if renewed != "" && err == nil {
		logger.Info("made a new server certificate", "reason", renewed)
	}
	return certificate, err
}

func openStore(ctx context.Context, cfg config, logger *slog.Logger) (*store.Store, error) {
	masterKey, err := readMasterKey(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{DSN: cfg.Database.DSN, MasterKey: masterKey, Logger: logger})
}

// matches refuses to serve a database under another name than it was made with: all
// ARNs in it, and every node's registration, hold that name.
func (c *config) matches(d store.Deployment) error {
	if c.Region != d.Region {
		return fmt.Errorf("region is %q, but the database was made for %q", c.Region, d.Region)
	}
	if c.Account != "" && c.Account != d.AccountID {
		return fmt.Errorf("account is %q, but the database was made for %q", c.Account, d.AccountID)
	}
	return nil
}
