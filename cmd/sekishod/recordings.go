package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"sekisho/internal/gateway"
	"sekisho/internal/message"
	"sekisho/internal/recorder"
	"sekisho/internal/store"
)

// recordingsDir holds the recordings. It is in the data directory.
const recordingsDir = "recordings"

// recordings makes what feeds the gateway's frames to recordings, as the configuration
// says; nil for none.
func (s *server) recordings() (func(store.Session) gateway.Recording, error) {
	if s.cfg.Recordings.Record == recordOff {
		return nil, nil
	}
	r, err := s.recorder()
	if err != nil {
		return nil, err
	}
	return func(row store.Session) gateway.Recording {
		facts := recorder.Facts{SessionID: row.ID, NodeID: row.NodeID, Owner: row.OwnerARN, DocumentName: row.DocumentName, StartedAt: row.StartedAt}
		var task message.SessionTask
		if err := json.Unmarshal(row.Task, &task); err == nil { // else the node will refuse it
			facts.SessionType, facts.KMSKeyID = task.DocumentContent.SessionType, task.DocumentContent.Inputs.KMSKeyID
		}
		return s.noteRecording(r.Begin(facts), row, facts)
	}, nil
}

// runRecordingsVerify holds recordings against a public key. It needs neither server nor
// database.
func runRecordingsVerify(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var keyFile string
	var flags flag.FlagSet
	flags.StringVar(&keyFile, "key", "", "`FILE` with the server's public key; default: recordings.pub beside the recording")
	dirs, err := c.parseWithFiles(&flags, args, stdout)
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return usageError{"recordings verify: no recording is named (see `sekishod recordings verify --help`)"}
	}
	damaged := 0
	for _, dir := range dirs {
		dir = filepath.Clean(dir)
		path := keyFile
		if path == "" {
			path = filepath.Join(filepath.Dir(dir), "recordings.pub")
		}
		key, err := recorder.ReadPublic(path)
		if err != nil {
			return err
		}
		report, err := recorder.Verify(dir, key)
		var damage *recorder.Damage
		switch {
		case errors.As(err, &damage):
			damaged++
			fmt.Fprintf(stdout, "%s: DAMAGED: %v\n", dir, damage)
		case err != nil:
			return err
		default:
			fmt.Fprintf(stdout, "%s: %s\n", dir, verdict(report))
		}
	}
	if damaged > 0 {
		return fmt.Errorf("%d of %d recordings are damaged", damaged, len(dirs))
	}
	return nil
}

func verdict(r recorder.Report) string {
	text := fmt.Sprintf("good, %d segments, %d bytes", r.Segments, r.Bytes)
	switch {
	case !r.Closed && r.Unsigned:
		return text + "; the session is not over, and the last segment is not signed yet"
	case !r.Closed:
		return text + "; the session is not over"
	}
	return text
}

// runRecordingsExport writes a recording in another form.
func runRecordingsExport(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var form string
	var flags flag.FlagSet
	flags.StringVar(&form, "form", "cast", "cast (asciicast v2, for asciinema) or output (the bytes that the user saw)")
	dirs, err := c.parseWithFiles(&flags, args, stdout)
	if err != nil {
		return err
	}
	if len(dirs) != 1 {
		return usageError{"recordings export: one recording must be named (see `sekishod recordings export --help`)"}
	}
	switch form {
	case "cast":
		return recorder.Cast(dirs[0], stdout)
	case "output":
		return recorder.Output(dirs[0], stdout)
	}
	return usageError{fmt.Sprintf("recordings export: --form %q is neither cast nor output", form)}
}
