package sessionlog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sekisho/internal/ssm"
)

// fakeService is both sinks. While away is set nothing answers before its caller gives up.
type fakeService struct {
	mu        sync.Mutex
	away      bool              // guarded by mu
	fail      error             // guarded by mu: of PutLogEvents
	objects   map[string]string // guarded by mu
	streams   map[string][]string
	calls     int
	rule      string // answer about the bucket's encryption: an algorithm, "none" or ""
	groupKeys map[string]string
}

func newFake() *fakeService {
	return &fakeService{objects: map[string]string{}, streams: map[string][]string{}, groupKeys: map[string]string{"group": ""}}
}

func (f *fakeService) set(away bool, fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.fail = away, fail
}

func (f *fakeService) begin(ctx context.Context) error {
	f.mu.Lock()
	away := f.away
	f.calls++
	f.mu.Unlock()
	if away {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fakeService) Logs(ctx context.Context, operation string, in, out any) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch in := in.(type) {
	case *streamInput:
		if _, ok := f.streams[in.LogStreamName]; ok {
			return ssm.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
		}
		f.streams[in.LogStreamName] = nil
	case *putInput:
		if f.fail != nil {
			return f.fail
		}
		if len(in.LogEvents) > maxCallEvents {
			return errors.New("too many events")
		}
		for _, e := range in.LogEvents {
			f.streams[in.LogStreamName] = append(f.streams[in.LogStreamName], string(e.Message))
		}
	case *describeGroupsInput:
		answer := out.(*describeGroupsOutput)
		for name, key := range f.groupKeys {
			if strings.HasPrefix(name, in.LogGroupNamePrefix) {
				answer.LogGroups = append(answer.LogGroups, struct {
					LogGroupName string `json:"logGroupName"`
					KMSKeyID     string `json:"kmsKeyId"`
				}{name, key})
			}
		}
	default:
		return errors.New("unexpected " + operation)
	}
	return nil
}

func (f *fakeService) Bucket(ctx context.Context, method, path, query, _ string, _ http.Header, size int64, body func() (Body, error)) (*http.Response, error) {
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text))}, nil
	}
	if method == http.MethodGet && query == "encryption=" {
		switch f.rule {
		case "none":
			return answer(404, "<Error><Code>ServerSideEncryptionConfigurationNotFoundError</Code></Error>")
		case "":
			return answer(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
		}
		return answer(200, "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>"+f.rule+
			"</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>")
	}
	if f.fail != nil {
		return nil, f.fail
	}
	content, err := body()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil || int64(len(text)) != size {
		return answer(400, "<Error><Code>IncompleteBody</Code></Error>")
	}
	f.objects[path] = string(text)
	return answer(200, "")
}

// got gives what a stream and a key hold.
func (f *fakeService) got(stream, path string) ([]string, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.streams[stream]...), f.objects[path]
}

func settings() Settings {
	return Settings{SessionID: "bob-1", NodeID: "mi-1", Region: "local-1", Owner: "arn:aws:iam::123456789012:user/bob", RunAsUser: "ssm-user",
		Began: time.Unix(1_800_000_000, 0).UTC(), Bucket: "logs", KeyPrefix: "Session Manager", LogGroup: "group"}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open begins a log.
func open(t *testing.T, spool string, s Settings, f *fakeService) *Writer {
	t.Helper()
	w, err := Open(spool, s, f, quiet())
	must(t, err)
	return w
}

// deliverAll delivers what is in a spool, once.
func deliverAll(t *testing.T, spool string, f *fakeService) error {
	t.Helper()
	dirs, err := Spooled(spool)
	must(t, err)
	for _, dir := range dirs {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := Deliver(ctx, dir, f, quiet()); err != nil {
			return err
		}
	}
	return nil
}

// left says how many logs are in a spool.
func left(t *testing.T, spool string) int {
	t.Helper()
	dirs, err := Spooled(spool)
	must(t, err)
	return len(dirs)
}
