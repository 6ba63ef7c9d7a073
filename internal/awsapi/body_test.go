package awsapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Large requests that are never finished share one budget, small ones need none of it.
func TestLargeBodiesShareABudget(t *testing.T) {
	h, err := New(Config{Authenticate: func(ctx context.Context, _ *http.Request, _ []byte, _ Operation) (context.Context, error) {
		return ctx, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/", body)
		r.Header.Set("Content-Type", contentJSON)
		r.Header.Set(headerTarget, "AmazonSSM.SendCommand")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	// Bodies that stop short of their end hold what they have brought.
	const many = 100
	ends := make(chan *io.PipeWriter, many)
	answers := make(chan int, many)
	for range many {
		reader, writer := io.Pipe()
		go func() {
			defer reader.Close() // as a server does
			answers <- call(reader).Code
		}()
		go func() {
			_, err := writer.Write(make([]byte, 900<<10))
			if err == nil {
				ends <- writer
			}
		}()
	}
	busy, waiting := 0, 0
	for busy+waiting < many {
		select {
		case code := <-answers:
			if code != http.StatusServiceUnavailable {
				t.Errorf("answered %d before its end", code)
			}
			busy++
		case w := <-ends:
			defer w.Close()
			waiting++
		}
	}
	h.bodies.mu.Lock()
	held := h.bodies.held
	h.bodies.mu.Unlock()
	if held > bodyBudget || busy == 0 || waiting == 0 {
		t.Errorf("%d bytes held, %d wait, %d were sent away", held, waiting, busy)
	}
	if w := call(strings.NewReader("{}")); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "SendCommand") {
		t.Errorf("a small request meanwhile: %d %s", w.Code, w.Body)
	}
	for len(ends) > 0 {
		(<-ends).Close()
	}
}

func TestBodiesAreReadWhole(t *testing.T) {
	h := &Handler{cfg: Config{MaxBody: DefaultMaxBody}}
	for _, size := range []int{0, 1, freeBody - 1, freeBody, freeBody + 1, 2 * freeBody, 300_000, DefaultMaxBody} {
		want := bytes.Repeat([]byte("abc"), size/3+1)[:size]
		for name, length := range map[string]int64{"announced": int64(size), "not announced": -1} {
			r := httptest.NewRequest("POST", "/", bytes.NewReader(want))
			r.ContentLength = length
			got, release, err := h.readBody(httptest.NewRecorder(), r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: %d bytes, %v", size, name, len(got), err)
			}
			release()
		}
	}
	if h.bodies.held != 0 {
		t.Errorf("%d bytes are still held", h.bodies.held)
	}
}
