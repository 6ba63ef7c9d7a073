package trail

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/store"
)

// Event is a record of CloudTrail, with the names and in the order that its event
// reference gives (CloudTrail user guide, "CloudTrail record contents").
type Event struct {
	EventVersion        string         `json:"eventVersion"`
	UserIdentity        UserIdentity   `json:"userIdentity"`
	EventTime           string         `json:"eventTime"` // RFC 3339, whole seconds
	EventSource         string         `json:"eventSource"`
	EventName           string         `json:"eventName"`
	AWSRegion           string         `json:"awsRegion"`
	SourceIPAddress     string         `json:"sourceIPAddress"`
	UserAgent           string         `json:"userAgent"`
	ErrorCode           string         `json:"errorCode,omitempty"`
	ErrorMessage        string         `json:"errorMessage,omitempty"`
	RequestParameters   map[string]any `json:"requestParameters"`
	ResponseElements    map[string]any `json:"responseElements"` // null for calls that change nothing
	AdditionalEventData map[string]any `json:"additionalEventData,omitempty"`
	RequestID           string         `json:"requestID"`
	EventID             string         `json:"eventID"`
	ReadOnly            bool           `json:"readOnly"`
	Resources           []Resource     `json:"resources,omitempty"`
	EventType           string         `json:"eventType"`
	ManagementEvent     bool           `json:"managementEvent"`
	RecipientAccountID  string         `json:"recipientAccountId"`
	EventCategory       string         `json:"eventCategory"`
	TLSDetails          *TLSDetails    `json:"tlsDetails,omitempty"`
	// FromConsole is "true" for a call that the console made for somebody who signed in
	// there, and else absent.
	FromConsole string `json:"sessionCredentialFromConsole,omitempty"`
}

// UserIdentity says who called (CloudTrail user guide, "CloudTrail userIdentity element").
// Beside CloudTrail's types there is ManagedInstance: a node that proves itself by its
// own key, before it has credentials.
type UserIdentity struct {
	Type           string          `json:"type"`
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
}

// SessionContext is about temporary credentials.
type SessionContext struct {
	SessionIssuer  *SessionIssuer    `json:"sessionIssuer,omitempty"`
	Attributes     SessionAttributes `json:"attributes"`
	SourceIdentity string            `json:"sourceIdentity,omitempty"`
}

// SessionIssuer is the role whose session it is.
type SessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName"`
}

// SessionAttributes say how the credentials came about.
type SessionAttributes struct {
	CreationDate     string `json:"creationDate"`
	MFAAuthenticated string `json:"mfaAuthenticated"` // "true" or "false"
}

// Resource is something that a call was about.
type Resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// TLSDetails are about the connection.
type TLSDetails struct {
	TLSVersion               string `json:"tlsVersion"`
	CipherSuite              string `json:"cipherSuite"`
	ClientProvidedHostHeader string `json:"clientProvidedHostHeader,omitempty"`
}

// eventVersion is the version of the record's form.
const eventVersion = "1.11"

// maxEvent bounds an event's JSON, in bytes.
const maxEvent = 64 << 10

// call is what an event is made of.
type call struct {
	info      awsapi.RequestInfo
	action    string // "ssm:StartSession"
	in, out   any
	code      string // of an error
	message   string
	resources []string // ARNs, beside those that are found in in and out
	dropped   int64    // calls of the same address that were not recorded before this one
}

// event makes the event of a call.
func (r *Recorder) event(ctx context.Context, c call) store.AuditEvent {
	p, _ := auth.From(ctx)
	now := r.cfg.Now().UTC()
	kind := classify(c.action)
	service, name, _ := strings.Cut(c.action, ":")
	in, out := redactor{}, redactor{output: true}
	e := Event{
		EventVersion:       eventVersion,
		UserIdentity:       identity(p),
		EventTime:          now.Format(time.RFC3339),
		EventSource:        service + ".amazonaws.com",
		EventName:          name,
		AWSRegion:          r.cfg.ARNs.Region,
		SourceIPAddress:    clean(c.info.SourceIP),
		UserAgent:          clean(c.info.UserAgent),
		ErrorCode:          c.code,
		RequestParameters:  in.members(c.in),
		RequestID:          c.info.RequestID,
		EventID:            newEventID(),
		ReadOnly:           kind.readOnly,
		EventType:          "AwsApiCall",
		ManagementEvent:    !kind.data,
		RecipientAccountID: r.cfg.ARNs.Account,
		EventCategory:      "Management",
		TLSDetails:         tlsDetails(c.info),
	}
	if kind.data {
		e.EventCategory = "Data"
	}
	if service == "signin" {
		e.EventType = "AwsConsoleSignIn"
	}
	if c.code == "" && kind.changes() {
		e.ResponseElements = out.members(c.out)
	}
	e.ErrorMessage = in.message(c.message)
	if p.ViaConsole {
		e.FromConsole = "true"
	}
	if p.Kind == auth.Anonymous {
		e.UserIdentity.webIdentity(e.ResponseElements)
	}
	if c.dropped > 0 {
		e.AdditionalEventData = map[string]any{"unsignedCallsNotRecorded": c.dropped}
	}
	e.Resources = r.resources(&e, c.resources)
	stored := store.AuditEvent{
		ID: e.EventID, At: now, Principal: p.ARN, Username: e.UserIdentity.name(), AccessKeyID: e.UserIdentity.AccessKeyID,
		Action: c.action, ReadOnly: e.ReadOnly, SourceIP: e.SourceIPAddress, UserAgent: e.UserAgent,
		RequestID: e.RequestID, ErrorCode: e.ErrorCode, Named: e.named(),
	}
	for _, resource := range e.Resources {
		stored.Resources = append(stored.Resources, resource.ARN)
	}
	stored.Record = e.encode()
	return stored
}

