package agent

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"sekisho/internal/message"
)

// parseTask reads a start message and substitutes its parameters. The session's id is
// returned also when the rest cannot be used, so that the failure can be reported; the
// stock agent says nothing then, and its operator waits.
func parseTask(payload []byte) (id string, task message.SessionTask, err error) {
	task, err = message.ParseInteractiveShell(payload)
	if err != nil {
		return taskID(payload), task, err
	}
	if !validID(task.SessionId) {
		return "", task, fmt.Errorf("session id %q cannot be used", task.SessionId)
	}
	return task.SessionId, substitute(task), nil
}

// taskID finds the session's id in a start message that cannot be read otherwise.
func taskID(payload []byte) string {
	var outer struct {
		Content json.RawMessage
		TaskId  json.RawMessage
	}
	if json.Unmarshal(payload, &outer) != nil {
		return ""
	}
	var content, id string
	var inner struct{ SessionId json.RawMessage }
	if json.Unmarshal(outer.Content, &content) == nil && json.Unmarshal([]byte(content), &inner) == nil &&
		json.Unmarshal(inner.SessionId, &id) == nil && validID(id) {
		return id
	}
	if json.Unmarshal(outer.TaskId, &id) == nil && validID(id) {
		return id
	}
	return ""
}

// placeholder is {{ name }}; names have letters and digits (protocol.md §4.1.1).
var placeholder = regexp.MustCompile(`\{\{ *([a-zA-Z0-9]+) *\}\}`)

// substitute puts the task's parameters into the document's inputs and properties. One
// that was not given has its default; one that is not known stays as it is.
func substitute(task message.SessionTask) message.SessionTask {
	values := make(map[string]any, len(task.Parameters))
	for name, p := range task.DocumentContent.Parameters {
		if p.Default != nil {
			values[name] = p.Default
		}
	}
	for name, v := range task.Parameters {
		values[name] = v
	}
	in := &task.DocumentContent.Inputs
	for _, field := range []*string{
		&in.S3BucketName, &in.S3KeyPrefix, &in.CloudWatchLogGroupName, &in.KMSKeyID,
		&in.RunAsDefaultUser, &in.ShellProfile.Linux, &in.ShellProfile.Windows,
	} {
		*field = substituteText(*field, values)
	}
	task.DocumentContent.Properties = substituteAny(task.DocumentContent.Properties, values)
	return task
}

func substituteText(text string, values map[string]any) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		switch v := values[placeholder.FindStringSubmatch(found)[1]].(type) {
		case nil:
			return found
		case string:
			return strings.ReplaceAll(v, "$$", "$")
		default:
			return string(message.Marshal(v))
		}
	})
}

// substituteAny substitutes in a JSON value. A text that is one placeholder and nothing
// else takes the parameter's value with its type.
func substituteAny(v any, values map[string]any) any {
	switch v := v.(type) {
	case string:
		if whole := placeholder.FindStringSubmatch(v); whole != nil && whole[0] == v {
			value, known := values[whole[1]]
			if _, text := value.(string); known && !text {
				return value
			}
		}
		return substituteText(v, values)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = substituteAny(v[i], values)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			out[key] = substituteAny(v[key], values)
		}
		return out
	}
	return v
}

// checkTask says why this agent cannot run a task. What a document demands for safety
// and the agent cannot do is refused, never left out.
func checkTask(task message.SessionTask) error {
	doc := task.DocumentContent
	if _, known := kinds(doc.SessionType); !known {
		return sentence("Session type %s is not supported by this version of %s. Please update the agent.", doc.SessionType, agentName)
	}
	return nil
}

// userError is a sentence for the person who opens a session.
type userError string

func (e userError) Error() string { return string(e) }

func sentence(format string, args ...any) error { return userError(fmt.Sprintf(format, args...)) }
