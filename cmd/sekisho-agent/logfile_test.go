package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestLogFileDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.log")
	var fallback bytes.Buffer
	for range 2 { // the second process goes on where the first ended
		l := newLogFile(path, 100, 2, &fallback)
		for i := range 30 {
			if _, err := fmt.Fprintf(l, "line %02d of the log\n", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || len(text) > 100 || !bytes.HasSuffix(text, []byte("of the log\n")) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if last, _ := os.ReadFile(path); !bytes.HasSuffix(last, []byte("line 29 of the log\n")) {
		t.Errorf("the last line is not at the end: %q", last)
	}
	if fallback.Len() != 0 {
		t.Errorf("fallback: %q", fallback.String())
	}
}

func TestLogFileThatCannotBeWrittenLosesNothing(t *testing.T) {
	var fallback bytes.Buffer
	l := newLogFile(filepath.Join(t.TempDir(), "missing", "agent.log"), 100, 2, &fallback)
	fmt.Fprint(l, "a line\n")
	if fallback.String() != "a line\n" {
		t.Errorf("fallback: %q", fallback.String())
	}
}