func newEventID() string {
	id, err := uuid.NewV7() // ordered by time, as this process made them
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return id.String()
}

// encode writes an event. What makes it too large is left out, the larger part first,
// and the event says so as CloudTrail does.
func (e *Event) encode() string {
	text := encode(e)
	for range 2 {
		if len(text) <= maxEvent {
			return text
		}
		part := &e.RequestParameters
		in, out := len(encode(e.RequestParameters)), len(encode(e.ResponseElements))
		if out > in {
			part = &e.ResponseElements
		}
		*part = map[string]any{"omitted": true, "originalSize": max(in, out), "reason": "the event would have more than 65536 bytes"}
		text = encode(e)
	}
	return text
}

// encode writes JSON in which policies can be read.
func encode(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // the redactor gives only what can be written
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// identity says who p is.
func identity(p auth.Principal) UserIdentity {
	u := UserIdentity{PrincipalID: p.UserID, ARN: p.ARN, AccountID: p.Account, AccessKeyID: p.AccessKeyID}
	switch p.Kind {
	case auth.Root:
		u.Type = "Root"
	case auth.User:
		u.Type, u.UserName = "IAMUser", p.UserName
	case auth.RoleSession:
		u.Type = "AssumedRole"
	case auth.Node:
		u.Type, u.PrincipalID, u.AccessKeyID = "ManagedInstance", p.NodeID, ""
	default:
		return UserIdentity{Type: "Unknown", AccountID: "ANONYMOUS_PRINCIPAL"}
	}
	if p.TokenIssuedAt.IsZero() {
		return u
	}
	u.SessionContext = &SessionContext{Attributes: SessionAttributes{
		CreationDate:     p.TokenIssuedAt.UTC().Format(time.RFC3339),
		MFAAuthenticated: strconv.FormatBool(!p.MFAAt.IsZero()),
	}, SourceIdentity: p.SourceIdentity}
	if p.Kind == auth.RoleSession {
		role := p.RoleID
		if role == "" {
			role, _, _ = strings.Cut(p.UserID, ":")
		}
		u.SessionContext.SessionIssuer = &SessionIssuer{
			Type: "Role", PrincipalID: role, ARN: "arn:aws:iam::" + p.Account + ":role/" + p.RoleName,
			AccountID: p.Account, UserName: lastPart(p.RoleName),
		}
	}
	return u
}

// webIdentity names the caller of AssumeRoleWithWebIdentity, whom its answer tells.
func (u *UserIdentity) webIdentity(answer map[string]any) {
	subject, _ := answer["subjectFromWebIdentityToken"].(string)
	provider, _ := answer["provider"].(string)
	audience, _ := answer["audience"].(string)
	if subject == "" {
		return
	}
	*u = UserIdentity{Type: "WebIdentityUser", PrincipalID: provider + ":" + audience + ":" + subject, UserName: subject}
}

// name is what LookupEvents calls the user name.
func (u *UserIdentity) name() string {
	switch u.Type {
	case "Root":
		return "root"
	case "AssumedRole", "ManagedInstance":
		return lastPart(u.ARN)
	}
	return cut(u.UserName, 256)
}

// lastPart is what follows the last slash.
func lastPart(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

func tlsDetails(info awsapi.RequestInfo) *TLSDetails {
	if info.TLSVersion == 0 {
		return nil
	}
	return &TLSDetails{
		TLSVersion:               strings.Replace(tls.VersionName(info.TLSVersion), "TLS ", "TLSv", 1),
		CipherSuite:              tls.CipherSuiteName(info.TLSCipher),
		ClientProvidedHostHeader: cut(clean(info.Host), 256),
	}
}
