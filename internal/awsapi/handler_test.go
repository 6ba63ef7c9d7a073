package awsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/awsapi"
	"sekisho/internal/sigv4"
	"sekisho/internal/ssm"
)

// callerIdentity has the members of sts:GetCallerIdentity.
type callerIdentity struct {
	UserID  string `json:"UserId"`
	Account string
	ARN     string `json:"Arn"`
}

// fixture is a handler with a few operations and what it was seen doing.
type fixture struct {
	*awsapi.Handler
	results []awsapi.Result
	log     bytes.Buffer
	// What the operations ssm:StartSession and sts:GetCallerIdentity answer with.
	startSession      func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error)
	getCallerIdentity func(context.Context, *ssm.Empty) (*callerIdentity, error)
	// authenticate is asked for every request that is not anonymous.
	authenticate func(context.Context, *http.Request, []byte, awsapi.Operation) (context.Context, error)
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{
		startSession: func(_ context.Context, in *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
			return &ssm.StartSessionOutput{SessionID: "admin-0a", TokenValue: "t", StreamURL: "wss://h/?a=b&c=" + in.Target}, nil
		},
		getCallerIdentity: func(context.Context, *ssm.Empty) (*callerIdentity, error) {
			return &callerIdentity{UserID: "AIDA0", Account: "000000000001", ARN: "arn:aws:iam::000000000001:user/<admin>"}, nil
		},
		authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
			return ctx, nil
		},
	}
	register := awsapi.Op("ssm", "RegisterManagedInstance",
		func(context.Context, *ssm.RegisterManagedInstanceInput) (*ssm.RegisterManagedInstanceOutput, error) {
			return &ssm.RegisterManagedInstanceOutput{InstanceID: "mi-0"}, nil
		})
	register.Anonymous = true
	h, err := awsapi.New(awsapi.Config{
		Operations: []awsapi.Operation{
			register,
			awsapi.Op("ssm", "StartSession", func(ctx context.Context, in *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
				return f.startSession(ctx, in)
			}),
			awsapi.Op("ssm", "DescribeActivations", func(context.Context, *ssm.DescribeActivationsInput) (*ssm.DescribeActivationsOutput, error) {
				return nil, nil
			}),
			awsapi.Op("ssm", "DeleteActivation", func(context.Context, *ssm.DeleteActivationInput) (*ssm.Empty, error) {
				return &ssm.Empty{}, nil
			}),
			awsapi.Op("kms", "Decrypt", func(context.Context, *ssm.Empty) (*ssm.Empty, error) {
				return nil, errors.New("the disk is full: /secret/path")
			}),
			awsapi.Op("sts", "GetCallerIdentity", func(ctx context.Context, in *ssm.Empty) (*callerIdentity, error) {
				return f.getCallerIdentity(ctx, in)
			}),
			awsapi.Op("iam", "TagUser", func(context.Context, *tagUserInput) (*ssm.Empty, error) { return nil, nil }),
		},
		Authenticate: func(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
			return f.authenticate(ctx, r, body, op)
		},
		Observe: func(_ context.Context, result awsapi.Result) { f.results = append(f.results, result) },
		Logger:  slog.New(slog.NewJSONHandler(&f.log, nil)),
		MaxBody: 1 << 16,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = h
	return f
}

// tagUserInput has the members of iam:TagUser.
type tagUserInput struct {
	UserName string    `constraint:"required len=1..64"`
	Tags     []ssm.Tag `constraint:"required len=0..50"`
}

// call makes a call of AWS JSON.
func (f *fixture) call(target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	return f.do(r, headers...)
}

// query makes a call of the Query protocol.
func (f *fixture) query(form string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return f.do(r, headers...)
}

// do sends a request; headers are names and values, an empty value removes one.
func (f *fixture) do(r *http.Request, headers ...string) *httptest.ResponseRecorder {
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// scoped is an Authorization header of a service.
func scoped(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIA/20260523/local-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

func TestJSONAnswer(t *testing.T) {
	f := newFixture(t)
	w := f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`, "User-Agent", "test/1")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	if got, want := w.Body.String(), `{"SessionId":"admin-0a","TokenValue":"t","StreamUrl":"wss://h/?a=b&c=mi-0"}`; got != want {
		t.Errorf("body:\n got %s\nwant %s", got, want)
	}
	id := w.Header().Get("x-amzn-RequestId")
	want := awsapi.RequestInfo{RequestID: id, Service: "ssm", Operation: "StartSession", SourceIP: "192.0.2.1", UserAgent: "test/1", Host: "example.com"}
	if len(f.results) != 1 || len(id) != 36 {
		t.Fatalf("request id %q, results %v", id, f.results)
	}
	got := f.results[0]
	if diff := cmp.Diff(want, got.RequestInfo); diff != "" || got.Status != 200 || got.Code != "" || got.Duration <= 0 {
		t.Errorf("observed %+v\n%s", got, diff)
	}
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	if f.results[1].RequestID == id {
		t.Error("two requests have the same id")
	}
}

func TestOperationSeesRequestInfo(t *testing.T) {
	f := newFixture(t)
	var seen awsapi.RequestInfo
	f.startSession = func(ctx context.Context, _ *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		seen = awsapi.Info(ctx)
		return nil, nil
	}
	w := f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	if seen.RequestID == "" || seen.RequestID != w.Header().Get("x-amzn-RequestId") || seen.Operation != "StartSession" {
		t.Errorf("got %+v", seen)
	}
	if (awsapi.Info(t.Context()) != awsapi.RequestInfo{}) {
		t.Error("a context of no request has facts")
	}
}

func TestEmptyAnswers(t *testing.T) {
	f := newFixture(t)
	// A list that the model always has is empty and not null; absent members are left out.
	if got := f.call("AmazonSSM.DescribeActivations", "{}").Body.String(); got != `{"ActivationList":[]}` {
		t.Errorf("got %s", got)
	}
	if got := f.call("AmazonSSM.DeleteActivation", `{"ActivationId":"00000000-0000-0000-0000-000000000000"}`).Body.String(); got != "{}" {
		t.Errorf("got %s", got)
	}
}

// TestFrontLayerErrors has the rows of api.md §1.2.
func TestFrontLayerErrors(t *testing.T) {
	const notRecognized = "The requested operation is not recognized by the service."
	tests := []struct {
		name, target, body string
		headers            []string
		status             int
		code, message      string
	}{
		{"no JSON", "AmazonSSM.StartSession", "{", nil, 400, "SerializationException", ""},
		{"no object", "AmazonSSM.StartSession", "[]", nil, 400, "SerializationException", "Start of list found where not expected."},
		{"wrong type", "AmazonSSM.StartSession", `{"Target":1}`, nil, 400, "SerializationException", "NUMBER_VALUE can not be converted to a String"},
		{"empty body, required members", "AmazonSSM.StartSession", "", nil, 400, "SerializationException", ""},
		{"unknown prefix", "Other.StartSession", "{}", nil, 400, "UnknownOperationException", notRecognized},
		{"unknown prefix, scope of a service", "Other.StartSession", "{}", []string{"Authorization", scoped("ssm")}, 400, "UnknownOperationException", notRecognized},
		{"unknown operation", "AmazonSSM.MakeCoffee", "{}", nil, 400, "UnknownOperationException", notRecognized},
		{"case of the operation", "AmazonSSM.startSession", "{}", nil, 400, "UnknownOperationException", notRecognized},
		{"no dot", "AmazonSSM", "{}", nil, 400, "UnknownOperationException", notRecognized},
		{"no target", "", "{}", nil, 400, "UnknownOperationException", notRecognized},
		{"exists at AWS", "AmazonSSM.SendCommand", "{}", nil, 400, "UnknownOperationException",
			"The operation SendCommand exists at AWS but is not implemented by this server."},
		{"exists at AWS, service without operations", "Logs_20140328.PutLogEvents", "{}", nil, 400, "UnknownOperationException",
			"The operation PutLogEvents exists at AWS but is not implemented by this server."},
		{"constraint", "AmazonSSM.StartSession", `{}`, nil, 400, "ValidationException",
			"1 validation error detected: Value null at 'target' failed to satisfy constraint: Member must not be null"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.call(test.target, test.body, test.headers...)
			checkJSONError(t, w, test.status, test.code, test.message)
			if f.results[0].Code != test.code {
				t.Errorf("observed %q", f.results[0].Code)
			}
		})
	}
}

func checkJSONError(t *testing.T, w *httptest.ResponseRecorder, status int, code, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	want := map[string]string{"__type": code}
	if message != "" {
		want["message"], want["Message"] = message, message
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	if w.Code != status || w.Header().Get("x-amzn-ErrorType") != code || w.Header().Get("x-amzn-RequestId") == "" ||
		w.Header().Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("got %d %v, want %d", w.Code, w.Header(), status)
	}
}

// TestNoRequestOfTheAPI has what the front end answers 404 to.
func TestNoRequestOfTheAPI(t *testing.T) {
	request := func(method, target, contentType, authorization string) *http.Request {
		r := httptest.NewRequest(method, "/", strings.NewReader("{}"))
		for name, value := range map[string]string{"X-Amz-Target": target, "Content-Type": contentType, "Authorization": authorization} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		return r
	}
	const jsonType = "application/x-amz-json-1.1"
	for name, r := range map[string]*http.Request{
		"wrong method":               request("PUT", "AmazonSSM.StartSession", jsonType, ""),
		"wrong method, get":          request("GET", "AmazonSSM.StartSession", jsonType, ""),
		"wrong content type":         request("POST", "AmazonSSM.StartSession", "application/json", ""),
		"older version of AWS JSON":  request("POST", "AmazonSSM.StartSession", "application/x-amz-json-1.0", ""),
		"no content type":            request("POST", "AmazonSSM.StartSession", "", ""),
		"nothing":                    request("GET", "", "", ""),
		"form for a service of JSON": request("POST", "", "application/x-www-form-urlencoded", scoped("ssm")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t).do(r)
			if w.Code != 404 || strings.TrimSpace(w.Body.String()) != "<UnknownOperationException/>" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	if w := newFixture(t).call("AmazonSSM.DescribeActivations", "{}", "Content-Type", jsonType+"; charset=utf-8"); w.Code != 200 {
		t.Errorf("content type with a parameter: %d %s", w.Code, w.Body)
	}
}

func TestBodyLimit(t *testing.T) {
	long := `{"Target":"` + strings.Repeat("x", 1<<16) + `"}`
	for name, r := range map[string]*http.Request{
		"known length":   httptest.NewRequest("POST", "/", strings.NewReader(long)),
		"unknown length": httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(long))),
	} {
		f := newFixture(t)
		w := f.do(r, "X-Amz-Target", "AmazonSSM.StartSession", "Content-Type", "application/x-amz-json-1.1")
		if w.Code != 413 || w.Body.Len() != 0 {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(`{"Target":"mi-0"}`)))
	if w := newFixture(t).do(r, "X-Amz-Target", "AmazonSSM.StartSession", "Content-Type", "application/x-amz-json-1.1"); w.Code != 200 {
		t.Errorf("small body of unknown length: got %d %s", w.Code, w.Body)
	}
}

func TestEncodedBodyIsRefused(t *testing.T) {
	f := newFixture(t)
	if w := f.call("AmazonSSM.DescribeActivations", "{}", "Content-Encoding", "gzip"); w.Code != 415 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := f.call("AmazonSSM.DescribeActivations", "{}", "Content-Encoding", "identity"); w.Code != 200 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestErrorsOfOperations has one error in the form of each protocol.
func TestErrorsOfOperations(t *testing.T) {
	tests := []struct {
		err         error
		jsonStatus  int
		jsonCode    string
		queryStatus int
		queryCode   string
		kind        string // of the Query envelope
		message     string
	}{
		{ssm.Errorf("TargetNotConnected", "mi-0 is not connected."), 400, "TargetNotConnected", 400, "TargetNotConnected", "Sender", "mi-0 is not connected."},
		{fmt.Errorf("start: %w", ssm.Errorf("TargetNotConnected", "x")), 400, "TargetNotConnected", 400, "TargetNotConnected", "Sender", "x"},
		{ssm.Errorf("InvalidFilterKey", ""), 400, "InvalidFilterKey", 400, "InvalidFilterKey", "Sender", ""},
		{ssm.Errorf(ssm.CodeAccessDenied, "User: <x>"), 400, "AccessDeniedException", 403, "AccessDenied", "Sender", "User: <x>"},
		{ssm.Errorf(ssm.CodeValidation, "v"), 400, "ValidationException", 400, "ValidationError", "Sender", "v"},
		{ssm.Errorf(ssm.CodeThrottling, "Rate exceeded"), 400, "ThrottlingException", 400, "Throttling", "Sender", "Rate exceeded"},
		{ssm.Errorf(ssm.CodeInternal, "i"), 500, "InternalServerError", 500, "InternalFailure", "Receiver", "i"},
		{&ssm.Error{Code: "NoSuchEntity", Message: "n", Status: 404}, 404, "NoSuchEntity", 404, "NoSuchEntity", "Sender", "n"},
		{&ssm.Error{Code: "ServiceUnavailable", Message: "s", Status: 503}, 503, "ServiceUnavailable", 503, "ServiceUnavailable", "Receiver", "s"},
		{sigv4.ErrExpiredToken, 400, "ExpiredTokenException", 403, "ExpiredToken", "Sender", sigv4.ErrExpiredToken.Message},
		{sigv4.ErrUnsigned, 400, "MissingAuthenticationTokenException", 403, "MissingAuthenticationToken", "Sender", "Request is missing Authentication Token"},
	}
	for _, test := range tests {
		t.Run(test.jsonCode, func(t *testing.T) {
			f := newFixture(t)
			f.startSession = func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) { return nil, test.err }
			f.getCallerIdentity = func(context.Context, *ssm.Empty) (*callerIdentity, error) { return nil, test.err }
			checkJSONError(t, f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`), test.jsonStatus, test.jsonCode, test.message)
			checkQueryError(t, f.query("Action=GetCallerIdentity&Version=2011-06-15"), test.queryStatus, test.queryCode, test.kind, test.message)
			if f.log.Len() > 0 {
				t.Errorf("an error of the API was logged: %s", f.log.String())
			}
		})
	}
}

