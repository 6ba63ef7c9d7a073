package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/ssm"
)

// ServeHTTP answers one request of the API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{handler: h, request: newRequest(r)}
	c.ctx = context.WithValue(r.Context(), requestKey{}, c.request)
	a := c.recovered(w, r)
	h.cfg.Observe(c.ctx, Result{
		RequestInfo: c.info, Status: a.status, Code: a.code, Message: a.message,
		Duration: time.Since(start), Panicked: c.panicked,
		Input: c.input, Output: c.output,
	})

	header := w.Header()
	header.Set("x-amzn-RequestId", c.info.RequestID)
	if a.code != "" {
		header.Set("x-amzn-ErrorType", a.code)
	}
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	if a.events != nil {
		serveEvents(c.ctx, w, a.events)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone; there is nobody else to tell
}

// call is one request on its way through.
type call struct {
	*request
	handler  *Handler
	ctx      context.Context // of the request, with what authentication adds
	service  *Service        // nil until it is known
	output   any             // of an operation that succeeded
	panicked bool
}

// recovered runs the call and makes a panic an internal error.
func (c *call) recovered(w http.ResponseWriter, r *http.Request) (a answer) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler {
			panic(cause) // net/http's own way to end a connection
		}
		c.panicked = true
		c.log("api operation panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		a = encodeError(c.serviceOrSSM(), c.info.RequestID, internalError(c.serviceOrSSM(), c.info.RequestID))
	}()
	return c.serve(w, r)
}

// serve takes the steps of a request in the order of the service: is it one, which
// operation, who calls, what with.
func (c *call) serve(w http.ResponseWriter, r *http.Request) answer {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return statusOnly(http.StatusUnsupportedMediaType, "UnsupportedMediaType")
	}
	body, release, err := c.handler.readBody(w, r)
	defer release()
	if errors.Is(err, errBodyTooLarge) {
		return statusOnly(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge")
	}
	if err != nil {
		return c.failed(err)
	}
	in, err := c.route(r, body)
	if err != nil {
		if errors.Is(err, errNotAPI) {
			return notFound()
		}
		return c.failed(err)
	}
	if !in.op.Anonymous {
		ctx, err := c.handler.cfg.Authenticate(c.ctx, r, body, *in.op)
		if err != nil {
			return c.failed(err)
		}
		c.ctx = ctx
	}
	out, err := in.op.call(c.ctx, func(v reflect.Value) error {
		c.input = v.Addr().Interface()
		if c.service.isQuery() {
			return decodeQuery(in.params, in.op.in, v, c.service)
		}
		return decodeJSON(body, in.op.in, v, c.service.validationCode())
	})
	if err != nil {
		return c.failed(err)
	}
	a := answer{status: http.StatusOK, contentType: contentJSON}
	if events, ok := out.Addr().Interface().(EventSource); ok {
		c.output = out.Addr().Interface()
		a.events = events
		return a
	}
	if c.service.isQuery() {
		a.contentType = contentXML
		a.body, err = encodeXML(c.service, in.op.Name, c.info.RequestID, in.op.out, out)
	} else {
		a.body, err = encodeJSON(in.op.out, out)
	}
	if err != nil {
		return c.failed(err)
	}
	c.output = out.Addr().Interface()
	return a
}

// failed makes the answer to an error. One that is not of the API is logged, and its
// detail stays here; one that comes of the caller's leaving is nobody's fault.
func (c *call) failed(err error) answer {
	svc := c.serviceOrSSM()
	e, ok := asAPIError(svc, err)
	if !ok {
		e = internalError(svc, c.info.RequestID)
		if c.ctx.Err() == nil {
			c.log("api operation failed", "error", err)
		}
	}
	return encodeError(svc, c.info.RequestID, e)
}

func (c *call) log(message string, args ...any) {
	c.handler.cfg.Logger.ErrorContext(c.ctx, message, append([]any{
		"request_id", c.info.RequestID, "service", c.info.Service, "operation", c.info.Operation}, args...)...)
}

// serviceOrSSM is the service whose form an error takes.
func (c *call) serviceOrSSM() *Service {
	if c.service != nil {
		return c.service
	}
	return &Service{SigningName: "ssm", Protocol: JSON, InternalCode: ssm.CodeInternal}
}

// maxUserAgent bounds what is kept of a client's name, in bytes. Those of the AWS SDKs
// have up to 400.
const maxUserAgent = 1024

// userAgent is the client's name as text that can be kept: a header may hold any bytes.
func userAgent(r *http.Request) string {
	name := r.UserAgent()
	return strings.ToValidUTF8(name[:min(len(name), maxUserAgent)], "")
}

// sourceIP is the address of a host:port without the port.
func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
