package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configure changes the server's configuration and starts it again. It has no nodes of its
// own yet.
func (d *deployment) configure(t *testing.T, replace ...string) {
	t.Helper()
	d.stop(os.Interrupt)
	config := filepath.Join(d.dir, "sekishod.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for i := 0; i < len(replace); i += 2 {
		if strings.Count(changed, replace[i]) != 1 {
			t.Fatalf("%q is not once in the configuration:\n%s", replace[i], changed)
		}
		changed = strings.Replace(changed, replace[i], replace[i+1], 1)
	}
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
}

// TestSinks has a second server as the S3 and the CloudWatch Logs of somebody else. It is
// away while the session runs; then it gets log and recording, and the recording is read
// from there when the first server's disk has lost it.
func TestSinks(t *testing.T) {
	c := clis(t)[0]
	outside := deploy(t, 0)
	outside.must(c, "s3", "mb", "s3://"+logBucket)
	outside.must(c, "s3", "mb", "s3://archive")
	d := deploy(t, 0)
	key := fmt.Sprintf("[outside]\naws_access_key_id = %s\naws_secret_access_key = %s\n", outside.env["AWS_ACCESS_KEY_ID"], outside.env["AWS_SECRET_ACCESS_KEY"])
	if err := os.WriteFile(filepath.Join(d.dir, "outside.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	region := "region=" + outside.env["AWS_DEFAULT_REGION"]
	d.configure(t, `record: "off"`, `record: "output"`,
		`store: ""`, `store: "s3://archive/of us?endpoint=https://`+outside.listen+`&`+region+`"`,
		`s3: ""`, `s3: "https://`+outside.listen+`?`+region+`"`,
		`logs: ""`, `logs: "https://`+outside.listen+`?`+region+`"`,
		`credentials: ""`, `credentials: "outside.key"`,
		`ca: ""`, `ca: "`+outside.env["AWS_CA_BUNDLE"]+`"`)
	outside.stop(os.Interrupt)
	r := join(t, d, c)
	l := loggedIn(t, d, c)
	l.node = r.node
	l.document("Logged")
	id := l.talk(t, "Logged", "on-both")

	// Logs and recording are linked from the session, while the sink is away.
	s := (place{deployment: d}).describe(t, c, "History", id)
	urls, _ := s["OutputUrl"].(map[string]any)
	if at, _ := urls["S3OutputUrl"].(string); !strings.Contains(at, id+".log") {
		t.Errorf("OutputUrl %v", urls)
	}
	if at, _ := urls["CloudWatchOutputUrl"].(string); !strings.Contains(at, id) {
		t.Errorf("OutputUrl %v", urls)
	}
	if details, _ := s["Details"].(string); !strings.Contains(details, "Recording: https://") || !strings.Contains(details, "/recordings/"+id) {
		t.Errorf("Details %q", details)
	}
	eventually(t, "the server says that the sinks are away", func() bool {
		said := d.log.String()
		return strings.Contains(said, "sink=sinks.s3") && strings.Contains(said, "sink=recordings.store")
	})
	outside.start()
	eventually(t, "the transcript is in the bucket outside", func() bool {
		transcript, err := outside.aws(c, "s3", "cp", "s3://"+logBucket+"/SessionManager/"+id+".log", "-")
		return err == nil && strings.Contains(transcript, "printed-on-both") && strings.Contains(transcript, "Script done on")
	})
	eventually(t, "the transcript is in the log group outside", func() bool {
		events, err := outside.aws(c, "logs", "get-log-events", "--log-group-name", logGroup, "--log-stream-name", id, "--output", "text")
		return err == nil && strings.Contains(events, "printed-on-both")
	})
	eventually(t, "the recording is in the store, closed", func() bool {
		head, err := outside.aws(c, "s3", "cp", "s3://archive/of us/"+id+"/head.json", "-")
		return err == nil && strings.Contains(head, `"closed":true`)
	})
	if err := os.RemoveAll(filepath.Join(d.dir, "recordings", id)); err != nil {
		t.Fatal(err)
	}
	if out := d.said(t, "recordings", "export", "--form", "text", id); !strings.Contains(out, "printed-on-both") {
		t.Errorf("the recording from the store:\n%s", out)
	}
	if out := d.said(t, "recordings", "verify", id); !strings.Contains(out, "good") {
		t.Errorf("recordings verify:\n%s", out)
	}
}
