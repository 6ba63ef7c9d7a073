package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"sekisho/internal/blob"
)

// config is sekishod.yaml. Each field's doc tag is its manual: `sekishod config
// describe` prints it, and init writes it into the file it makes.
type config struct {
	DataDir string `yaml:"data_dir" doc:"Directory of the server's files: master.key, the private CA (ca.pem, ca.key), the server certificate (server.pem, server.key) and, with SQLite, the database. A relative path is relative to this file."`
	Listen  string `yaml:"listen" doc:"Address and port of the one TLS listener. The API, the message gateway and the console share it. \"[::]:8443\" listens on all addresses."`

	PublicURL     string   `yaml:"public_url" doc:"How clients and nodes reach this server: https://HOST or https://HOST:PORT. It is in the StreamUrl that sessions are given. Empty: the first public name (else the listen address, else localhost) with the port of the listener."`
	PublicNames   []string `yaml:"public_names" doc:"Host names and IP addresses under which clients and nodes reach this server. The certificate covers them beside localhost, 127.0.0.1 and ::1; changing the list renews the certificate at the next start."`
	ServiceDomain string   `yaml:"service_domain" doc:"Domain below which the services have names of their own, such as ssm.REGION.DOMAIN, for stock agents that are pointed here by Agent.ServiceDomain. The certificate then covers *.REGION.DOMAIN and *.s3.REGION.DOMAIN. Empty: none."`

	Region  string `yaml:"region" doc:"The region that this deployment serves. Requests signed for another one are refused, except those of iam and global sts. It cannot change once nodes are registered: it is part of every ARN."`
	Account string `yaml:"account" doc:"The account, 12 digits in quotation marks. It cannot change either."`

	Database databaseConfig `yaml:"database" doc:"Where the state is."`
	TLS      tlsConfig      `yaml:"tls" doc:"A certificate of your own instead of one from the private CA."`
	NATS     natsConfig     `yaml:"nats" doc:"Delivery between the servers of a cluster."`

	Sessions   sessionConfig   `yaml:"sessions" doc:"What sessions are held to."`
	Recordings recordingConfig `yaml:"recordings" doc:"Recordings of sessions, made by this server where the node cannot touch them: signed files in the directory recordings of data_dir."`
	Sinks      sinkConfig      `yaml:"sinks" doc:"Services outside of this deployment that get what its buckets and log groups get, under the same names. What they have not taken yet is kept here and tried again."`
	Audit      auditConfig     `yaml:"audit" doc:"The audit trail: each call of the API, as an event."`

	SignIn signInConfig `yaml:"sign_in" doc:"How people sign in to the console beside user and password."`

	ClockSkew time.Duration `yaml:"clock_skew" doc:"How far the date of a signed request may be from this server's clock."`

	Log logConfig `yaml:"log" doc:"The server's log goes to standard error."`
}

type databaseConfig struct {
	DSN string `yaml:"dsn" doc:"\"sqlite:PATH\" (a relative path is relative to data_dir) or a PostgreSQL URL, \"postgres://USER@HOST/DATABASE\". Keep a password out of it: PGPASSWORD and the file that PGPASSFILE names are read too."`
}

type tlsConfig struct {
	Certificate string `yaml:"certificate" doc:"PEM file with the certificate and its chain. Empty: the private CA issues one and renews it. A relative path is relative to data_dir."`
	Key         string `yaml:"key" doc:"PEM file with its private key."`
}

type natsConfig struct {
	URL string `yaml:"url" doc:"URL of a NATS server, such as \"nats://10.0.0.5:4222\". Empty: NATS inside this process, without a port; enough for one server."`
}

type sessionConfig struct {
	DocumentAccessCheck string        `yaml:"document_access_check" doc:"strict: ssm:StartSession must be allowed on the target and on the session document, also on the default one. classic, as AWS had it before 2024: who names no document needs permission for the target only, unless the statement that allows it tests ssm:SessionDocumentAccessCheck."`
	History             time.Duration `yaml:"history" doc:"How long ended sessions are listed."`
	LockOut             string        `yaml:"lock_out" doc:"What happens to a running session whose starter may no longer start it, because a policy, a group or a user changed. manual: it goes on, and cannot be resumed without permission; sekisho:EndUnauthorizedSessions ends it. automatic: it is ended within seconds."`
}

