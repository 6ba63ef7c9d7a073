// Package client is the operator's end of a session: it opens the data channel that
// StartSession gave, runs a shell session between it and a terminal, and keeps the
// session through lost connections. The drop-in session-manager-plugin and the
// operators' CLI are thin programs over it.
//
// It promises that no byte is lost or repeated between the two ends while a session
// lives, that everything the node sent is written before a session's end is told,
// that memory stays bounded however slow the output is, and that the terminal is put
// back before Run returns. What the protocol is belongs to packages message and
// datachannel; what a terminal is to internal/client/terminal.
//
// One goroutine of a run reads the data channel and writes the output, one reads the
// input, one tells window sizes and keys; Run's own goroutine holds the connection.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"sekisho/internal/datachannel"
	"sekisho/internal/ssm"
)

// Session is what StartSession answered. Token is a secret that opens this session.
type Session struct {
	ID        string
	Token     string
	StreamURL string
	// Target is the node as StartSession was asked for it. Sessions that are encrypted
	// need it: the data key is bound to it.
	Target string
}

// LogValue leaves the token out of logs.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.ID) }

// String leaves the token out of messages.
func (s Session) String() string { return s.ID }

// Conn is one connection of a data channel.
type Conn interface {
	datachannel.FrameConn
	// Alive is closed once the gateway has been heard to serve this connection: it
	// has taken the opening message and answered.
	Alive() <-chan struct{}
}

// Terminal is the terminal that input comes from (see internal/client/terminal).
type Terminal interface {
	MakeRaw() error
	Restore() error // does nothing when the terminal is not raw
}

// Options say what a session runs on. Stdin, Stdout, Stderr, Dial and Resume are
// required.
type Options struct {
	// Stdin is closed when the session ends, and Close must end a blocked Read with
	// [os.ErrClosed].
	Stdin io.ReadCloser
	// Stdout gets the session's output and the words that the stock client prints
	// there. A slow Stdout slows the node down.
	Stdout io.Writer
	// Stderr gets the remote standard error, where it comes apart, and notices about
	// the connection.
	Stderr io.Writer

	// Terminal is Stdin's. Nil means that Stdin is no terminal: its end is then sent
	// as a terminal would send it, by an EOT character (two if the last line is not
	// ended), and the session goes on until the node ends it.
	Terminal Terminal
	// Size is the window's size now; nil, or zeros, means that none is told.
	Size func() (cols, rows int)
	// Resized gives a value whenever Size may have changed.
	Resized <-chan struct{}
	// Keys gives control characters that did not come by Stdin: 0x03 for an
	// interrupt signal, when Stdin is no terminal.
	Keys <-chan byte

	// Stop gives signals that close a tunnel or go to a command without a terminal.
	// Shells do not take them.
	Stop <-chan os.Signal
	// LateGreeting keeps the first line back until it is known whether Stdout carries
	// data, in which there must be no words.
	LateGreeting bool

	// Dial opens a connection and sends the opening message (see [Dialer]).
	Dial func(ctx context.Context, streamURL string, open []byte) (Conn, error)
	// Resume asks for a new token after a lost connection (see [Service]).
	Resume func(ctx context.Context, sessionID string) (*ssm.ResumeSessionOutput, error)
	// DataKey has a data key made for a session that is to be encrypted (see
	// [Service]). Nil refuses such sessions.
	DataKey func(ctx context.Context, keyID string, encryptionContext map[string]string) (key datachannel.DataKey, sealed []byte, err error)

	// Language of notices and of what [Explain] says.
	Language Language
	Logger   *slog.Logger // nil discards
}

// Outcome is how a session ended.
type Outcome struct {
	// Output is what the service said about the end; empty after a plain exit.
	Output string
	// TimedOut says that the session was over when its connection was to be resumed.
	TimedOut bool
	// ExitCode is that of the remote command, for sessions that tell it; else nil.
	ExitCode *int
}

// Ends of a run that callers tell apart.
var (
	// ErrNotConnected says that the session's first connection could not be made.
	ErrNotConnected = errors.New("cannot open the session's data channel")
	// ErrGaveUp says that the connection stayed lost for [reconnectPatience].
	ErrGaveUp = errors.New("the connection stayed lost")
	// ErrAbandoned says that the user gave up waiting for a lost connection.
	ErrAbandoned = errors.New("given up by the user while the connection was lost")
	// ErrHangUp says that the terminal went away.
	ErrHangUp = errors.New("the terminal is gone")
)

// RefusedError says that the service refused to resume the session.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return fmt.Sprintf("resume session: %v", e.Err) }

func (e *RefusedError) Unwrap() error { return e.Err }

// EncryptionError says that the session could not be encrypted, or that what came is
// not what the node sealed. Nothing went in clear instead.
type EncryptionError struct{ Err error }

func (e *EncryptionError) Error() string { return e.Err.Error() }

func (e *EncryptionError) Unwrap() error { return e.Err }

// UnsupportedError says that the session needs something this client does not do.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "not supported: " + e.What }
