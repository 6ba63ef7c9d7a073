package console

import (
	"net/http"
	"testing"
	"testing/fstest"
)

func TestLogsOfSessionsHaveAPage(t *testing.T) {
	c, err := New(Config{Region: "local-1", Assets: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}}})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/cloudwatch/home?region=local-1":                       "/",
		"/s3/object/logs/bob-1.log?region=local-1":              "/#/objects/logs/bob-1.log",
		"/s3/object/logs/a%20b/c/bob-1.log?region=local-1":      "/#/objects/logs/a%20b%2Fc%2Fbob-1.log",
		"/s3/object/logs/%E9%96%A2/%2F..%2F/x.log":              "/#/objects/logs/%E9%96%A2%2F%2F..%2F%2Fx.log",
		"/s3/object/%2F%2Fevil.example/x%22%3E%3Cscript%3E.log": "/#/objects/%2F%2Fevil.example/x%22%3E%3Cscript%3E.log",
		"/s3/object/logs":    "",
		"/s3/object//x":      "",
		"/s3/objects/logs/x": "",
	} {
		w := get(c, http.MethodGet, target, "")
		if got := w.Header().Get("Location"); got != want || want == "" && w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d to %q, want %q", target, w.Code, got, want)
		}
	}
}
