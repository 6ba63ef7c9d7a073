package awsapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
)

func TestObserverSeesInputAndOutput(t *testing.T) {
	f := newFixture(t)
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	f.call("AmazonSSM.StartSession", `{"Target":7}`)
	f.call("AmazonSSM.StartSession", `{}`)
	f.startSession = func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
		return nil, ssm.Errorf("TargetNotConnected", "mi-0 is not connected.")
	}
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	f.authenticate = func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
		return ctx, errors.New("no")
	}
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	in := &ssm.StartSessionInput{Target: "mi-0"}
	wants := []awsapi.Result{
		{Input: in, Output: &ssm.StartSessionOutput{SessionID: "admin-0a", TokenValue: "t", StreamURL: "wss://h/?a=b&c=mi-0"}},
		{Input: new(ssm.StartSessionInput)},
		{Input: new(ssm.StartSessionInput)},
		{Input: in, Message: "mi-0 is not connected."},
		{},
	}
	for i, want := range wants {
		got := f.results[i]
		if diff := cmp.Diff([]any{want.Input, want.Output}, []any{got.Input, got.Output}); diff != "" {
			t.Errorf("call %d: input and output differ (-want +got):\n%s", i, diff)
		}
		if want.Message != "" && got.Message != want.Message {
			t.Errorf("call %d: message %q", i, got.Message)
		}
	}
}

// What an observer makes durable must be so before the caller hears of success.
func TestAnswerWaitsForTheObserver(t *testing.T) {
	w := httptest.NewRecorder()
	observed := false
	h, err := awsapi.New(awsapi.Config{
		Operations: []awsapi.Operation{awsapi.Op("ssm", "DeleteActivation", func(context.Context, *ssm.Empty) (*ssm.Empty, error) { return nil, nil })},
		Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
			return ctx, nil
		},
		Observe: func(context.Context, awsapi.Result) { observed = w.Body.Len() == 0 && len(w.Header()) == 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.DeleteActivation")
	h.ServeHTTP(w, r)
	if !observed || w.Body.Len() == 0 {
		t.Errorf("observed before the answer: %v; answer %q", observed, w.Body)
	}
}

func TestNotesReachTheObserver(t *testing.T) {
	type key struct{}
	var noted, other any
	var input any
	h, err := awsapi.New(awsapi.Config{
		Operations: []awsapi.Operation{awsapi.Op("ssm", "StartSession", func(ctx context.Context, in *ssm.StartSessionInput) (*ssm.Empty, error) {
			input = awsapi.Input(ctx)
			awsapi.Note(context.WithValue(ctx, key{}, 1), key{}, in.Target)
			return nil, nil
		})},
		Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
			return context.WithValue(ctx, key{}, 0), nil
		},
		Observe: func(ctx context.Context, _ awsapi.Result) {
			noted, other = awsapi.Noted(ctx, key{}), awsapi.Noted(ctx, "other")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Handler: h}
	f.call("AmazonSSM.StartSession", `{"Target":"mi-0"}`)
	if noted != "mi-0" || other != nil {
		t.Errorf("noted %v, %v", noted, other)
	}
	if diff := cmp.Diff(&ssm.StartSessionInput{Target: "mi-0"}, input); diff != "" {
		t.Errorf("input differs (-want +got):\n%s", diff)
	}
	// Outside a request there is nowhere to leave a note, and that is no fault.
	awsapi.Note(t.Context(), key{}, 1)
	if got := awsapi.Noted(t.Context(), key{}); got != nil {
		t.Errorf("noted %v outside a request", got)
	}
	ctx := awsapi.WithRequest(t.Context(), awsapi.RequestInfo{SourceIP: "192.0.2.9"})
	awsapi.Note(ctx, key{}, 2)
	if info := awsapi.Info(ctx); awsapi.Noted(ctx, key{}) != 2 || info.SourceIP != "192.0.2.9" || len(info.RequestID) != 36 {
		t.Errorf("a request of its own has %+v", info)
	}
}

func TestTargetPrefixesOfCloudTrail(t *testing.T) {
	h, err := awsapi.New(awsapi.Config{
		Operations: []awsapi.Operation{awsapi.Op("cloudtrail", "LookupEvents", func(context.Context, *ssm.Empty) (*ssm.Empty, error) { return nil, nil })},
		Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ awsapi.Operation) (context.Context, error) {
			return ctx, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Handler: h}
	for target, want := range map[string]int{
		"com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents": 200,
		"CloudTrail_20131101.LookupEvents":                                    200,
		"com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.CreateTrail":  400,
		"cloudtrail.LookupEvents":                                             400,
		".LookupEvents":                                                       400,
		"LookupEvents":                                                        400,
	} {
		if w := f.call(target, "{}"); w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", target, w.Code, want, w.Body)
		}
	}
}

func TestOperationTypes(t *testing.T) {
	op := awsapi.Op("ssm", "StartSession", func(context.Context, *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) { return nil, nil })
	in, out := op.Types()
	if in != reflect.TypeFor[ssm.StartSessionInput]() || out != reflect.TypeFor[ssm.StartSessionOutput]() {
		t.Errorf("types %v, %v", in, out)
	}
}
