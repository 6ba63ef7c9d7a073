package sessionlog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"sekisho/internal/ssm"
)

// Limits of events, those of the stock agent (agent-control-plane.md §5.2).
const (
	maxEventText   = 33000  // bytes of text in an event while streaming
	maxEventUpload = 200000 // bytes of an event of a finished transcript
	maxCallEvents  = 4      // events of one call
	maxRead        = maxEventText * maxCallEvents
)

// event is the message of an event while streaming.
type event struct {
	EventVersion string       `json:"eventVersion"`
	EventTime    string       `json:"eventTime"` // RFC 3339, seconds, UTC
	AWSRegion    string       `json:"awsRegion"`
	Target       target       `json:"target"`
	UserIdentity userIdentity `json:"userIdentity"`
	RunAsUser    string       `json:"runAsUser"`
	SessionID    string       `json:"sessionId"`
	SessionData  []string     `json:"sessionData"`
}

type target struct {
	ID string `json:"id"`
}

type userIdentity struct {
	ARN string `json:"arn"`
}

type streamInput struct {
	LogGroupName  string `json:"logGroupName"`
	LogStreamName string `json:"logStreamName"`
}

// eventText is a message. Its characters are not held against the rules for names.
type eventText string

// UnmarshalJSON reads a JSON string.
func (t *eventText) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, (*string)(t)) }

type inputEvent struct {
	Timestamp int64     `json:"timestamp" constraint:"required"`
	Message   eventText `json:"message" constraint:"required"`
}

type putInput struct {
	LogGroupName  string       `json:"logGroupName"`
	LogStreamName string       `json:"logStreamName"`
	LogEvents     []inputEvent `json:"logEvents"`
}

// sink is a stream of a log group.
type sink struct {
	service Service
	in      streamInput
	made    bool
}

func newSink(service Service, s Settings) *sink {
	return &sink{service: service, in: streamInput{s.LogGroup, s.SessionID}}
}

// put sends messages, with the time of now.
func (k *sink) put(ctx context.Context, messages []string) error {
	if !k.made {
		err := k.service.Logs(ctx, "CreateLogStream", &k.in, nil)
		if err != nil && !ssm.IsCode(err, "ResourceAlreadyExistsException") {
			return err
		}
		k.made = true
	}
	in := putInput{LogGroupName: k.in.LogGroupName, LogStreamName: k.in.LogStreamName}
	now := time.Now().UnixMilli()
	for _, m := range messages {
		in.LogEvents = append(in.LogEvents, inputEvent{now, eventText(m)})
	}
	err := k.service.Logs(ctx, "PutLogEvents", &in, nil)
	if ssm.IsCode(err, "ResourceNotFoundException") { // somebody deleted it
		k.made = false
	}
	return err
}

// streamer sends the output of a session as events. How far it came is in the spool.
type streamer struct {
	dir      string
	settings Settings
	service  Service
	sink     *sink
}

// run sends what is there: whole lines, and in the end also a line without end.
func (s *streamer) run(ctx context.Context, final bool) error {
	if s.sink == nil {
		s.sink = newSink(s.service, s.settings)
	}
	var at int64
	if err := readJSON(s.dir, streamedFile, &at); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(s.dir, outputFile))
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, maxRead)
	for {
		n, err := f.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return err
		}
		messages, used := s.events(buf[:n], final && err == io.EOF)
		if used == 0 {
			return nil
		}
		if err := s.sink.put(ctx, messages); err != nil {
			return err
		}
		at += int64(used)
		if err := writeJSON(s.dir, streamedFile, at); err != nil {
			return fmt.Errorf("note what was sent: %w", err)
		}
	}
}

// events makes the messages of at most one call, and says how much of output is in them.
func (s *streamer) events(output []byte, final bool) (messages []string, used int) {
	for len(messages) < maxCallEvents {
		var lines []string
		size := 0
		for {
			line, length := nextLine(output[used:], final)
			if length == 0 || size > 0 && size+length > maxEventText {
				break
			}
			lines = append(lines, plain(line))
			size += length
			used += length
		}
		if len(lines) == 0 {
			break
		}
		messages = append(messages, s.message(lines))
	}
	return messages, used
}

// nextLine takes a line from output, of at most maxEventText bytes; a longer one comes in
// pieces. length counts its end too; it is 0 when there is no whole line yet.
func nextLine(output []byte, final bool) (line []byte, length int) {
	end := bytes.IndexByte(output, '\n')
	switch {
	case end >= 0 && end < maxEventText:
		return output[:end], end + 1
	case len(output) > maxEventText:
		n := wholeText(output, maxEventText)
		return output[:n], n
	case final && len(output) > 0:
		return output, len(output)
	}
	return nil, 0
}

// wholeText is the largest length up to limit that cuts no character in two.
func wholeText(text []byte, limit int) int {
	if len(text) <= limit {
		return len(text)
	}
	for n := limit; n > limit-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n
		}
	}
	return limit // it is no UTF-8 anyway
}

func (s *streamer) message(lines []string) string {
	text, err := json.Marshal(event{
		EventVersion: "1.0", EventTime: time.Now().UTC().Format(time.RFC3339), AWSRegion: s.settings.Region,
		Target: target{s.settings.NodeID}, UserIdentity: userIdentity{s.settings.Owner}, RunAsUser: s.settings.RunAsUser,
		SessionID: s.settings.SessionID, SessionData: lines,
	})
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(text)
}
