package trail

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// Error codes of LookupEvents (CloudTrail API reference).
const (
	codeInvalidAttributes = "InvalidLookupAttributesException"
	codeInvalidMaxResults = "InvalidMaxResultsException"
	codeInvalidNextToken  = "InvalidNextTokenException"
	codeInvalidTimeRange  = "InvalidTimeRangeException"
	codeInvalidCategory   = "InvalidEventCategoryException"
)

// maxResults is the largest page, and the one that a caller gets who names no number.
const maxResults = 50

// LookupEventsInput is the request of cloudtrail:LookupEvents. What is wrong with its
// members has errors of its own, so constraints are in [Recorder.LookupEvents].
type LookupEventsInput struct {
	LookupAttributes []LookupAttribute
	StartTime        *ssm.Time
	EndTime          *ssm.Time
	EventCategory    string
	MaxResults       *int
	NextToken        string
}

// LookupAttribute is what events are looked up by.
type LookupAttribute struct {
	AttributeKey   string `constraint:"required"`
	AttributeValue string `constraint:"required"`
}

// LookupEventsOutput is the answer of cloudtrail:LookupEvents.
type LookupEventsOutput struct {
	Events    []FoundEvent
	NextToken string `json:",omitempty"`
}

// FoundEvent is an event as LookupEvents shows it.
type FoundEvent struct {
	EventID         string          `json:"EventId"`
	EventName       string          `json:",omitempty"`
	ReadOnly        string          // "true" or "false"
	AccessKeyID     string          `json:"AccessKeyId,omitempty"`
	EventTime       ssm.Time        // whole seconds
	EventSource     string          `json:",omitempty"`
	Username        string          `json:",omitempty"`
	Resources       []FoundResource // empty, not absent
	CloudTrailEvent string          // JSON of an [Event]
}

// FoundResource is a resource that an event is about.
type FoundResource struct {
	ResourceType string `json:",omitempty"`
	ResourceName string
}

// Operations are the operations that awsapi serves.
func (r *Recorder) Operations() []awsapi.Operation {
	return []awsapi.Operation{awsapi.Op("cloudtrail", "LookupEvents", r.LookupEvents)}
}

