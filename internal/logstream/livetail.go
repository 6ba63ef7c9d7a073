package logstream

import (
	"context"
	"slices"
	"strings"
	"time"

	"sekisho/internal/auth"
	"sekisho/internal/awsapi"
	"sekisho/internal/logstream/pattern"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

const (
	// tailInterval is how often a live tail tells what came, as at AWS.
	tailInterval = time.Second
	// tailEvents is how many events one update has at most; if there were more it says
	// that it is a sample, as at AWS.
	tailEvents = 500
	// tailLife is how long a live tail lasts (API reference, StartLiveTail).
	tailLife = 3 * time.Hour
	// tailJudged is how often it is asked whether the caller still may.
	tailJudged = 10 * time.Second
	// tailOverlap is how far a look goes back behind the one before: an event gets its
	// number before it is written.
	tailOverlap = 5 * time.Second
	// tailPast is how old an event may be when it comes. Older ones, which a node kept
	// while it was cut off, are for FilterLogEvents.
	tailPast = 2 * time.Hour
	// tailStreams bounds the streams that are looked at each time, the latest first.
	tailStreams = 500
	// tailsEach and tailsAll bound the live tails that one caller and all have on this
	// server. AWS has 15 for an account.
	tailsEach = 15
	tailsAll  = 100
)

// StartLiveTailInput is the request of logs:StartLiveTail.
type StartLiveTailInput struct {
	LogGroupIdentifiers   []string `json:"logGroupIdentifiers" constraint:"required len=1..10 pattern=LogsGroupIdentifier"`
	LogStreamNames        []string `json:"logStreamNames" constraint:"len=1..100 pattern=LogsStreamName"`
	LogStreamNamePrefixes []string `json:"logStreamNamePrefixes" constraint:"len=1..100 pattern=LogsStreamName"`
	LogEventFilterPattern string   `json:"logEventFilterPattern" constraint:"len=0..1024"`
}

// StartLiveTailOutput is the answer of logs:StartLiveTail: a stream of events.
type StartLiveTailOutput struct{ tail *liveTail }

// Serve sends the events of the live tail.
func (o *StartLiveTailOutput) Serve(ctx context.Context, to *awsapi.EventWriter) {
	o.tail.serve(ctx, to)
}

// liveTail shows the events of groups as they come.
type liveTail struct {
	s         *Server
	in        *StartLiveTailInput
	groups    []string
	pattern   *pattern.Pattern
	began     time.Time
	principal string
	seen      map[tailPlace]bool // that are within tailOverlap
}

// tailPlace tells events apart; two servers may give the same sequence.
type tailPlace struct{ stream, sequence int64 }

// The events of a live tail.
type (
	tailStart struct {
		RequestID             string   `json:"requestId"`
		SessionID             string   `json:"sessionId"`
		LogGroupIdentifiers   []string `json:"logGroupIdentifiers"`
		LogStreamNames        []string `json:"logStreamNames"`
		LogStreamNamePrefixes []string `json:"logStreamNamePrefixes"`
		LogEventFilterPattern string   `json:"logEventFilterPattern"`
	}
	tailUpdate struct {
		SessionMetadata tailMetadata `json:"sessionMetadata"`
		SessionResults  []tailEvent  `json:"sessionResults"`
	}
	tailMetadata struct {
		Sampled bool `json:"sampled"`
	}
	tailEvent struct {
		LogStreamName      string `json:"logStreamName"`
		LogGroupIdentifier string `json:"logGroupIdentifier"`
		Message            string `json:"message"`
		Timestamp          int64  `json:"timestamp"`
		IngestionTime      int64  `json:"ingestionTime"`
	}
)

// StartLiveTail shows events of groups, or of some streams of one group, from now on. It
// needs the permission on each group, now and as long as it lasts.
func (s *Server) StartLiveTail(ctx context.Context, in *StartLiveTailInput) (*StartLiveTailOutput, error) {
	t := &liveTail{s: s, in: in, began: s.cfg.Now(), seen: map[tailPlace]bool{}}
	for _, id := range in.LogGroupIdentifiers {
		name, err := s.groupName("", id)
		if err != nil {
			return nil, err
		}
		if _, err := s.group(ctx, "StartLiveTail", name, "", nil); err != nil {
			return nil, err
		}
		if !slices.Contains(t.groups, name) {
			t.groups = append(t.groups, name)
		}
	}
	names, prefixes := len(in.LogStreamNames) > 0, len(in.LogStreamNamePrefixes) > 0
	if names && prefixes {
		return nil, invalid("LogStreamNames and LogStreamNamePrefixes are mutually exclusive parameters.")
	}
	if (names || prefixes) && len(in.LogGroupIdentifiers) > 1 {
		return nil, invalid("Log streams can be chosen only if there is one log group.")
	}
	var err error
	if t.pattern, err = pattern.Parse(in.LogEventFilterPattern); err != nil {
		return nil, invalid("Invalid filter pattern: %v.", err)
	}
	principal, _ := auth.From(ctx)
	t.principal = principal.ARN
	return &StartLiveTailOutput{t}, s.takeTail(t.principal)
}

// takeTail counts a live tail.
func (s *Server) takeTail(principal string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, n := range s.tails {
		all += n
	}
	if s.tails[principal] >= tailsEach || all >= tailsAll {
		return ssm.Errorf(codeLimit, "There are too many live tail sessions.")
	}
	s.tails[principal]++
	return nil
}

func (s *Server) giveTail(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tails[principal]--; s.tails[principal] == 0 {
		delete(s.tails, principal)
	}
}

// serve sends an update each second until the client leaves, may no longer, or the time is over.
func (t *liveTail) serve(ctx context.Context, to *awsapi.EventWriter) {
	defer t.s.giveTail(t.principal)
	if ctx.Err() != nil {
		return
	}
	begin := tailStart{RequestID: awsapi.Info(ctx).RequestID, SessionID: ssm.NewUUID(), LogGroupIdentifiers: t.in.LogGroupIdentifiers,
		LogStreamNames: t.in.LogStreamNames, LogStreamNamePrefixes: t.in.LogStreamNamePrefixes, LogEventFilterPattern: t.in.LogEventFilterPattern}
	if to.Event("sessionStart", begin) != nil {
		return
	}
	tick := time.NewTicker(tailInterval)
	defer tick.Stop()
	judged := t.began
	for {
		select {
		case <-tick.C:
		case <-t.s.stopping:
			_ = to.Exception("SessionStreamingException", "The server stops. Start the session again.")
			return
		case <-ctx.Done():
			return
		}
		now := t.s.cfg.Now()
		if now.Sub(t.began) >= tailLife {
			_ = to.Exception("SessionTimeoutException", "The session has lasted for three hours.")
			return
		}
		update, err := t.look(ctx, now, now.Sub(judged) >= tailJudged)
		if err != nil {
			if ctx.Err() == nil {
				_ = to.Exception("SessionStreamingException", tailProblem(err))
			}
			return
		}
		if now.Sub(judged) >= tailJudged {
			judged = now
		}
		if to.Event("sessionUpdate", update) != nil {
			return
		}
	}
}

// tailProblem is what the caller learns of an error.
func tailProblem(err error) string {
	if e, ok := err.(*ssm.Error); ok {
		return e.Message
	}
	return "The log events could not be read."
}

// look finds what came since the last look.
func (t *liveTail) look(ctx context.Context, now time.Time, judge bool) (tailUpdate, error) {
	since := now.Add(-tailOverlap)
	if since.Before(t.began) {
		since = t.began
	}
	after := since.UnixMilli()<<20 - 1
	update := tailUpdate{SessionResults: []tailEvent{}}
	for _, name := range t.groups {
		g, err := t.s.cfg.Store.LogGroup(ctx, name)
		if err == nil && judge {
			g, err = t.s.group(ctx, "StartLiveTail", name, "", nil)
		}
		if err != nil {
			return update, failed(err, errNoGroup, nil)
		}
		if err := t.group(ctx, g, now, since, after, &update); err != nil {
			return update, err
		}
	}
	for place := range t.seen {
		if place.sequence <= after {
			delete(t.seen, place)
		}
	}
	slices.SortStableFunc(update.SessionResults, func(a, b tailEvent) int { return int(a.Timestamp - b.Timestamp) })
	return update, nil
}

// group adds the new events of a group to an update.
func (t *liveTail) group(ctx context.Context, g store.LogGroup, now, since time.Time, after int64, update *tailUpdate) error {
	streams, err := t.s.cfg.Store.LogStreamsIngestedSince(ctx, g.ID, since, tailStreams)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	f := store.LogEventFilter{GroupID: g.ID, Before: store.LastLogPosition, AfterSequence: after, MaxBytes: 16 * maxAnswerBytes,
		After: before(max(t.s.cutoff(g), now.Add(-tailPast).UnixMilli()))}
	for _, st := range streams {
		if t.wants(st.Name) {
			names[st.ID] = st.Name
			f.Streams = append(f.Streams, st.ID)
		}
	}
	if len(names) == 0 {
		return nil
	}
	// What was shown is read again, for as long as tailOverlap.
	f.Limit = len(t.seen) + 4*tailEvents
	events, err := t.s.read(ctx, g, f)
	if err != nil {
		return err
	}
	for _, e := range events {
		place := tailPlace{e.StreamID, e.Sequence}
		if t.seen[place] {
			continue
		}
		t.seen[place] = true
		if !t.pattern.Match(e.Message) {
			continue
		}
		if len(update.SessionResults) == tailEvents {
			update.SessionMetadata.Sampled = true
			continue
		}
		update.SessionResults = append(update.SessionResults, tailEvent{LogStreamName: names[e.StreamID], LogGroupIdentifier: t.s.groupARN(g.Name),
			Message: string(e.Message), Timestamp: e.At, IngestionTime: e.IngestedAt})
	}
	return nil
}

// wants says whether a stream was asked for.
func (t *liveTail) wants(name string) bool {
	if len(t.in.LogStreamNames) > 0 {
		return slices.Contains(t.in.LogStreamNames, name)
	}
	for _, prefix := range t.in.LogStreamNamePrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return len(t.in.LogStreamNamePrefixes) == 0
}
