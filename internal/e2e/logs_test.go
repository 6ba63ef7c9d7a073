package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const (
	logBucket = "ssm-session-manager-bucket" // of sampleDocument, as the group
	logGroup  = "LogGroup-SessionManager"
)

// logged is a deployment with the bucket and the log group of the guide's document, to
// which its nodes may write.
type logged struct {
	*deployment
	c      cli
	node   string
	plugin string
}

func loggedIn(t *testing.T, d *deployment, c cli) *logged {
	t.Helper()
	l := &logged{deployment: d, c: c}
	d.must(c, "iam", "put-role-policy", "--role-name", "SSMServiceRole", "--policy-name", "logs", "--policy-document",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["s3:PutObject","s3:GetEncryptionConfiguration","s3:ListBucket"],"Resource":["arn:aws:s3:::`+logBucket+`","arn:aws:s3:::`+logBucket+`/SessionManager/*"]},
			{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents","logs:DescribeLogGroups","logs:DescribeLogStreams"],"Resource":"*"}]}`)
	d.must(c, "s3", "mb", "s3://"+logBucket)
	d.must(c, "logs", "create-log-group", "--log-group-name", logGroup)
	return l
}

// document makes the guide's document, with changes of inputs.
func (l *logged) document(name string, replace ...string) {
	l.t.Helper()
	l.must(l.c, "ssm", "create-document", "--name", name, "--document-type", "Session", "--document-format", "JSON",
		"--content", l.file(name+".json", strings.NewReplacer(replace...).Replace(sampleDocument)))
}

func (l *logged) start(t *testing.T, document string) (*conversation, string) {
	t.Helper()
	cmd := exec.Command(l.c.path, l.awsArgs([]string{"ssm", "start-session", "--target", l.node, "--document-name", document})...)
	cmd.Env = l.environ()
	if l.plugin != "" {
		cmd.Env = append(cmd.Env, "PATH="+l.plugin+":"+l.env["PATH"])
	}
	v := converse(t, cmd)
	return v, v.expect(`Starting session with SessionId: (\S+)`)[1]
}

// shell opens a plain shell, behind the output of the document's profile.
func (l *logged) shell(t *testing.T, document string) (*conversation, string) {
	t.Helper()
	v, id := l.start(t, document)
	v.expect(`20\d\d\r*\n(?s:.*)[$#] `)
	v.typed("PS1='re''ady> ' exec sh\n")
	v.expect(`ready> `)
	return v, id
}

// talk types a line into a shell, and ends it.
func (l *logged) talk(t *testing.T, document, word string) (id string) {
	t.Helper()
	v, id := l.shell(t, document)
	v.typed("echo pri''nted-" + word + "\n")
	v.expect(`\nprinted-` + word + `\r*\nready> `)
	v.typed("exit\n")
	v.expect(`Exiting session with sessionId`)
	v.ends()
	return id
}

// follow is the command that shows a session's events as they come.
func (l *logged) follow(id string) *exec.Cmd {
	cmd := exec.Command(l.c.path, l.awsArgs([]string{"logs", "tail", logGroup, "--log-stream-names", id, "--since", "10m", "--follow"})...)
	cmd.Env = l.environ("PYTHONUNBUFFERED=1")
	return cmd
}

// story is the guide's third story, item 7: a session leaves its transcript in the bucket
// under the prefix and in the log group.
func (l *logged) story(t *testing.T) {
	l.document("Logged")
	l.document("Streamed", `"cloudWatchStreamingEnabled": false`, `"cloudWatchStreamingEnabled": true`, `"s3BucketName": "`+logBucket+`"`, `"s3BucketName": ""`)
	l.document("Encrypted-Logs", `"cloudWatchEncryptionEnabled": false`, `"cloudWatchEncryptionEnabled": true`,
		`"s3EncryptionEnabled": false`, `"s3EncryptionEnabled": true`)

	id := l.talk(t, "Logged", "in-the-end")
	var transcript string
	eventually(t, "the transcript is in the bucket", func() bool {
		var err error
		transcript, err = l.aws(l.c, "s3", "cp", "s3://"+logBucket+"/SessionManager/"+id+".log", "-")
		return err == nil
	})
	if !regexp.MustCompile(`(?s)^Script started on 20.*date\r*\n.*20\d\d.*printed-in-the-end.*\nScript done on 20`).MatchString(transcript) {
		t.Errorf("the transcript is %q", transcript)
	}
	eventually(t, "the transcript is in the log group", func() bool {
		events, err := l.aws(l.c, "logs", "get-log-events", "--log-group-name", logGroup, "--log-stream-name", id, "--output", "text")
		return err == nil && strings.Contains(events, "printed-in-the-end") && strings.Contains(events, "Script done on")
	})
	if s := (place{deployment: l.deployment}).describe(t, l.c, "History", id); s != nil {
		if urls, _ := s["OutputUrl"].(map[string]any); !strings.Contains(urls["S3OutputUrl"].(string), "/SessionManager/"+id+".log") {
			t.Errorf("the session is shown with %v", s["OutputUrl"])
		}
	}

	// While the session runs.
	v, id := l.shell(t, "Streamed")
	v.typed("echo pri''nted-at-once\n")
	v.expect(`\nprinted-at-once\r*\nready> `)
	eventually(t, "the events are in the log group", func() bool {
		found, err := l.aws(l.c, "logs", "filter-log-events", "--log-group-name", logGroup, "--log-stream-names", id,
			"--filter-pattern", `{ $.sessionId = "`+id+`" && $.userIdentity.arn = "arn:aws:*" && $.target.id = "`+l.node+`" }`)
		return err == nil && strings.Contains(found, `printed-at-once`)
	})
	if strings.Contains(l.c.name, "v2") {
		got, err := l.aws(l.c, "logs", "tail", logGroup, "--log-stream-names", id, "--since", "10m")
		if err != nil || !strings.Contains(got, "printed-at-once") {
			t.Errorf("aws logs tail: %v: %s", err, got)
		}
		follow := converse(t, l.follow(id))
		follow.expect(`printed-at-once`)
		v.typed("echo pri''nted-later\n")
		v.expect(`\nprinted-later\r*\nready> `)
		follow.expect(`printed-later`)
		follow.cmd.Process.Kill()
		follow.ends()
	}
	v.typed("exit\n")
	v.ends()

	// The group has no key, so this must not begin.
	v, id = l.start(t, "Encrypted-Logs")
	v.ends()
	v.mu.Lock()
	shown := strings.Join(strings.Fields(string(v.shown)), " ")
	v.mu.Unlock()
	if want := "We couldn't start the session because encryption is not set up on the selected CloudWatch Logs log group. " +
		"Either encrypt the log group or choose an option to enable logging without encryption."; !strings.Contains(shown, want) {
		t.Errorf("session %s, the user reads %q\nwant %q", id, shown, want)
	}
}

// TestSessionLogs holds the logs of our agent against the guide.
func TestSessionLogs(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 1)
	l := loggedIn(t, d, c)
	l.node = d.env["SEKISHO_NODE_ID"]
	l.story(t)
}