func TestUnexpectedErrorShowsNoDetail(t *testing.T) {
	f := newFixture(t)
	w := f.call("TrentService.Decrypt", "{}")
	id := w.Header().Get("x-amzn-RequestId")
	checkJSONError(t, w, 500, "InternalFailure", "An internal error occurred. The server's log tells more under request id "+id+".")
	if line := f.log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, id) || !strings.Contains(line, "the disk is full") {
		t.Errorf("log: %s", line)
	}
	if f.results[0].Panicked || f.results[0].Status != 500 {
		t.Errorf("observed %+v", f.results[0])
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	f := newFixture(t)
	f.startSession = func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) { panic("secret detail") }
	w := f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	id := w.Header().Get("x-amzn-RequestId")
	checkJSONError(t, w, 500, "InternalServerError", "An internal error occurred. The server's log tells more under request id "+id+".")
	if !f.results[0].Panicked || !strings.Contains(f.log.String(), "secret detail") || !strings.Contains(f.log.String(), id) {
		t.Errorf("observed %+v, log: %s", f.results[0], f.log.String())
	}
	if w := f.call("AmazonSSM.DescribeActivations", "{}"); w.Code != 200 {
		t.Errorf("the next request: %d", w.Code)
	}
}

func TestLeavingCallerIsNotLogged(t *testing.T) {
	f := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	f.startSession = func(ctx context.Context, _ *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		leave()
		return nil, ctx.Err()
	}
	r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(`{"Target":"mi-0"}`))
	f.do(r, "X-Amz-Target", "AmazonSSM.StartSession", "Content-Type", "application/x-amz-json-1.1")
	if f.log.Len() > 0 {
		t.Errorf("log: %s", f.log.String())
	}
}

