package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"sekisho/internal/auth"
)

// switchRoleInput is the request of /console/switch-role.
type switchRoleInput struct {
	RoleARN string `json:"RoleArn"` // empty to be the user again
}

// Lengths of a role session's name (STS API reference, AssumeRole).
const (
	minRoleSession = 2
	maxRoleSession = 64
)

// switchRole makes the user's browser act as a role. The user assumes it by the operation
// itself, so the same policies decide and the same event is in the trail; the credentials
// stay here. Whoever is in a role already does it as the user who signed in.
func (c *Console) switchRole(w http.ResponseWriter, r *http.Request, token string, s auth.ConsoleSession) {
	var in switchRoleInput
	if err := read(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	keyID, action := "", "signin:ExitRole"
	if in.RoleARN != "" {
		action = "signin:SwitchRole"
		name := cmp.Or(s.User.UserName, s.User.SessionName)
		if len(name) < minRoleSession {
			name = "user-" + name
		}
		assumed := c.assume(r, s.User, in.RoleARN, name[:min(len(name), maxRoleSession)])
		if assumed.status != http.StatusOK {
			assumed.send(w)
			return
		}
		var out struct {
			Credentials struct {
				AccessKeyID string `json:"AccessKeyId"`
			}
		}
		if err := json.Unmarshal(assumed.body.Bytes(), &out); err != nil || out.Credentials.AccessKeyID == "" {
			c.fail(w, fmt.Errorf("the answer of AssumeRole has no credentials: %w", err))
			return
		}
		keyID = out.Credentials.AccessKeyID
	}
	err := c.cfg.Auth.SwitchRole(r.Context(), token, keyID)
	c.cfg.Record(auth.WithPrincipal(c.request(r), s.User), action, &in, nil, err)
	if err != nil {
		c.fail(w, err)
		return
	}
	now, err := c.cfg.Auth.Console(r.Context(), token)
	if err != nil {
		c.fail(w, err)
		return
	}
	answer(w, http.StatusOK, c.session(now))
}

// assume calls sts:AssumeRole as a user.
func (c *Console) assume(r *http.Request, user auth.Principal, roleARN, name string) *captured {
	body, err := json.Marshal(map[string]string{"RoleArn": roleARN, "RoleSessionName": name})
	if err != nil {
		panic(fmt.Sprintf("console request: %v", err)) // two strings
	}
	call := r.Clone(r.Context())
	call.URL.Path = apiPath + "sts/AssumeRole"
	call.Body, call.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	call.Header.Set("Content-Length", fmt.Sprint(len(body)))
	out := &captured{header: http.Header{}, status: http.StatusOK}
	c.operation(out, call, user)
	return out
}

// captured is an answer that does not go to the browser as it is.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *captured) Header() http.Header         { return c.header }
func (c *captured) WriteHeader(status int)      { c.status = status }
func (c *captured) Write(p []byte) (int, error) { return c.body.Write(p) }

// send sends it after all: a refusal, in the service's own words.
func (c *captured) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", c.header.Get("Content-Type"))
	w.WriteHeader(c.status)
	w.Write(c.body.Bytes())
}