// The words of sessionConfig.
const (
	accessStrict     = "strict"
	accessClassic    = "classic"
	lockOutManual    = "manual"
	lockOutAutomatic = "automatic"
)

type recordingConfig struct {
	Record    string        `yaml:"record" doc:"off; output: what users see of shells, and how many bytes tunnels carry; all: also what they type, passwords among it."`
	Retention time.Duration `yaml:"retention" doc:"How long recordings are kept after their session's end, in hours as 2160h for 90 days. 0s keeps them for ever. A recording under legal hold (sekisho:PutLegalHold) stays."`
	Store     string        `yaml:"store" doc:"Where recordings are kept beside this disk: \"file:///DIRECTORY\", or \"s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION\" for any service that speaks S3, with the access key and authorities of sinks. Empty: nowhere."`
	Local     time.Duration `yaml:"local" doc:"How long recordings that are in the store also stay on this disk, at least 1h. They are fetched when somebody reads them. 0s: for ever."`
}

type sinkConfig struct {
	S3          string `yaml:"s3" doc:"Address of a service that speaks S3, as \"https://s3.eu-west-1.amazonaws.com?region=eu-west-1\". Each object that is put into a bucket here goes there too; its buckets must exist. Empty: none."`
	Logs        string `yaml:"logs" doc:"Address of CloudWatch Logs, as \"https://logs.eu-west-1.amazonaws.com?region=eu-west-1\". Each log event goes there too; groups and streams are made as needed. Empty: none."`
	Credentials string `yaml:"credentials" doc:"File with the access key for all of these, as ~/.aws/credentials has it; the first profile counts. It is read each time. A relative path is relative to data_dir. Empty: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment."`
	CA          string `yaml:"ca" doc:"PEM file of authorities that their certificates may come from, beside the system's. A relative path is relative to data_dir."`
}

// The words of recordingConfig.
const (
	recordOff    = "off"
	recordOutput = "output"
	recordAll    = "all"
)

type auditConfig struct {
	Retention time.Duration `yaml:"retention" doc:"How long events are kept; CloudTrail's event history has 90 days. 0s keeps them for ever."`
}

type signInConfig struct {
	OIDC oidcConfig `yaml:"oidc" doc:"An OpenID Connect provider. It must be stored (aws iam create-open-id-connect-provider), and the trust policies of roles say who may have them. Its redirect URI for this server is PUBLIC_URL/console/oidc/callback."`
}

type oidcConfig struct {
	Issuer           string   `yaml:"issuer" doc:"URL of the provider, https://HOST/..., exactly as in its tokens. Empty: no such sign-in."`
	Name             string   `yaml:"name" doc:"What the button on the sign-in page calls it. Empty: its host name."`
	ClientID         string   `yaml:"client_id" doc:"What the provider calls this server. It must be among the client ids of the stored provider."`
	ClientSecretFile string   `yaml:"client_secret_file" doc:"File with the client's secret, below data_dir if relative. Empty: a client without one."`
	Scopes           []string `yaml:"scopes" doc:"What the provider is asked for beside openid."`
	RoleClaim        string   `yaml:"role_claim" doc:"Claim of the ID token that roles hang on: a text or a list of texts."`
	Roles            []string `yaml:"roles" doc:"VALUE=ROLE_ARN each: who has the value in that claim gets the role; the first that fits counts, and * fits everybody. Without one, a value that is the ARN of a role counts."`
	SessionName      string   `yaml:"session_name" doc:"Claim that names the person's session, of 2 to 64 characters. email must be verified."`
}

type logConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"text or json."`
}

// defaultConfig is what the keys mean that a file leaves out.
func defaultConfig() config {
	return config{
		DataDir:    ".",
		Listen:     defaultListen,
		Region:     defaultRegion,
		Database:   databaseConfig{DSN: "sqlite:sekisho.db"},
		Sessions:   sessionConfig{DocumentAccessCheck: accessStrict, History: 30 * 24 * time.Hour, LockOut: lockOutManual},
		Recordings: recordingConfig{Record: recordOff},
		Audit:      auditConfig{Retention: 90 * 24 * time.Hour},
		SignIn: signInConfig{OIDC: oidcConfig{
			Scopes: []string{"email", "profile"}, RoleClaim: "groups", SessionName: "email",
		}},
		ClockSkew: 5 * time.Minute, // as the newer front ends of AWS have it (api.md §2.2)
		Log:       logConfig{Level: "info", Format: "text"},
	}
}

const (
	defaultListen = "127.0.0.1:8443"
	defaultRegion = "local-1"
	configName    = "sekishod.yaml"

	// maxConfigSize bounds the file in bytes; a full one is about 4 KiB.
	maxConfigSize = 1 << 20
)

// loadConfig reads and checks the file. Paths in what it returns are usable as they are.
func loadConfig(path string) (config, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return config{}, fmt.Errorf("%w\n(`sekishod init --dir DIR` makes a configuration, `sekishod config describe` explains it)", err)
	}
	if err != nil {
		return config{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return config{}, err
	}
	if len(text) > maxConfigSize {
		return config{}, fmt.Errorf("%s: larger than %d bytes", path, maxConfigSize)
	}
	cfg, err := parseConfig(text)
	if err != nil {
		return config{}, fmt.Errorf("%s:%w", path, err)
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return config{}, err
	}
	cfg.resolve(base)
	return cfg, nil
}

// parseConfig reads the text of a configuration. Its errors begin with the line, as in
// "3: unknown key ...".
func parseConfig(text []byte) (config, error) {
	cfg := defaultConfig()
	err := decode(text, &cfg)
	if errors.Is(err, io.EOF) { // an empty file is a configuration too
		cfg = defaultConfig()
	} else if err != nil {
		return config{}, configError(err)
	}
	cfg.SignIn.OIDC.tidy()
	if err := cfg.check(); err != nil {
		return config{}, fmt.Errorf(" %w", err)
	}
	return cfg, nil
}

// decode reads YAML. The library panics on some malformed texts (v1.19.2: a tag without
// a value, where a list belongs); a slip in a file must not look like a crash.
func decode(text []byte, cfg *config) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("this is not YAML that can be read")
		}
	}()
	return yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField()).Decode(cfg)
}

// configError gives the YAML library's error our form: line first, key named.
func configError(err error) error {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return fmt.Errorf(" %w", err)
	}
	line, message := located.GetToken().Position.Line, located.GetMessage()
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		message = fmt.Sprintf("unknown key %q (`sekishod config describe` lists the keys)", located.GetToken().Value)
	}
	return fmt.Errorf("%d: %s", line, message)
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	// regionForm is what fits into a credential scope, an ARN and a host name.
	regionForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	userForm   = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`) // a user's name (API reference, CreateUser)
	nameForm   = regexp.MustCompile(`^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
)

// check refuses values that could only fail later and less clearly.
func (c *config) check() error {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		return fmt.Errorf("listen: %q is not HOST:PORT", c.Listen)
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return fmt.Errorf("public_url: %q is not https://HOST or https://HOST:PORT", c.PublicURL)
		}
	}
	for _, name := range c.PublicNames {
		if err := checkName(name); err != nil {
			return fmt.Errorf("public_names: %w", err)
		}
	}
	if c.ServiceDomain != "" {
		if err := checkName(c.ServiceDomain); err != nil || strings.HasPrefix(c.ServiceDomain, "*") {
			return fmt.Errorf("service_domain: %q is not a domain name", c.ServiceDomain)
		}
	}
	if !regionForm.MatchString(c.Region) {
		return fmt.Errorf("region: %q is not lower-case letters, digits and hyphens", c.Region)
	}
	if c.Account != "" && !accountForm.MatchString(c.Account) {
		return fmt.Errorf("account: %q is not 12 digits", c.Account)
	}
	if !strings.HasPrefix(c.Database.DSN, "sqlite:") &&
		!strings.HasPrefix(c.Database.DSN, "postgres://") && !strings.HasPrefix(c.Database.DSN, "postgresql://") {
		return errors.New("database.dsn: neither sqlite:PATH nor a postgres:// URL") // it may hold a password: not shown
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls: certificate and key belong together, one of them is empty")
	}
	if a := c.Sessions.DocumentAccessCheck; a != accessStrict && a != accessClassic {
		return fmt.Errorf("sessions.document_access_check: %q is neither strict nor classic", a)
	}
	if l := c.Sessions.LockOut; l != lockOutManual && l != lockOutAutomatic {
		return fmt.Errorf("sessions.lock_out: %q is neither manual nor automatic", l)
	}
	if r := c.Recordings.Record; r != recordOff && r != recordOutput && r != recordAll {
		return fmt.Errorf("recordings.record: %q is none of off, output and all", r)
	}
	if r := c.Recordings.Retention; r != 0 && r < time.Hour {
		return fmt.Errorf("recordings.retention: %s is below an hour; 0s keeps recordings for ever", r)
	}
	if l := c.Recordings.Local; l != 0 && (l < time.Hour || c.Recordings.Store == "") {
		return fmt.Errorf("recordings.local: %s is below an hour, or there is no recordings.store; 0s keeps recordings on this disk", l)
	}
	if c.Recordings.Store != "" {
		if _, err := blob.Open(c.Recordings.Store, blob.Access{}); err != nil {
			return fmt.Errorf("recordings.store: %w", err)
		}
	}
	for name, address := range map[string]string{"s3": c.Sinks.S3, "logs": c.Sinks.Logs} {
		if address != "" {
			if _, _, err := blob.Service(address); err != nil {
				return fmt.Errorf("sinks.%s: %w", name, err)
			}
		}
	}
	if c.Sessions.History < time.Hour {
		return fmt.Errorf("sessions.history: %s is below an hour", c.Sessions.History)
	}
	if r := c.Audit.Retention; r != 0 && r < time.Hour {
		return fmt.Errorf("audit.retention: %s is below an hour; 0s keeps events for ever", r)
	}
	if err := c.SignIn.OIDC.check(); err != nil {
		return fmt.Errorf("sign_in.oidc.%w", err)
	}
	if c.ClockSkew < time.Second || c.ClockSkew > 24*time.Hour {
		return fmt.Errorf("clock_skew: %s is not between 1s and 24h", c.ClockSkew)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format: %q is neither text nor json", c.Log.Format)
	}
	return nil
}

// checkName accepts what can be a subject alternative name of a certificate.
func checkName(name string) error {
	if net.ParseIP(name) == nil && !nameForm.MatchString(name) {
		return fmt.Errorf("%q is neither a host name nor an IP address", name)
	}
	return nil
}

// resolve makes relative paths absolute: data_dir below base, the others below data_dir.
func (c *config) resolve(base string) {
	below := func(dir, path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	c.DataDir = below(base, c.DataDir)
	c.TLS.Certificate = below(c.DataDir, c.TLS.Certificate)
	c.TLS.Key = below(c.DataDir, c.TLS.Key)
	c.Sinks.Credentials = below(c.DataDir, c.Sinks.Credentials)
	c.Sinks.CA = below(c.DataDir, c.Sinks.CA)
	c.SignIn.OIDC.ClientSecretFile = below(c.DataDir, c.SignIn.OIDC.ClientSecretFile)
	if path, ok := strings.CutPrefix(c.Database.DSN, "sqlite:"); ok {
		c.Database.DSN = "sqlite:" + below(c.DataDir, path)
	}
}

// publicURL is the address of this server for its clients, when it listens on addr.
func (c *config) publicURL(addr net.Addr) string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "https://" + addr.String()
	}
	for _, name := range c.PublicNames {
		if !strings.HasPrefix(name, "*") {
			return "https://" + net.JoinHostPort(name, port)
		}
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// logger makes the server's logger.
func (c *config) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.Log.Level)) // check has seen it
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// describe writes cfg as an annotated YAML file.
func (c config) describe(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Configuration of sekishod, the Sekisho server. Every key may be left out;\n" +
		"# what stands here is then its value. Unknown keys are errors.\n")
	describeFields(&b, reflect.ValueOf(c), "")
	_, err := io.WriteString(w, b.String())
	return err
}

func describeFields(b *strings.Builder, v reflect.Value, indent string) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if indent == "" {
			b.WriteByte('\n')
		}
		for _, line := range wrap(field.Tag.Get("doc"), 88-len(indent)) {
			b.WriteString(indent + "# " + line + "\n")
		}
		b.WriteString(indent + field.Tag.Get("yaml") + ":")
		switch x := value.Interface().(type) {
		case string:
			b.WriteString(" " + strconv.Quote(x) + "\n")
		case time.Duration:
			b.WriteString(" " + shortDuration(x) + "\n")
		case []string:
			quoted := make([]string, len(x))
			for i, s := range x {
				quoted[i] = strconv.Quote(s)
			}
			b.WriteString(" [" + strings.Join(quoted, ", ") + "]\n")
		default:
			b.WriteByte('\n')
			describeFields(b, value, indent+"  ")
		}
	}
}

// shortDuration is d.String() without its zero tail: "5m", not "5m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	var line string
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
