package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

// fuzzHandler answers every operation with its input.
func fuzzHandler(f *testing.F) *Handler {
	echo := func(_ context.Context, in *everything) (*everything, error) { return in, nil }
	h, err := New(Config{
		Operations: []Operation{Op("ssm", "Echo", echo), Op("iam", "Echo", echo)},
		Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ Operation) (context.Context, error) {
			return ctx, nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// FuzzJSONRequest sends foreign targets and bodies. Nothing may panic, every answer is
// JSON of bounded size with a status that fits, and what decodes encodes to a request
// that decodes to the same.
func FuzzJSONRequest(f *testing.F) {
	for _, body := range []string{
		`{}`, ``, `null`, `[`, `{"Text":"a","Count":5,"Flag":true,"At":1550676938.352,"Blob":"AQ=="}`,
		`{"List":["a",null],"Map":{"k":["v"]},"Tags":[{"Key":"k","Value":""}],"Self":{"Self":{}}}`,
		`{"Kind":"Old","Kinds":["Active","x"],"Reason":"\ud800","Text":"","Any":{"a":[1,{}]}}`,
		`{"Count":1e400,"Size":5.0,"Long":-9223372036854775808,"Plain":"2019-02-20"}`,
	} {
		f.Add("AmazonSSM.Echo", []byte(body))
	}
	f.Add("AmazonSSM.SendCommand", []byte("{}"))
	f.Add(".", []byte("\xff"))
	h := fuzzHandler(f)
	s := mustShape(f)
	f.Fuzz(func(t *testing.T, target string, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentJSON)
		r.Header["X-Amz-Target"] = []string{target}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) || w.Code != 200 && w.Code != 400 {
			t.Errorf("answer %d %q", w.Code, w.Body)
		}
		bounded(t, w, len(body))

		var first, second everything
		if decodeJSON(body, s, reflect.ValueOf(&first).Elem(), "V") != nil {
			return
		}
		once, err := encodeRequest(s, reflect.ValueOf(first))
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		if err := decodeJSON(once, s, reflect.ValueOf(&second).Elem(), "V"); err != nil {
			// A present zero value that breaks no rule is left out, so only rules of
			// absent members could speak, and no member is required here.
			t.Fatalf("%s: %v", once, err)
		}
		if twice, err := encodeRequest(s, reflect.ValueOf(second)); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("\nonce  %s\ntwice %s, %v", once, twice, err)
		}
	})
}

// FuzzQueryRequest sends foreign parameters, in the body and in the URL. Nothing may
// panic, and every answer is XML of bounded size.
func FuzzQueryRequest(f *testing.F) {
	const echo = "Action=Echo&Version=2010-05-08"
	for _, form := range []string{
		"", "Action=Echo", echo, echo + "&Text=a&Count=5&Flag=true&At=2026-01-31T08:09:10Z&Blob=AQ%3D%3D",
		echo + "&List.member.1=a&List.member.10=b&Tags=&Map.entry.1.key=k&Map.entry.1.value.member.1=v",
		echo + "&Self.Self.Self.Text=s&Tags.member.1.Key=k", echo + "&=&.=&..&%zz", echo + "&Any=x",
		"Action=TagUser&Version=2010-05-08", "Action=\x00%00&Version=2011-06-15",
	} {
		f.Add([]byte(form), "")
		f.Add([]byte(""), form)
	}
	h := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, form []byte, query string) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(form))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentForm)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 && w.Code != 500 {
			t.Errorf("answer %d %q", w.Code, w.Body)
		}
		if w.Code == 500 && !bytes.Contains(w.Body.Bytes(), []byte("InternalFailure")) {
			t.Errorf("answer %d %q", w.Code, w.Body)
		}
		for d := xml.NewDecoder(w.Body); ; {
			if _, err := d.Token(); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("answer is no XML: %v", err)
				}
				break
			}
		}
		bounded(t, w, len(form)+len(query))
	})
}

// bounded fails on an answer far larger than its request.
func bounded(t *testing.T, w *httptest.ResponseRecorder, request int) {
	if limit := 12*request + 2*maxViolations*(maxValueText+256); w.Body.Len() > limit {
		t.Errorf("%d bytes answered to %d", w.Body.Len(), request)
	}
}
