// Package awsapi speaks the two request protocols of AWS that the project serves,
// AWS JSON 1.1 (ssm, logs, kms, ec2messages, cloudtrail) and Query (sts, iam): it finds service
// and operation, has the caller authenticated, decodes and validates the input, calls
// the operation's function and encodes answer or error, with a request id for each.
//
// It promises that an operation's function sees only input that fits the tags of its
// type, that no detail of an unexpected error reaches a caller, and that neither
// size nor shape of a request can make it panic or use unbounded memory. An API error
// is an [ssm.Error] or a [sigv4.Error]; this package alone turns them into bytes.
//
// sekishod mounts a [Handler] with the operations of package control; the node agent
// and the client call a server with [Client].
package awsapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// Protocol is how a service is spoken to (api.md §1.1).
type Protocol int

// The protocols.
const (
	JSON  Protocol = iota + 1 // AWS JSON 1.1
	Query                     // form parameters in, XML out
	EC2                       // Query as EC2 speaks it: other lists, another envelope
)

// Service is what distinguishes a service on the wire.
type Service struct {
	SigningName    string // in the credential scope: "ssm"
	Protocol       Protocol
	TargetPrefix   string // JSON: before the last dot of X-Amz-Target, "AmazonSSM"
	ShortPrefix    string // JSON: another TargetPrefix, which some clients send; may be empty
	Version        string // Query: the parameter Version, "2011-06-15"
	Namespace      string // Query: of the answer's root element
	InternalCode   string // code of our own faults; "InternalFailure" when empty
	ValidationCode string // code of violated constraints; by protocol when empty
	MaxBody        int64  // JSON: bytes of the largest request; that of the [Config] when zero
}

// maxLogsBody holds a batch of events, of which the service takes 1 MiB: control
// characters, of which a terminal's output has many, are six bytes each in JSON.
const maxLogsBody = 6<<20 + 1<<20

