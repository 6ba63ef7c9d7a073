package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"sekisho/internal/ssm"
)

// maxAnswer bounds how much of an answer a client reads, in bytes.
const maxAnswer = 4 << 20

// Client calls operations of AWS JSON services. It does not retry: whether a call may
// be repeated, the caller knows. It may be used by several goroutines.
type Client struct {
	Endpoint string       // https://host:port
	HTTP     *http.Client // nil means [http.DefaultClient]
	// Sign signs a request before it is sent; nil sends it unsigned.
	Sign      func(r *http.Request, body []byte) error
	UserAgent string
}

// Call calls the operation that target names, "AmazonSSM.StartSession", with in, a
// struct of package ssm or nil, and fills out, or drops the answer if out is nil. An
// error of the service is an [ssm.Error] with its HTTP status.
func (c *Client) Call(ctx context.Context, target string, in, out any) error {
	if err := c.call(ctx, target, in, out); err != nil {
		return fmt.Errorf("call %s: %w", target, err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, target string, in, out any) error {
	body, err := requestBody(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", contentJSON)
	r.Header.Set(headerTarget, target)
	if c.UserAgent != "" {
		r.Header.Set("User-Agent", c.UserAgent)
	}
	if c.Sign != nil {
		if err := c.Sign(r, body); err != nil {
			return fmt.Errorf("sign request: %w", err)
		}
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	if answer.StatusCode != http.StatusOK {
		return answerError(answer, text)
	}
	if out == nil || len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// requestBody encodes an input without the members that have no value.
func requestBody(in any) ([]byte, error) {
	v := reflect.Indirect(reflect.ValueOf(in))
	if !v.IsValid() {
		return []byte("{}"), nil
	}
	s, err := newShape(v.Type(), false)
	if err != nil {
		return nil, err
	}
	return encodeRequest(s, v)
}

// answerError reads an error as the clients of AWS do (api.md §1.2): the code from
// __type or the header, without prefix and suffix.
func answerError(answer *http.Response, text []byte) error {
	var body struct {
		Type  string `json:"__type"`
		Code  string `json:"code"`
		Lower string `json:"message"`
		Upper string `json:"Message"`
	}
	_ = json.Unmarshal(text, &body) // the answer may come from a proxy and be no JSON
	code := body.Type
	if code == "" {
		code = answer.Header.Get("x-amzn-ErrorType")
	}
	if code == "" {
		code = body.Code
	}
	_, after, found := strings.Cut(code, "#")
	if found {
		code = after
	}
	code, _, _ = strings.Cut(code, ":")
	if code == "" {
		return &ssm.Error{Code: http.StatusText(answer.StatusCode), Message: "the server answered " + answer.Status, Status: answer.StatusCode}
	}
	message := body.Lower
	if message == "" {
		message = body.Upper
	}
	return &ssm.Error{Code: code, Message: message, Status: answer.StatusCode}
}
