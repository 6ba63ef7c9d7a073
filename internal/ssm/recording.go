package ssm

// Shapes of the operations on recordings, which AWS does not have (service sekisho).

// ListRecordingsInput is the request of sekisho:ListRecordings. What is given must all
// match.
type ListRecordingsInput struct {
	Principal     string `constraint:"len=1..2048"` // ARN of the session's owner
	Target        string `constraint:"len=1..400"`
	StartedAfter  *Time  `constraint:""`
	StartedBefore *Time  `constraint:""`
	MaxResults    *int   `constraint:"range=1..200"`
	NextToken     string `constraint:""`
}

// ListRecordingsOutput is its answer, newest first.
type ListRecordingsOutput struct {
	Recordings []Recording
	NextToken  string `json:",omitempty"`
}

// Recording is what is known of a recording.
type Recording struct {
	SessionID       string `json:"SessionId"`
	Target          string
	Owner           string // ARN
	DocumentName    string
	SessionType     string
	KMSKeyID        string `json:"KmsKeyId,omitempty"` // what the session was encrypted under
	StartedAt       *Time
	EndedAt         *Time `json:",omitempty"`
	Bytes           int64
	Closed          bool // nothing follows
	LegalHold       bool
	LegalHoldReason string `json:",omitempty"`
}

// GetRecordingInput is the request of sekisho:GetRecording.
type GetRecordingInput struct {
	SessionID    string `json:"SessionId" constraint:"required len=1..96"`
	Offset       *int64 `constraint:"range=0.."` // a NextOffset; absent for the beginning
	IncludeInput bool
}

// GetRecordingOutput is its answer: Cast, or the Flows of a tunnel.
type GetRecordingOutput struct {
	Recording  Recording
	Cast       string          `json:",omitempty"` // lines of asciicast v2
	Flows      []RecordingFlow `json:",omitempty"`
	NextOffset *int64          `json:",omitempty"` // absent at the end
}

// RecordingFlow is what a tunnel had carried at a time.
type RecordingFlow struct {
	OffsetSeconds float64
	BytesToNode   int64  `json:",omitempty"`
	BytesFromNode int64  `json:",omitempty"`
	Detail        string `json:",omitempty"` // as the recording has it
}

// RecordingIDInput is a request that names a session with a recording.
type RecordingIDInput struct {
	SessionID string `json:"SessionId" constraint:"required len=1..96"`
}

// VerifyRecordingOutput is the answer of sekisho:VerifyRecording.
type VerifyRecordingOutput struct {
	Verified bool
	Problem  string `json:",omitempty"`
	File     string `json:",omitempty"` // that the problem is in
	Segments int
	Closed   bool
	Unsigned bool // a last segment is not signed yet
}

// SearchTranscriptsInput is the request of sekisho:SearchTranscripts.
type SearchTranscriptsInput struct {
	Query         string `constraint:"required len=2..200"`
	Principal     string `constraint:"len=1..2048"`
	Target        string `constraint:"len=1..400"`
	StartedAfter  *Time  `constraint:""`
	StartedBefore *Time  `constraint:""`
	MaxResults    *int   `constraint:"range=1..100"`
	NextToken     string `constraint:""`
}

// SearchTranscriptsOutput is its answer: a page may have fewer hits than asked for, and
// the next one more.
type SearchTranscriptsOutput struct {
	Hits      []TranscriptHit
	NextToken string `json:",omitempty"`
}

// TranscriptHit is the first place in a session's transcript that has the text.
type TranscriptHit struct {
	SessionID     string `json:"SessionId"`
	Target        string
	Owner         string
	StartedAt     *Time
	Excerpt       string
	OffsetSeconds float64 // since the beginning of the session
}

// PutLegalHoldInput is the request of sekisho:PutLegalHold.
type PutLegalHoldInput struct {
	SessionID string `json:"SessionId" constraint:"required len=1..96"`
	Hold      bool
	Reason    string `constraint:"len=1..256"`
}

// PutLegalHoldOutput is its answer.
type PutLegalHoldOutput struct{ Recording Recording }

// WatchSessionInput is the request of sekisho:WatchSession.
type WatchSessionInput struct {
	SessionID string `json:"SessionId" constraint:"required len=1..96"`
	Cursor    string `constraint:"len=1..200"`
}

// WatchSessionOutput is its answer: what came since the cursor.
type WatchSessionOutput struct {
	Cast   string
	Cursor string
	Ended  bool
}

// RecordingPart is a piece of a recording, read from its files.
type RecordingPart struct {
	Cast  string
	Flows []RecordingFlow
	Next  int64 // the offset of what follows
	End   bool  // nothing more is there now
}

// RecordingKey is the sealed data key of an encrypted recording, and the context that it
// is bound to.
type RecordingKey struct {
	Sealed  []byte
	Context map[string]string
}

// RecordingFacts say whose session a recording is of.
type RecordingFacts struct {
	SessionID    string
	NodeID       string
	Owner        string
	DocumentName string
	SessionType  string
	KMSKeyID     string
	StartedAt    *Time
	Bytes        int64
	Closed       bool
}

// Transcript is the text of a session, as far as it is kept.
type Transcript struct {
	Text  string // lines
	Marks []TranscriptMark
}

// TranscriptMark says when a place of the text was written.
type TranscriptMark struct {
	Byte   int   // in the text
	Millis int64 // since the beginning
}