// LookupEvents gives events, newest first.
func (r *Recorder) LookupEvents(ctx context.Context, in *LookupEventsInput) (*LookupEventsOutput, error) {
	err := r.cfg.Auth.Authorize(ctx, auth.Request{Action: "cloudtrail:LookupEvents", Resource: "*"})
	if err != nil {
		return nil, err
	}
	filter, err := lookupFilter(in)
	if err != nil {
		return nil, err
	}
	limit := maxResults
	if in.MaxResults != nil {
		if limit = *in.MaxResults; limit < 1 || limit > maxResults {
			return nil, ssm.Errorf(codeInvalidMaxResults, "A maximum results value of %d is invalid. Specify a value between 1 and %d.", limit, maxResults)
		}
	}
	cursor, err := r.pageCursor(in)
	if err != nil {
		return nil, err
	}
	if in.EventCategory == "insight" { // there are none
		return &LookupEventsOutput{Events: []FoundEvent{}}, nil
	}
	events, next, err := r.cfg.Store.AuditEvents(ctx, filter, store.Page{After: cursor, Limit: limit})
	if errors.Is(err, store.ErrInvalid) { // text that cannot be in the database
		return &LookupEventsOutput{Events: []FoundEvent{}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &LookupEventsOutput{Events: make([]FoundEvent, 0, len(events)), NextToken: r.pageToken(in, next)}
	for _, e := range events {
		out.Events = append(out.Events, found(e, r.cfg.ARNs))
	}
	return out, nil
}

// lookupFilter says which events a request is for.
func lookupFilter(in *LookupEventsInput) (store.AuditFilter, error) {
	var f store.AuditFilter
	if in.EventCategory != "" && in.EventCategory != "insight" {
		return f, ssm.Errorf(codeInvalidCategory, "The event category is not valid. The only valid value is insight.")
	}
	if len(in.LookupAttributes) > 1 {
		return f, ssm.Errorf(codeInvalidAttributes, "You can specify only one lookup attribute.")
	}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(in.EndTime.Time) {
		return f, ssm.Errorf(codeInvalidTimeRange, "The start time must not be after the end time.")
	}
	if in.StartTime != nil {
		f.After = in.StartTime.Time
	}
	if in.EndTime != nil {
		// Events show whole seconds, so an end of a whole second has all of it.
		f.Before = in.EndTime.Add(time.Millisecond)
		if in.EndTime.Nanosecond() == 0 {
			f.Before = in.EndTime.Add(time.Second)
		}
	}
	for _, a := range in.LookupAttributes {
		if n := len(a.AttributeValue); n < 1 || n > 2000 {
			return f, ssm.Errorf(codeInvalidAttributes, "A lookup attribute value must have 1 to 2000 characters.")
		}
		if err := lookupAttribute(&f, a.AttributeKey, a.AttributeValue); err != nil {
			return f, err
		}
	}
	return f, nil
}

func lookupAttribute(f *store.AuditFilter, key, value string) error {
	one := []string{value}
	switch key {
	case "EventId":
		f.IDs = one
	case "EventName":
		f.Names = one
	case "EventSource":
		f.Sources = one
	case "Username":
		f.Usernames = one
	case "AccessKeyId":
		f.AccessKeyIDs = one
	case "ResourceType":
		f.ResourceType = value
	case "ResourceName":
		f.ResourceName = value
		if _, name, ok := describe(value); ok {
			f.ResourceName, f.ResourceARN = cut(name, 512), value
		}
	case "ReadOnly":
		readOnly, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil || len(value) < 4 { // ParseBool takes "1" and "t" as well
			return ssm.Errorf(codeInvalidAttributes, "The value of the lookup attribute ReadOnly must be true or false.")
		}
		f.ReadOnly = &readOnly
	default:
		return ssm.Errorf(codeInvalidAttributes, "The lookup attribute key is not valid. Valid keys are EventId, EventName, ReadOnly, "+
			"Username, ResourceType, ResourceName, EventSource and AccessKeyId.")
	}
	return nil
}

// found shows a stored event.
func found(e store.AuditEvent, arns ssm.ARNs) FoundEvent {
	record := recordOf(&e, arns)
	f := FoundEvent{
		EventID: e.ID, EventName: record.EventName, ReadOnly: strconv.FormatBool(e.ReadOnly), AccessKeyID: e.AccessKeyID,
		EventTime: ssm.Time{Time: e.At.Truncate(time.Second)}, EventSource: record.EventSource, Username: e.Username,
		Resources: []FoundResource{}, CloudTrailEvent: e.Record,
	}
	for _, n := range record.named() {
		f.Resources = append(f.Resources, FoundResource{n.Type, n.Name})
	}
	return f
}

// recordOf reads the record of a stored event. One that has none, because an older
// release or an operation without a Recorder stored it, gets one made of its columns.
func recordOf(e *store.AuditEvent, arns ssm.ARNs) Event {
	var record Event
	if e.Record != "" && json.Unmarshal([]byte(e.Record), &record) == nil {
		return record
	}
	service, name, _ := strings.Cut(e.Action, ":")
	record = Event{
		EventVersion: eventVersion, UserIdentity: UserIdentity{Type: "Unknown", ARN: e.Principal, AccountID: arns.Account, AccessKeyID: e.AccessKeyID, UserName: e.Username},
		EventTime: e.At.UTC().Format(time.RFC3339), EventSource: service + ".amazonaws.com", EventName: name, AWSRegion: arns.Region,
		SourceIPAddress: e.SourceIP, UserAgent: e.UserAgent, ErrorCode: e.ErrorCode, RequestID: e.RequestID, EventID: e.ID,
		ReadOnly: e.ReadOnly, EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: arns.Account, EventCategory: "Management",
	}
	if strings.Contains(e.Principal, ":user/") {
		record.UserIdentity.Type = "IAMUser"
	} else if strings.Contains(e.Principal, ":assumed-role/") {
		record.UserIdentity.Type = "AssumedRole"
	}
	for _, arn := range e.Resources {
		if r, _, ok := describe(arn); ok {
			record.Resources = append(record.Resources, r)
		}
	}
	e.Record = record.encode()
	return record
}
