package message

import (
	"encoding/json"
	"fmt"
	"maps"
)

// InteractiveShell is the payload of [TypeInteractiveShell], which starts a
// session of any type. The node reads Content only.
type InteractiveShell struct {
	Content       string // the JSON of a [SessionTask], as a string
	TaskId        string
	Topic         string
	SchemaVersion int
}

// SessionTask is the document inside [InteractiveShell.Content].
type SessionTask struct {
	DocumentName    string
	DocumentContent DocumentContent
	SessionId       string
	Parameters      map[string]any // name to value for substitution; values are plain strings
	RunAsUser       string         // overrides Inputs.RunAsDefaultUser when not blank
	SessionOwner    string         // ARN, for logs
}

// DocumentContent is a session document.
type DocumentContent struct {
	SchemaVersion string               `json:"schemaVersion"` // "1.0"
	Description   string               `json:"description"`
	SessionType   string               `json:"sessionType"`
	Inputs        Inputs               `json:"inputs"`
	Parameters    map[string]Parameter `json:"parameters,omitempty"`
	Properties    any                  `json:"properties,omitempty"` // by session type
}

// Inputs are the session preferences of a document.
type Inputs struct {
	S3BucketName                string       `json:"s3BucketName"`
	S3KeyPrefix                 string       `json:"s3KeyPrefix"`
	S3EncryptionEnabled         Bool         `json:"s3EncryptionEnabled"`
	CloudWatchLogGroupName      string       `json:"cloudWatchLogGroupName"`
	CloudWatchEncryptionEnabled Bool         `json:"cloudWatchEncryptionEnabled"`
	CloudWatchStreamingEnabled  Bool         `json:"cloudWatchStreamingEnabled"` // the stock agent takes no string here
	KMSKeyID                    string       `json:"kmsKeyId"`
	RunAsEnabled                Bool         `json:"runAsEnabled"`
	RunAsDefaultUser            string       `json:"runAsDefaultUser"`
	IdleSessionTimeout          string       `json:"idleSessionTimeout,omitempty"` // minutes; enforced by the gateway
	MaxSessionDuration          string       `json:"maxSessionDuration,omitempty"` // minutes; enforced by the gateway
	ShellProfile                ShellProfile `json:"shellProfile"`
}

// ShellProfile is text typed into a shell at its start.
type ShellProfile struct {
	Windows string `json:"windows"`
	Linux   string `json:"linux"` // macOS too
}

// Parameter declares a document parameter.
type Parameter struct {
	Type           string `json:"type,omitempty"`
	Description    string `json:"description,omitempty"`
	Default        any    `json:"default,omitempty"`
	AllowedValues  []any  `json:"allowedValues,omitempty"`
	AllowedPattern string `json:"allowedPattern,omitempty"`
}

// Bool is a document boolean: a JSON boolean, or one of the strings "true",
// "false" and "". It is written as a JSON boolean, which every agent accepts.
type Bool bool

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Bool) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true", `"true"`:
		*b = true
	case "false", `"false"`, `""`:
		*b = false
	case "null":
	default:
		return fmt.Errorf("%.32s is not a boolean", data)
	}
	return nil
}

// DocumentSchemaVersion is the only schema version of session documents.
const DocumentSchemaVersion = "1.0"

// ParseInteractiveShell reads the payload of [TypeInteractiveShell] and puts the
// parameters into the document's inputs and properties: given values, else the
// defaults that the document declares. That happens before the inputs get their
// types, so that a boolean may be a placeholder too.
func ParseInteractiveShell(payload []byte) (SessionTask, error) {
	outer, err := parseJSON[InteractiveShell]("interactive_shell", payload)
	if err != nil {
		return SessionTask{}, err
	}
	t, err := parseJSON[taskTemplate]("session task", []byte(outer.Content))
	if err != nil {
		return SessionTask{}, err
	}
	doc := t.DocumentContent
	if doc.SchemaVersion != DocumentSchemaVersion {
		return SessionTask{}, fmt.Errorf("parse session task: document schema version %q, want %q",
			doc.SchemaVersion, DocumentSchemaVersion)
	}
	values := make(map[string]any)
	for name, p := range doc.Parameters {
		if p.Default != nil {
			values[name] = p.Default
		}
	}
	maps.Copy(values, t.Parameters)
	inputs, err := json.Marshal(substitute(doc.Inputs, values))
	if err != nil {
		return SessionTask{}, fmt.Errorf("parse session task: %w", err)
	}
	task := SessionTask{
		DocumentName: t.DocumentName,
		DocumentContent: DocumentContent{
			SchemaVersion: doc.SchemaVersion,
			Description:   doc.Description,
			SessionType:   doc.SessionType,
			Parameters:    doc.Parameters,
			Properties:    substitute(doc.Properties, values),
		},
		SessionId:    t.SessionId,
		Parameters:   t.Parameters,
		RunAsUser:    t.RunAsUser,
		SessionOwner: t.SessionOwner,
	}
	task.DocumentContent.Inputs, err = parseJSON[Inputs]("session inputs", inputs)
	if err != nil {
		return SessionTask{}, err
	}
	return task, nil
}

// taskTemplate is a [SessionTask] whose placeholders are not yet replaced.
type taskTemplate struct {
	DocumentName    string
	DocumentContent struct {
		SchemaVersion string
		Description   string
		SessionType   string
		Inputs        any
		Parameters    map[string]Parameter
		Properties    any
	}
	SessionId    string
	Parameters   map[string]any
	RunAsUser    string
	SessionOwner string
}

// NewInteractiveShell returns the payload that starts the task.
func NewInteractiveShell(task SessionTask) ([]byte, error) {
	content, err := json.Marshal(task)
	if err != nil {
		return nil, fmt.Errorf("encode session task: %w", err)
	}
	return json.Marshal(InteractiveShell{
		Content:       string(content),
		TaskId:        task.SessionId,
		Topic:         string(TypeInteractiveShell),
		SchemaVersion: 1,
	})
}

// TaskComplete is the payload of [TypeAgentTaskComplete]: the end of a session.
// The agent repeats it up to three times, 1 s apart, until acknowledged; the
// stock agent reports a failure twice with different message ids.
type TaskComplete struct {
	SchemaVersion    int
	TaskId           string // session id
	Topic            string // "agent_task_complete"
	FinalTaskStatus  string // StatusSuccess, ...
	IsRoutingFailure bool
	AwsAccountId     string
	InstanceId       string
	Output           string // error text, shown to the user
	S3Bucket         string
	S3UrlSuffix      string
	CwlGroup         string
	CwlStream        string
	RetryNumber      int // from 1
}

// Values of [TaskComplete.FinalTaskStatus].
const (
	StatusSuccess   = "Success" // also the cancellation of a running session
	StatusFailed    = "Failed"
	StatusCancelled = "Cancelled"
	StatusTimedOut  = "TimedOut"
	StatusSkipped   = "Skipped"
)

// TaskAcknowledge is the payload of [TypeAgentTaskAcknowledge].
type TaskAcknowledge struct {
	SchemaVersion int
	MessageId     string // of the completion; the agent matches nothing else
	TaskId        string
	Topic         string
}

// ParseTaskComplete reads the payload of [TypeAgentTaskComplete].
func ParseTaskComplete(payload []byte) (TaskComplete, error) {
	return parseJSON[TaskComplete]("agent_task_complete", payload)
}

// ParseTaskAcknowledge reads the payload of [TypeAgentTaskAcknowledge].
func ParseTaskAcknowledge(payload []byte) (TaskAcknowledge, error) {
	return parseJSON[TaskAcknowledge]("agent_task_acknowledge", payload)
}