// Services gives the services of AWS whose requests are understood here, whether or
// not they have operations.
func Services() []Service {
	return []Service{
		{SigningName: "ssm", Protocol: JSON, TargetPrefix: "AmazonSSM", InternalCode: "InternalServerError"},
		{SigningName: "ec2messages", Protocol: JSON, TargetPrefix: "EC2WindowsMessageDeliveryService"},
		{SigningName: "logs", Protocol: JSON, TargetPrefix: "Logs_20140328", ValidationCode: "InvalidParameterException",
			MaxBody: maxLogsBody},
		{SigningName: "kms", Protocol: JSON, TargetPrefix: "TrentService"},
		{SigningName: "cloudtrail", Protocol: JSON, TargetPrefix: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
			ShortPrefix: "CloudTrail_20131101"},
		{SigningName: "ec2", Protocol: EC2, Version: "2016-11-15", Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
			InternalCode: "InternalError", ValidationCode: "InvalidParameterValue"},
		{SigningName: "sekisho", Protocol: JSON, TargetPrefix: "Sekisho"}, // operations that AWS does not have
		{SigningName: "sts", Protocol: Query, Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/"},
		{SigningName: "iam", Protocol: Query, Version: "2010-05-08", Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"},
	}
}

// internalCode is the code of our own faults.
func (s *Service) internalCode() string { return cmp.Or(s.InternalCode, "InternalFailure") }

// isQuery says whether requests are form parameters.
func (s *Service) isQuery() bool { return s.Protocol == Query || s.Protocol == EC2 }

// validationCode is the code of a violated constraint.
func (s *Service) validationCode() string {
	if s.ValidationCode == "" && s.isQuery() {
		return "ValidationError"
	}
	return cmp.Or(s.ValidationCode, "ValidationException")
}

// Operation is one operation of a service. [Op] makes it; its maker may then set the
// two facts about its callers.
type Operation struct {
	Service string // signing name
	Name    string
	// Anonymous operations are called without authentication, whatever the request
	// carries: their input proves the right to call them.
	Anonymous bool
	// NodeSigned operations are signed with a managed node's own RSA key.
	NodeSigned bool

	in, out *shape
	err     error // of the types' tags; New reports it
	call    func(ctx context.Context, fill func(reflect.Value) error) (reflect.Value, error)
}

// Op makes an operation of a function. In and Out are structs: member names are the
// fields' names or those of their json tags, constraints are those of the constraint
// tag (see [ssm.Patterns]). The protocol belongs to the service, so the same function
// serves any. A nil answer is an empty one.
func Op[In, Out any](service, name string, f func(context.Context, *In) (*Out, error)) Operation {
	in, errIn := newShape(reflect.TypeFor[In](), true)
	out, errOut := newShape(reflect.TypeFor[Out](), false)
	return Operation{
		Service: service, Name: name,
		in: in, out: out, err: errors.Join(errIn, errOut),
		call: func(ctx context.Context, fill func(reflect.Value) error) (reflect.Value, error) {
			input := new(In)
			if err := fill(reflect.ValueOf(input).Elem()); err != nil {
				return reflect.Value{}, err
			}
			output, err := f(ctx, input)
			if err != nil {
				return reflect.Value{}, err
			}
			if output == nil {
				output = new(Out)
			}
			return reflect.ValueOf(output).Elem(), nil
		},
	}
}

// Types gives the types of the operation's input and output, both structs.
func (op *Operation) Types() (in, out reflect.Type) { return op.in.typ, op.out.typ }

// DefaultMaxBody is the largest request body, in bytes. The largest member of the
// API, a document's content, is 64 KiB.
const DefaultMaxBody = 1 << 20

// Config says what a handler serves.
type Config struct {
	Services   []Service // nil means [Services]
	Operations []Operation
	// Authenticate decides who calls; what it puts into the context, the operation
	// sees. It is not asked for anonymous operations. Its error is the answer.
	Authenticate func(ctx context.Context, r *http.Request, body []byte, op Operation) (context.Context, error)
	// Known names operations that exist at AWS, by signing name; those not served
	// are answered with an error that says so. nil means [KnownOperations].
	Known map[string][]string
	// Observe is told of every answer, before a byte of it is sent: what it makes
	// durable is so before the caller hears of success, and as long as it takes, the
	// caller waits. The context is that of the operation, with what Authenticate added,
	// if it came so far.
	Observe func(ctx context.Context, result Result)
	Logger  *slog.Logger
	MaxBody int64 // bytes; zero means [DefaultMaxBody]
}

// Result is how a request was answered.
type Result struct {
	RequestInfo
	Status   int    // HTTP
	Code     string // of the error; empty on success
	Message  string // of the error, as the caller reads it
	Duration time.Duration
	Panicked bool // the operation's function did

	// Input points to the decoded input, Output to the operation's answer. Input is
	// nil if the request did not come so far, and is incomplete if it was refused as
	// invalid; Output is nil unless the operation succeeded. Both may hold secrets.
	Input, Output any
}

// RequestInfo is what is known of a request apart from its input and its caller.
type RequestInfo struct {
	RequestID string
	Service   string // signing name; empty while unknown
	Operation string // empty when neither served nor known at AWS
	SourceIP  string
	UserAgent string
	Host      string
	// TLSVersion and TLSCipher are those of the connection, as crypto/tls numbers them;
	// zero without TLS.
	TLSVersion uint16
	TLSCipher  uint16
}

// Handler serves the operations of a [Config].
type Handler struct {
	cfg        Config
	services   []Service
	operations map[operationKey]*Operation
	known      map[operationKey]bool
	bodies     budget // what requests under way hold
}

type operationKey struct{ service, name string }

// New makes a handler. It refuses operations that it could not serve: of an unknown
// service, named twice, or with types it cannot read or write.
func New(cfg Config) (*Handler, error) {
	if cfg.Authenticate == nil {
		return nil, errors.New("awsapi: no Authenticate function")
	}
	if cfg.Services == nil {
		cfg.Services = Services()
	}
	if cfg.Known == nil {
		cfg.Known = KnownOperations()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(context.Context, Result) {}
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	h := &Handler{
		cfg:        cfg,
		services:   slices.Clone(cfg.Services),
		operations: make(map[operationKey]*Operation, len(cfg.Operations)),
		known:      make(map[operationKey]bool),
	}
	for _, op := range cfg.Operations {
		key := operationKey{op.Service, op.Name}
		switch {
		case op.call == nil:
			return nil, fmt.Errorf("awsapi: operation %s:%s was not made by Op", op.Service, op.Name)
		case h.service(op.Service) == nil:
			return nil, fmt.Errorf("awsapi: operation %s:%s: unknown service", op.Service, op.Name)
		case h.operations[key] != nil:
			return nil, fmt.Errorf("awsapi: operation %s:%s is there twice", op.Service, op.Name)
		case op.err != nil:
			return nil, fmt.Errorf("awsapi: operation %s:%s: %w", op.Service, op.Name, op.err)
		}
		h.operations[key] = &op
	}
	for service, names := range cfg.Known {
		for _, name := range names {
			h.known[operationKey{service, name}] = true
		}
	}
	return h, nil
}

// service finds a service by its signing name.
func (h *Handler) service(signingName string) *Service {
	for i := range h.services {
		if h.services[i].SigningName == signingName {
			return &h.services[i]
		}
	}
	return nil
}
