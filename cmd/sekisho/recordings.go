package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"sekisho/internal/client/terminal"
	"sekisho/internal/recorder"
	"sekisho/internal/ssm"
)

// part gets a piece of a recording.
func (a *api) part(ctx context.Context, id string, offset int64, input bool) (*ssm.GetRecordingOutput, error) {
	in := map[string]any{"SessionId": id, "IncludeInput": input}
	if offset > 0 {
		in["Offset"] = offset
	}
	out := new(ssm.GetRecordingOutput)
	return out, a.call(ctx, "sekisho", "GetRecording", in, out)
}

// parts gets a recording piece by piece.
func (a *api) parts(ctx context.Context, id string, input bool, f func(*ssm.GetRecordingOutput) error) error {
	for offset := int64(0); ; {
		out, err := a.part(ctx, id, offset, input)
		if err == nil {
			err = f(out)
		}
		if err != nil || out.NextOffset == nil {
			return err
		}
		offset = *out.NextOffset
	}
}

func verifyRecordings(ctx context.Context, c *caller, keyFile string, args []string) error {
	if err := need("recordings verify", args, 1, 10000, "a session or a directory"); err != nil {
		return err
	}
	type verdict struct {
		Recording string
		ssm.VerifyRecordingOutput
	}
	var list []verdict
	bad := 0
	for _, arg := range args {
		v := verdict{Recording: arg}
		if isDirectory(arg) {
			dir := filepath.Clean(arg)
			path := keyFile
			if path == "" {
				path = filepath.Join(filepath.Dir(dir), "recordings.pub")
			}
			key, err := recorder.ReadPublic(path)
			if err != nil {
				return fmt.Errorf("%w\n(the server's public key is in the file recordings.pub of its recordings: name it with --key)", err)
			}
			report, err := recorder.Verify(dir, key)
			if damage, ok := errors.AsType[*recorder.Damage](err); ok {
				v.Problem, v.File = damage.What, damage.File
			} else if err != nil {
				return err
			} else {
				v.Verified, v.Segments, v.Closed, v.Unsigned = true, report.Segments, report.Closed, report.Unsigned
			}
		} else {
			if c.api == nil {
				var err error
				if c.api, err = newAPI(ctx, c.options); err != nil {
					return err
				}
			}
			if err := c.api.call(ctx, "sekisho", "VerifyRecording", &ssm.RecordingIDInput{SessionID: arg}, &v.VerifyRecordingOutput); err != nil {
				return err
			}
		}
		if !v.Verified {
			bad++
		}
		list = append(list, v)
	}
	if c.output == "json" {
		if err := c.print(list, "", nil); err != nil {
			return err
		}
	} else {
		for _, v := range list {
			switch {
			case !v.Verified:
				fmt.Fprintf(c.stdout, "%s: %s: %s: %s\n", printable(v.Recording), c.color("31", "DAMAGED"), printable(v.File), printable(v.Problem))
			case !v.Closed:
				fmt.Fprintf(c.stdout, "%s: %s, %d segments; the session is not over\n", printable(v.Recording), c.color("32", "good"), v.Segments)
			default:
				fmt.Fprintf(c.stdout, "%s: %s, %d segments\n", printable(v.Recording), c.color("32", "good"), v.Segments)
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d recordings are damaged", bad, len(args))
	}
	return nil
}

type exportOptions struct {
	form  string
	input bool
}

func (o *exportOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.form, "form", "cast", "cast (asciicast v2, for asciinema) or text")
	f.BoolVar(&o.input, "input", false, "also what the user typed, if it was recorded")
}

func (o *exportOptions) export(ctx context.Context, c *caller, args []string) error {
	if err := need("recordings export", args, 1, 1, "a session"); err != nil {
		return err
	}
	if o.form != "cast" && o.form != "text" {
		return usageError{fmt.Sprintf("recordings export: --form %q is neither cast nor text", o.form)}
	}
	var all strings.Builder // the text of a line may be in several pieces
	err := c.api.parts(ctx, args[0], o.input, func(out *ssm.GetRecordingOutput) error {
		for _, flow := range out.Flows {
			fmt.Fprintf(c.stdout, "%10.3f  %d bytes to the node, %d from it %s\n", flow.OffsetSeconds, flow.BytesToNode, flow.BytesFromNode, printable(flow.Detail))
		}
		if o.form == "cast" {
			_, err := io.WriteString(c.stdout, out.Cast)
			return err
		}
		all.WriteString(out.Cast)
		return nil
	})
	if err != nil || o.form == "cast" {
		return err
	}
	_, err = io.WriteString(c.stdout, recorder.CastText(all.String()))
	return err
}

// moment is an event of a recording.
type moment struct {
	at   time.Duration
	code string
	text string
}

// moments reads lines of asciicast. The header makes a moment "h".
func moments(cast string) (list []moment, err error) {
	for line := range strings.Lines(cast) {
		if strings.HasPrefix(line, "{") {
			list = append(list, moment{code: "h", text: line})
			continue
		}
		var seconds float64
		var code, text string
		if err := json.Unmarshal([]byte(line), &[]any{&seconds, &code, &text}); err != nil {
			return nil, fmt.Errorf("read the recording: %w", err)
		}
		list = append(list, moment{time.Duration(seconds * float64(time.Second)), code, text})
	}
	return list, nil
}

type replayOptions struct {
	speed    float64
	skipIdle time.Duration
}

func (o *replayOptions) flags(f *flag.FlagSet) {
	f.Float64Var(&o.speed, "speed", 1, "how many times as fast, `N`; 0 does not wait at all")
	f.DurationVar(&o.skipIdle, "skip-idle", 0, "waits no longer than this `DURATION` for the next output")
}

// tape is a recording that is played. It is fetched as it is needed.
type tape struct {
	api    *api
	id     string
	list   []moment
	offset int64
	whole  bool
}

// get gives a moment, or nil after the last.
func (t *tape) get(ctx context.Context, i int) (*moment, error) {
	for i >= len(t.list) && !t.whole {
		out, err := t.api.part(ctx, t.id, t.offset, false)
		if err != nil {
			return nil, err
		}
		if len(out.Flows) > 0 || out.Recording.SessionType == "Port" {
			return nil, errors.New("the session was a tunnel: `sekisho recordings export` shows what it carried")
		}
		more, err := moments(out.Cast)
		if err != nil {
			return nil, err
		}
		t.list = append(t.list, more...)
		if t.whole = out.NextOffset == nil; !t.whole {
			t.offset = *out.NextOffset
		}
	}
	if i >= len(t.list) {
		return nil, nil
	}
	return &t.list[i], nil
}

// seekStep is how far the arrow keys go.
const seekStep = 10 * time.Second

func (o *replayOptions) replay(ctx context.Context, c *caller, args []string) error {
	if err := need("replay", args, 1, 1, "a session"); err != nil {
		return err
	}
	if o.speed < 0 {
		return usageError{"replay: --speed is below 0"}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	var keys <-chan string
	if term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) {
		t := terminal.Open(os.Stdin, os.Stdout, nil)
		if err := t.MakeRaw(); err == nil {
			defer func() {
				fmt.Fprint(os.Stdout, "\x1b[?1049l\x1b[?25h\x1b[m\r\n")
				t.Restore()
			}()
			keys = readKeys(os.Stdin)
		}
	}
	err := o.play(ctx, c, &tape{api: c.api, id: args[0]}, keys)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readKeys gives what is typed. The goroutine ends with the program.
func readKeys(from io.Reader) <-chan string {
	keys := make(chan string)
	go func() {
		b := make([]byte, 16)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			keys <- string(b[:n])
		}
	}()
	return keys
}

// play plays a recording until it is over.
func (o *replayOptions) play(ctx context.Context, c *caller, t *tape, keys <-chan string) error {
	var position time.Duration // of the recording
	seek := time.Duration(-1)  // until there nothing is waited for
	paused := false
	for i := 0; ; i++ {
		m, err := t.get(ctx, i)
		if err != nil {
			return err
		}
		if m == nil {
			return nil
		}
		if m.code == "h" {
			c.sizeNote(m.text)
			continue
		}
		wait := m.at - position
		if o.skipIdle > 0 {
			wait = min(wait, o.skipIdle)
		}
		if seek >= 0 && m.at <= seek || o.speed == 0 {
			wait = 0
		} else {
			seek = -1
		}
		for wait > 0 || paused {
			var timer <-chan time.Time
			began := time.Now()
			if !paused {
				timer = time.After(time.Duration(float64(wait) / o.speed))
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-timer:
				wait = 0
			case key := <-keys:
				if !paused {
					wait -= time.Duration(float64(time.Since(began)) * o.speed)
				}
				switch key {
				case "q", "\x03":
					return nil
				case " ":
					paused = !paused
				case "+":
					o.speed = min(o.speed*2, 64)
				case "-":
					o.speed = max(o.speed/2, 0.125)
				case "\x1b[C", "\x1bOC":
					seek, wait, paused = position+seekStep, 0, false
				case "\x1b[D", "\x1bOD": // from the beginning again, without waiting
					fmt.Fprint(c.stdout, "\x1bc")
					seek, wait, paused = max(position-seekStep, 0), 0, false
					i, m = -1, nil
				}
			}
			if m == nil {
				break
			}
		}
		if m == nil {
			position = 0
			continue
		}
		position = m.at
		if m.code == "o" {
			if _, err := io.WriteString(c.stdout, m.text); err != nil {
				return err
			}
		}
	}
}

// sizeNote says when the terminal is smaller than the one that was recorded.
func (c *caller) sizeNote(header string) {
	var was struct{ Width, Height int }
	f, ok := c.stdout.(*os.File)
	if !ok || json.Unmarshal([]byte(header), &was) != nil {
		return
	}
	if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && (columns < was.Width || rows < was.Height) {
		fmt.Fprintf(c.stderr, "The session had a terminal of %dx%d, this one has %dx%d: lines may be broken.\r\n", was.Width, was.Height, columns, rows)
	}
}

// watchSession shows a running session.
func watchSession(ctx context.Context, c *caller, args []string) error {
	if err := need("sessions watch", args, 1, 1, "a session"); err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	in := map[string]any{"SessionId": args[0]}
	for {
		var out ssm.WatchSessionOutput
		if err := c.api.call(ctx, "sekisho", "WatchSession", in, &out); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		list, err := moments(out.Cast)
		if err != nil {
			return err
		}
		for _, m := range list {
			switch m.code {
			case "h":
				c.sizeNote(m.text)
			case "o":
				if _, err := io.WriteString(c.stdout, m.text); err != nil {
					return err
				}
			}
		}
		if out.Ended {
			fmt.Fprintln(c.stderr, "\r\nThe session is over.")
			return nil
		}
		in["Cursor"] = out.Cursor
	}
}
