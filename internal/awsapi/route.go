package awsapi

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// errNotAPI says that a request speaks no protocol of the API.
var errNotAPI = errors.New("no request of the API")

// input is a request whose operation is known.
type input struct {
	op     *Operation
	params params // of a Query request
}

// Matches says whether a request is for the API: it names an operation, or is signed.
// The server uses it to tell such requests from those of the console on one port.
func (h *Handler) Matches(r *http.Request) bool {
	if r.Header.Get(headerTarget) != "" || strings.HasPrefix(mediaType(r), "application/x-amz-json") {
		return true
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		return true
	}
	query := r.URL.Query()
	if query.Has("X-Amz-Algorithm") || r.URL.Path == "/" && query.Has("Action") {
		return true
	}
	return r.URL.Path == "/" && r.Method == http.MethodPost && mediaType(r) == contentForm
}

const (
	headerTarget = "X-Amz-Target"
	contentForm  = "application/x-www-form-urlencoded"
)

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// route finds service and operation. What a request names, X-Amz-Target or Action
// with Version, goes before the scope of its signature: the signature is then held
// against the service that is really called, and refused by name if it is another's.
func (c *call) route(r *http.Request, body []byte) (input, error) {
	scope := c.handler.service(sigv4.Service(r)) // nil when unsigned, or not for us
	isJSON := r.Header.Get(headerTarget) != "" || strings.HasPrefix(mediaType(r), "application/x-amz-json")
	if isJSON {
		return c.routeJSON(r, scope)
	}
	if scope != nil && !scope.isQuery() || r.Method != http.MethodGet && r.Method != http.MethodPost {
		return input{}, errNotAPI
	}
	if mediaType(r) == contentForm {
		return c.routeQuery(r, body, scope)
	}
	// Parameters in the URL only: a presigned request, for example.
	if scope != nil || r.URL.Query().Has("Action") {
		return c.routeQuery(r, nil, scope)
	}
	return input{}, errNotAPI
}

func (c *call) routeJSON(r *http.Request, scope *Service) (input, error) {
	prefix, name := cutTarget(r.Header.Get(headerTarget))
	for i := range c.handler.services {
		if s := &c.handler.services[i]; s.Protocol == JSON && prefix != "" && (s.TargetPrefix == prefix || s.ShortPrefix == prefix) {
			c.setService(s)
		}
	}
	if c.service == nil && scope != nil && scope.Protocol == JSON {
		c.setService(scope)
		name = ""
	}
	if r.Method != http.MethodPost || mediaType(r) != contentJSON {
		return input{}, errNotAPI
	}
	if c.service == nil || name == "" {
		return input{}, ssm.Errorf(ssm.CodeUnknownOperation, "The requested operation is not recognized by the service.")
	}
	op, known := c.operation(name)
	if op == nil && known {
		return input{}, notImplemented(name)
	}
	if op == nil {
		return input{}, ssm.Errorf(ssm.CodeUnknownOperation, "The requested operation is not recognized by the service.")
	}
	return input{op: op}, nil
}

// cutTarget splits X-Amz-Target at its last dot: prefixes may have dots, names have none.
func cutTarget(target string) (prefix, name string) {
	dot := strings.LastIndexByte(target, '.')
	if dot < 0 {
		return target, ""
	}
	return target[:dot], target[dot+1:]
}

func (c *call) routeQuery(r *http.Request, body []byte, scope *Service) (input, error) {
	params, err := parseParams(string(body), r.URL.RawQuery)
	name, version := params.values["Action"], params.values["Version"]
	for i := range c.handler.services {
		if s := &c.handler.services[i]; s.isQuery() && s.Version == version {
			c.setService(s)
		}
	}
	if c.service == nil && scope != nil && scope.isQuery() {
		c.setService(scope)
	}
	if c.service == nil {
		// Nothing tells the service; the envelope of all Query services is the same.
		c.service = &Service{Protocol: Query}
	}
	if err != nil {
		return input{}, err
	}
	if name == "" {
		return input{}, ssm.Errorf("MissingAction", "The request must contain the parameter Action.")
	}
	op, known := c.operation(name)
	if known && op == nil {
		return input{}, notImplemented(name)
	}
	if op == nil || version != c.service.Version {
		if version == "" {
			version = "NO_VERSION_SPECIFIED"
		}
		return input{}, ssm.Errorf("InvalidAction", "Could not find operation %s for version %s", cut(name), cut(version))
	}
	return input{op: op, params: params}, nil
}

// setService notes the service for the answer's form and for those who observe.
func (c *call) setService(s *Service) {
	c.service = s
	c.info.Service = s.SigningName
}

// operation finds an operation of the service, and says whether AWS has it. Only such
// a name is noted: others are foreign text.
func (c *call) operation(name string) (op *Operation, known bool) {
	key := operationKey{c.service.SigningName, name}
	op, known = c.handler.operations[key], c.handler.known[key]
	if op != nil || known {
		c.info.Operation = name
	}
	return op, known
}

// notImplemented names an operation that AWS has and this server has not.
func notImplemented(name string) error {
	return ssm.Errorf(ssm.CodeUnknownOperation, "The operation %s exists at AWS but is not implemented by this server.", name)
}

// cut shortens foreign text for an error.
func cut(s string) string {
	if len(s) > 128 {
		return strings.ToValidUTF8(s[:128], "") + "..."
	}
	return s
}