func TestAuthentication(t *testing.T) {
	type key struct{}
	f := newFixture(t)
	f.authenticate = func(ctx context.Context, r *http.Request, body []byte, op awsapi.Operation) (context.Context, error) {
		if r.Header.Get("Authorization") == "" {
			return nil, sigv4.ErrUnsigned
		}
		return context.WithValue(ctx, key{}, op.Service+":"+op.Name+" "+string(body)), nil
	}
	seen := any(nil)
	f.startSession = func(ctx context.Context, _ *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		seen = ctx.Value(key{})
		return nil, nil
	}
	checkJSONError(t, f.call("AmazonSSM.StartSession", `{"Target":1}`), 400, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`, "Authorization", scoped("ssm"))
	if want := `ssm:StartSession {"Target":"mi-0"}`; seen != want {
		t.Errorf("the operation sees %v, want %v", seen, want)
	}

	// The anonymous operation is not asked who it is.
	w := f.call("AmazonSSM.RegisterManagedInstance", `{"ActivationCode":"aaaaaaaaaaaaaaaaaaaa",
		"ActivationId":"00000000-0000-0000-0000-000000000000","Fingerprint":"f","PublicKey":"`+strings.Repeat("A", 392)+`","PublicKeyType":"Rsa"}`)
	if w.Code != 200 || w.Body.String() != `{"InstanceId":"mi-0"}` {
		t.Errorf("anonymous: got %d %s", w.Code, w.Body)
	}
}

// TestServiceIsWhatIsCalled pins that a signature of one service cannot call another:
// the operation decides, and authentication is told its service.
func TestServiceIsWhatIsCalled(t *testing.T) {
	f := newFixture(t)
	called := ""
	f.authenticate = func(_ context.Context, _ *http.Request, _ []byte, op awsapi.Operation) (context.Context, error) {
		called = op.Service
		return nil, sigv4.ErrMismatch
	}
	f.call("AmazonSSM.StartSession", "{}", "Authorization", scoped("kms"))
	if called != "ssm" {
		t.Errorf("JSON: called %q", called)
	}
	f.query("Action=GetCallerIdentity&Version=2011-06-15", "Authorization", scoped("iam"))
	if called != "sts" {
		t.Errorf("Query: called %q", called)
	}
}

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	type badTag struct {
		A string `constraint:"pattern=Nothing"`
	}
	type badWord struct {
		A string `constraint:"length=1"`
	}
	type badType struct{ A chan int }
	empty := func(context.Context, *ssm.Empty) (*ssm.Empty, error) { return nil, nil }
	auth := func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
		return ctx, nil
	}
	tests := []struct {
		name, want string
		cfg        awsapi.Config
	}{
		{"nobody to authenticate", "no Authenticate", awsapi.Config{}},
		{"unknown service", "unknown service", awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{awsapi.Op("s3", "X", empty)}}},
		{"twice", "twice", awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{awsapi.Op("ssm", "X", empty), awsapi.Op("ssm", "X", empty)}}},
		{"not made by Op", "not made by Op", awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{{Service: "ssm", Name: "X"}}}},
		{"pattern", `no pattern "Nothing"`, awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{
			awsapi.Op("ssm", "X", func(context.Context, *badTag) (*ssm.Empty, error) { return nil, nil })}}},
		{"word", `unknown word "length=1"`, awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{
			awsapi.Op("ssm", "X", func(context.Context, *badWord) (*ssm.Empty, error) { return nil, nil })}}},
		{"type", "no form on the wire", awsapi.Config{Authenticate: auth, Operations: []awsapi.Operation{
			awsapi.Op("ssm", "X", func(context.Context, *ssm.Empty) (*badType, error) { return nil, nil })}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := awsapi.New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	h := newFixture(t)
	tests := []struct {
		name, method, url string
		headers           []string
		want              bool
	}{
		{"target", "POST", "/", []string{"X-Amz-Target", "AmazonSSM.X"}, true},
		{"AWS JSON", "POST", "/", []string{"Content-Type", "application/x-amz-json-1.1"}, true},
		{"signed", "GET", "/bucket/key", []string{"Authorization", scoped("s3")}, true},
		{"presigned", "GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256", nil, true},
		{"unsigned query", "GET", "/?Action=GetCallerIdentity", nil, true},
		{"unsigned form", "POST", "/", []string{"Content-Type", "application/x-www-form-urlencoded"}, true},
		{"page", "GET", "/", nil, false},
		{"page with a query", "GET", "/sessions?Action=x", nil, false},
		{"form of a page", "POST", "/login", []string{"Content-Type", "application/x-www-form-urlencoded"}, false},
		{"other authorization", "GET", "/", []string{"Authorization", "Bearer x"}, false},
	}
	for _, test := range tests {
		r := httptest.NewRequest(test.method, test.url, nil)
		for i := 0; i < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		if got := h.Matches(r); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}
