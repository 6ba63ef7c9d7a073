// Gotest runs `go test` with the given arguments and shows what a person wants to see
// of it: a line for each package, all output of what failed, and at the end each
// skipped test with its reason, which plain `go test` hides. Its exit code is that of
// `go test`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	r := newReport(os.Stdout)
	readErr := r.read(stdout)
	err = cmd.Wait()
	r.end()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode())) // -1 for a signal
	case err != nil || readErr != nil:
		fmt.Fprintln(os.Stderr, "gotest:", errors.Join(err, readErr))
		os.Exit(1)
	}
}

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// name tells tests apart: a package's own output has an empty test.
type name struct{ pkg, test string }

// report gathers a run. Output of a test is kept until it is known how the test ended.
type report struct {
	w       io.Writer
	output  map[name]*strings.Builder
	skipped []string
	failed  []string
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: make(map[name]*strings.Builder)}
}

// read takes the events. Lines that are none, such as a compiler's, go through.
func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				r.w.Write(line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "output":
		if r.output[n] == nil {
			r.output[n] = &strings.Builder{}
		}
		r.output[n].WriteString(e.Output)
	case "build-output":
		io.WriteString(r.w, e.Output)
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.take(n))))
		} else {
			r.packageEnd(e, "")
		}
	case "fail":
		if e.Test != "" {
			r.failed = append(r.failed, e.Package+" "+e.Test)
			io.WriteString(r.w, r.take(n))
		} else {
			r.packageEnd(e, "FAIL")
		}
	case "pass":
		if e.Test != "" {
			r.take(n)
		} else {
			r.packageEnd(e, "ok")
		}
	}
}

// packageEnd shows a package's end. After a crash or a timeout, tests have no end of
// their own: what they said is shown too.
func (r *report) packageEnd(e event, verdict string) {
	text := r.take(name{pkg: e.Package})
	if verdict == "FAIL" {
		for n, output := range r.output {
			if n.pkg == e.Package {
				io.WriteString(r.w, output.String())
				delete(r.output, n)
			}
		}
		io.WriteString(r.w, text)
		r.failed = append(r.failed, e.Package)
		return
	}
	for line := range strings.Lines(text) {
		// "ok  	PACKAGE	1.2s" and "?   	PACKAGE	[no test files]", and the warnings between.
		if line != "PASS\n" && !strings.HasPrefix(line, "?") && !strings.HasPrefix(line, "-test.shuffle") {
			io.WriteString(r.w, line)
		}
	}
}

// end shows what must not be overlooked.
func (r *report) end() {
	if len(r.skipped) > 0 {
		fmt.Fprintf(r.w, "\nSkipped, and why (%d):\n", len(r.skipped))
		for _, s := range r.skipped {
			fmt.Fprintln(r.w, "  "+s)
		}
	}
	if len(r.failed) > 0 {
		fmt.Fprintf(r.w, "\nFailed (%d):\n", len(r.failed))
		for _, s := range r.failed {
			fmt.Fprintln(r.w, "  "+s)
		}
	}
}

func (r *report) take(n name) string {
	b := r.output[n]
	if b == nil {
		return ""
	}
	delete(r.output, n)
	return b.String()
}

// reason is what a skipped test said, without the framework's own lines.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
