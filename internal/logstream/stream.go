package logstream

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sekisho/internal/store"
)

// LogStream describes a stream.
type LogStream struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   *int64 `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken,omitempty"`
	ARN                 string `json:"arn"`
	StoredBytes         int64  `json:"storedBytes"`
}

func millisOf(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMilli())
}

// StreamInput is a request that names a stream and nothing else.
type StreamInput struct {
	LogGroupName  string `json:"logGroupName" constraint:"required len=1..512 pattern=LogsGroupName"`
	LogStreamName string `json:"logStreamName" constraint:"required len=1..512 pattern=LogsStreamName"`
}

// CreateLogStream makes a stream. Its permission is on the group.
func (s *Server) CreateLogStream(ctx context.Context, in *StreamInput) (*Empty, error) {
	g, err := s.group(ctx, "CreateLogStream", in.LogGroupName, "", nil)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Auth.OwnSession(ctx, in.LogStreamName); err != nil {
		return nil, err
	}
	err = s.cfg.Store.CreateLogStream(ctx, store.LogStream{GroupID: g.ID, Name: in.LogStreamName, CreatedAt: s.cfg.Now()})
	return nil, failed(err, errNoGroup, errStreamExists)
}

// DeleteLogStream deletes a stream with its events.
func (s *Server) DeleteLogStream(ctx context.Context, in *StreamInput) (*Empty, error) {
	g, err := s.group(ctx, "DeleteLogStream", in.LogGroupName, in.LogStreamName, nil)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Auth.OwnSession(ctx, in.LogStreamName); err != nil {
		return nil, err
	}
	return nil, failed(s.cfg.Store.DeleteLogStream(ctx, g.ID, in.LogStreamName, s.cfg.Now()), errNoStream, nil)
}

// DescribeLogStreamsInput is the request of logs:DescribeLogStreams.
type DescribeLogStreamsInput struct {
	LogGroupName        string `json:"logGroupName" constraint:"len=1..512 pattern=LogsGroupName"`
	LogGroupIdentifier  string `json:"logGroupIdentifier" constraint:"len=1..2048 pattern=LogsGroupIdentifier"`
	LogStreamNamePrefix string `json:"logStreamNamePrefix" constraint:"len=1..512 pattern=LogsStreamName"`
	OrderBy             string `json:"orderBy" constraint:"enum=LogsOrderBy"`
	Descending          bool   `json:"descending"`
	NextToken           string `json:"nextToken" constraint:"len=1.."`
	Limit               *int   `json:"limit" constraint:"range=1..50"`
}

// DescribeLogStreamsOutput is the answer of logs:DescribeLogStreams.
type DescribeLogStreamsOutput struct {
	LogStreams []LogStream `json:"logStreams"`
	NextToken  string      `json:"nextToken,omitempty"`
}

// DescribeLogStreams lists the streams of a group.
func (s *Server) DescribeLogStreams(ctx context.Context, in *DescribeLogStreamsInput) (*DescribeLogStreamsOutput, error) {
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	g, err := s.group(ctx, "DescribeLogStreams", name, "", nil)
	if err != nil {
		return nil, err
	}
	f := store.LogStreamFilter{GroupID: g.ID, Prefix: in.LogStreamNamePrefix, ByLastEvent: in.OrderBy == "LastEventTime", Descending: in.Descending}
	if f.ByLastEvent && f.Prefix != "" {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	list := strings.Join([]string{"streams", strconv.FormatInt(g.ID, 10), f.Prefix, in.OrderBy, strconv.FormatBool(f.Descending)}, "\x00")
	p := store.Page{Limit: describeLimit}
	if in.Limit != nil {
		p.Limit = *in.Limit
	}
	if p.After, err = s.openToken(list, in.NextToken); err != nil {
		return nil, err
	}
	streams, next, err := s.cfg.Store.LogStreams(ctx, f, p)
	if err != nil {
		return nil, err
	}
	out := &DescribeLogStreamsOutput{LogStreams: make([]LogStream, len(streams)), NextToken: s.token(list, next)}
	for i, st := range streams {
		out.LogStreams[i] = LogStream{
			LogStreamName: st.Name, CreationTime: st.CreatedAt.UnixMilli(),
			FirstEventTimestamp: millisOf(st.FirstEventAt), LastEventTimestamp: millisOf(st.LastEventAt),
			LastIngestionTime: millisOf(st.LastIngestedAt), UploadSequenceToken: sequenceToken,
			ARN: s.streamARN(g.Name, st.Name), StoredBytes: st.StoredBytes,
		}
	}
	return out, nil
}
