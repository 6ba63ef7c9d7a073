package awsapi_test

import (
	"encoding/xml"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func checkQueryError(t *testing.T, w *httptest.ResponseRecorder, status int, code, kind, message string) {
	t.Helper()
	var body struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Error   struct{ Type, Code, Message string }
		ID      string `xml:"RequestId"`
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || body.Error.Code != code || body.Error.Type != kind || body.Error.Message != message {
		t.Errorf("got %d %+v, want %d %s %s %q", w.Code, body.Error, status, kind, code, message)
	}
	if body.ID == "" || body.ID != w.Header().Get("x-amzn-RequestId") || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("request id %q, headers %v", body.ID, w.Header())
	}
}

func TestQueryAnswer(t *testing.T) {
	want := func(w *httptest.ResponseRecorder) string {
		return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
			`<UserId>AIDA0</UserId><Account>000000000001</Account><Arn>arn:aws:iam::000000000001:user/&lt;admin&gt;</Arn>` +
			`</GetCallerIdentityResult><ResponseMetadata><RequestId>` + w.Header().Get("x-amzn-RequestId") +
			`</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
	}
	f := newFixture(t)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"form":              f.query("Action=GetCallerIdentity&Version=2011-06-15"),
		"version by scope":  f.query("Action=GetCallerIdentity&Version=2011-06-15", "Authorization", scoped("sts")),
		"query of a GET":    f.do(httptest.NewRequest("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", nil)),
		"POST, no body":     f.do(httptest.NewRequest("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", nil)),
		"action in the URL": f.do(httptest.NewRequest("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", strings.NewReader("")), "Content-Type", "application/x-www-form-urlencoded"),
	} {
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/xml" || w.Body.String() != want(w) {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	// An operation without output has no result element.
	w := f.query("Action=TagUser&Version=2010-05-08&UserName=u&Tags.member.1.Key=k&Tags.member.1.Value=")
	if got, want := w.Body.String(), `<TagUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>`+
		w.Header().Get("x-amzn-RequestId")+`</RequestId></ResponseMetadata></TagUserResponse>`; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestQueryErrors(t *testing.T) {
	tests := []struct {
		name, form    string
		headers       []string
		status        int
		code, message string
	}{
		{"no action", "Version=2011-06-15", nil, 400, "MissingAction", "The request must contain the parameter Action."},
		{"unknown action", "Action=MakeCoffee&Version=2011-06-15", nil, 400, "InvalidAction", "Could not find operation MakeCoffee for version 2011-06-15"},
		{"unknown version", "Action=GetCallerIdentity&Version=1999-01-01", nil, 400, "InvalidAction", "Could not find operation GetCallerIdentity for version 1999-01-01"},
		{"unknown version in scope", "Action=GetCallerIdentity&Version=1999-01-01", []string{"Authorization", scoped("sts")}, 400, "InvalidAction",
			"Could not find operation GetCallerIdentity for version 1999-01-01"},
		{"no version", "Action=GetCallerIdentity", nil, 400, "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED"},
		{"action of another service", "Action=TagUser&Version=2011-06-15", nil, 400, "InvalidAction", "Could not find operation TagUser for version 2011-06-15"},
		{"exists at AWS", "Action=AssumeRole&Version=2011-06-15", nil, 400, "InvalidAction",
			"The operation AssumeRole exists at AWS but is not implemented by this server."},
		{"bad escape", "Action=GetCallerIdentity&Version=2011-06-15&A=%zz", nil, 404, "MalformedQueryString", "The query string contains a syntax error."},
		{"constraints", "Action=TagUser&Version=2010-05-08&Tags.member.1.Key=", nil, 400, "ValidationError",
			"3 validation errors detected: Value null at 'userName' failed to satisfy constraint: Member must not be null; " +
				"Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkQueryError(t, newFixture(t).query(test.form, test.headers...), test.status, test.code, "Sender", test.message)
		})
	}
}

func TestQueryParametersAreBounded(t *testing.T) {
	var form strings.Builder
	form.WriteString("Action=TagUser&Version=2010-05-08")
	for i := range 12000 {
		form.WriteString("&" + strconv.Itoa(i))
	}
	f := newFixture(t)
	checkQueryError(t, f.query(form.String()[:40000]), 400, "ValidationError", "Sender",
		"2 validation errors detected: Value null at 'userName' failed to satisfy constraint: Member must not be null; "+
			"Value null at 'tags' failed to satisfy constraint: Member must not be null")
	checkQueryError(t, f.query(form.String()), 404, "MalformedQueryString", "Sender", "The request has too many parameters.")
}