// TestLogsOutliveTheirSinks takes the bucket away before a session begins, kills the server
// in the middle of it and again before it ends: the prompt comes, and the whole log arrives
// when both are back.
func TestLogsOutliveTheirSinks(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0)
	r := join(t, d, c) // a node that outlives the server
	l := loggedIn(t, d, c)
	l.node = r.node
	l.document("Logged")
	d.must(c, "s3", "rb", "s3://"+logBucket)
	kill := func() {
		d.cmd.Process.Signal(syscall.SIGKILL)
		<-d.exited
	}
	v, id := l.shell(t, "Logged")
	v.typed("echo bef''ore\n")
	v.expect(`\nbefore\r*\nready> `)
	kill()
	d.start()
	v.typed("echo aft''er; sleep 5; echo alo''ne; exit\n")
	v.expect(`\nafter\r*\n`)
	kill() // the session ends while no server is there
	spool, err := filepath.Glob(filepath.Join(r.dir, "session-logs", id, "*"))
	if err != nil || len(spool) == 0 {
		t.Fatalf("nothing of the log is on the node's disk: %v", err)
	}
	eventually(t, "the session is over", func() bool {
		for _, file := range spool {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "alone\r\n") {
				return true
			}
		}
		return false
	})
	d.start()
	eventually(t, "the transcript is in the log group", func() bool {
		events, err := l.aws(c, "logs", "get-log-events", "--log-group-name", logGroup, "--log-stream-name", id, "--output", "text")
		return err == nil && strings.Contains(events, "before") && strings.Contains(events, "alone")
	})
	d.must(c, "s3", "mb", "s3://"+logBucket)
	complete := regexp.MustCompile(`(?s)^Script started on .*\nbefore\r*\n.*\nafter\r*\nalone\r*\n.*Script done on 20`)
	eventually(t, "the transcript is in the bucket", func() bool {
		transcript, err := l.aws(c, "s3", "cp", "s3://"+logBucket+"/SessionManager/"+id+".log", "-")
		return err == nil && complete.MatchString(transcript)
	})
}

// TestStockSessionLogs holds those of the stock agent, which finds log groups and buckets
// by their host names alone.
func TestStockSessionLogs(t *testing.T) {
	c := clis(t)[0]
	d := deploy(t, 0, "--service-domain", stockDomain)
	node := stockAgent(t, d, c)
	l := loggedIn(t, d, c)
	l.node = node
	l.story(t)
}
