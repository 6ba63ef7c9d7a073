package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sekisho/internal/ssm"
)

// verbs are what the program does, in the order of the help.
func verbs() []verb {
	var r replayOptions
	var l listOptions
	var x exportOptions
	var s startOptions
	var p policyOptions
	var w whoOptions
	var key, reason string
	var release, history bool
	return []verb{
		{name: "connect", args: "NODE", what: "Opens a session on a node, by its id or name",
			examples: []string{"sekisho connect mi-0123456789abcdef0", "sekisho connect web-1 --command 'systemctl status nginx'"},
			flags:    s.connectFlags, run: func(ctx context.Context, c *caller, a []string) error { return s.connect(ctx, c, a) }},
		{name: "forward", args: "NODE [LOCAL:][HOST:]PORT", what: "Forwards a local port to the node, or through it to a host",
			examples: []string{"sekisho forward web-1 8080:80", "sekisho forward web-1 15432:db.internal:5432"},
			flags:    s.flags, run: func(ctx context.Context, c *caller, a []string) error { return s.forward(ctx, c, a) }},
		{name: "ssh", args: "[USER@]NODE [-- SSH ARGUMENTS]", what: "Runs ssh through a session",
			examples: []string{"sekisho ssh admin@web-1", "sekisho ssh web-1 -- -L 8080:localhost:80"},
			run:      func(_ context.Context, c *caller, a []string) error { return runSSH(c, a) }},
		{name: "proxy", args: "NODE [PORT]", what: "Connects standard input and output to a port of a node, for ssh's ProxyCommand",
			examples: []string{"ssh -o ProxyCommand='sekisho proxy %h %p' admin@web-1"},
			flags:    s.flags, run: func(ctx context.Context, c *caller, a []string) error { return s.proxy(ctx, c, a) }},
		{name: "nodes", what: "Lists the managed nodes", examples: []string{"sekisho nodes", "sekisho nodes --output json"}, run: listNodes},
		{name: "sessions list", what: "Lists running sessions, or ended ones",
			examples: []string{"sekisho sessions list", "sekisho sessions list --history"},
			flags:    func(f *flag.FlagSet) { f.BoolVar(&history, "history", false, "ended sessions") },
			run:      func(ctx context.Context, c *caller, a []string) error { return listSessions(ctx, c, history) }},
		{name: "sessions terminate", args: "ID...", what: "Ends sessions", examples: []string{"sekisho sessions terminate alice-0123456789abcdef0"}, run: terminateSessions},
		{name: "sessions watch", args: "ID", what: "Shows what a running session shows, as it goes on",
			examples: []string{"sekisho sessions watch alice-0123456789abcdef0"}, run: watchSession},
		{name: "replay", args: "ID", what: "Plays a recording in the terminal. Keys: space pauses, left and right go 10 s, + and - change the speed, q ends",
			examples: []string{"sekisho replay alice-0123456789abcdef0", "sekisho replay alice-0123456789abcdef0 --speed 4 --skip-idle 2s"},
			flags:    r.flags, run: func(ctx context.Context, c *caller, a []string) error { return r.replay(ctx, c, a) }},
		{name: "recordings list", what: "Lists recordings, newest first",
			examples: []string{"sekisho recordings list --principal arn:aws:iam::123456789012:user/alice", "sekisho recordings list --since 48h"},
			flags:    l.flags, run: func(ctx context.Context, c *caller, a []string) error { return l.list(ctx, c) }},
		{name: "recordings search", args: "TEXT", what: "Finds sessions by what they showed",
			examples: []string{"sekisho recordings search 'systemctl restart'", "sekisho recordings search 障害 --node mi-0123456789abcdef0"},
			flags:    l.flags, run: func(ctx context.Context, c *caller, a []string) error { return l.search(ctx, c, a) }},
		{name: "recordings verify", args: "ID|DIRECTORY...", what: "Says whether recordings are as they were made; directories without the server",
			examples: []string{"sekisho recordings verify alice-0123456789abcdef0", "sekisho recordings verify --key recordings.pub ./alice-0123456789abcdef0"},
			flags: func(f *flag.FlagSet) {
				f.StringVar(&key, "key", "", "`FILE` with the server's public key, for directories; else recordings.pub beside them")
			},
			local: true, run: func(ctx context.Context, c *caller, a []string) error { return verifyRecordings(ctx, c, key, a) }},
		{name: "recordings export", args: "ID", what: "Writes a recording to standard output",
			examples: []string{"sekisho recordings export alice-0123456789abcdef0 > session.cast", "sekisho recordings export --form text alice-0123456789abcdef0"},
			flags:    x.flags, run: func(ctx context.Context, c *caller, a []string) error { return x.export(ctx, c, a) }},
		{name: "recordings hold", args: "ID", what: "Keeps a recording from being removed, or lets it go",
			examples: []string{"sekisho recordings hold alice-0123456789abcdef0 --reason 'case 42'", "sekisho recordings hold --release alice-0123456789abcdef0"},
			flags: func(f *flag.FlagSet) {
				f.StringVar(&reason, "reason", "", "why, in `WORDS`")
				f.BoolVar(&release, "release", false, "lets it go")
			},
			run: func(ctx context.Context, c *caller, a []string) error {
				return holdRecording(ctx, c, a, reason, release)
			}},
		{name: "policy simulate", what: "Says what the policies of somebody decide",
			examples: []string{"sekisho policy simulate --principal arn:aws:iam::123456789012:user/alice --action ssm:StartSession --resource '*'"},
			flags:    p.flags, run: func(ctx context.Context, c *caller, a []string) error { return p.simulate(ctx, c) }},
		{name: "policy who", what: "Says who can do something, start a session on a node for example, and which statement decides it",
			examples: []string{"sekisho policy who --node mi-0123456789abcdef0", "sekisho policy who --action ssm:SendCommand --resource '*'"},
			flags:    w.flags, run: func(ctx context.Context, c *caller, a []string) error { return w.who(ctx, c) }},
		{name: "completion", args: "bash|zsh|fish", what: "Writes a script that completes verbs",
			examples: []string{"source <(sekisho completion bash)"}, local: true, run: complete},
	}
}

// print writes an answer: as JSON if that is wanted, else as a table.
func (c *caller) print(answer any, columns string, rows [][]string) error {
	if c.output == "json" {
		enc := json.NewEncoder(c.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(answer)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(columns, " ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// printable keeps what others wrote from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func when(t *ssm.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// short is the name in an ARN.
func short(arn string) string {
	if _, name, ok := strings.Cut(arn, ":user/"); ok {
		return name
	}
	if _, name, ok := strings.Cut(arn, ":assumed-role/"); ok {
		return name
	}
	return arn
}

func allNodes(ctx context.Context, a *api) (list []ssm.InstanceInformation, err error) {
	in := map[string]any{"MaxResults": 50}
	for {
		var out ssm.DescribeInstanceInformationOutput
		if err := a.call(ctx, "ssm", "DescribeInstanceInformation", in, &out); err != nil {
			return nil, err
		}
		list = append(list, out.InstanceInformationList...)
		if out.NextToken == "" {
			return list, nil
		}
		in["NextToken"] = out.NextToken
	}
}

func listNodes(ctx context.Context, c *caller, _ []string) error {
	list, err := allNodes(ctx, c.api)
	if err != nil {
		return err
	}
	sort.Slice(list, func(i, j int) bool { return list[i].InstanceID < list[j].InstanceID })
	var rows [][]string
	for _, n := range list {
		rows = append(rows, []string{n.InstanceID, n.PingStatus, n.Name, n.ComputerName, n.PlatformName + " " + n.PlatformVersion, n.AgentVersion})
	}
	return c.print(list, "NODE STATUS NAME COMPUTER PLATFORM AGENT", rows)
}

func listSessions(ctx context.Context, c *caller, history bool) error {
	in := map[string]any{"State": "Active"}
	if history {
		in["State"] = "History"
	}
	var list []ssm.Session
	for {
		var out ssm.DescribeSessionsOutput
		if err := c.api.call(ctx, "ssm", "DescribeSessions", in, &out); err != nil {
			return err
		}
		list = append(list, out.Sessions...)
		if out.NextToken == "" || len(list) >= 1000 {
			break
		}
		in["NextToken"] = out.NextToken
	}
	var rows [][]string
	for _, x := range list {
		rows = append(rows, []string{x.SessionID, string(x.Status), x.Target, short(x.Owner), when(x.StartDate), x.DocumentName})
	}
	return c.print(list, "SESSION STATUS NODE OWNER STARTED DOCUMENT", rows)
}

func terminateSessions(ctx context.Context, c *caller, args []string) error {
	if err := need("sessions terminate", args, 1, 100, "a session"); err != nil {
		return err
	}
	for _, id := range args {
		if err := c.api.call(ctx, "ssm", "TerminateSession", &ssm.SessionIDInput{SessionID: id}, nil); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s is ended\n", printable(id))
	}
	return nil
}

type listOptions struct {
	principal, node string
	since           time.Duration
	limit           int
}

func (o *listOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.principal, "principal", "", "`ARN` of whose sessions")
	f.StringVar(&o.node, "node", "", "`NODE` that the sessions were on")
	f.DurationVar(&o.since, "since", 0, "sessions that began within this `DURATION`, as 48h")
	f.IntVar(&o.limit, "limit", 100, "`N`umber of results at the most")
}

// input makes the members that list and search share.
func (o *listOptions) input() map[string]any {
	in := map[string]any{}
	if o.principal != "" {
		in["Principal"] = o.principal
	}
	if o.node != "" {
		in["Target"] = o.node
	}
	if o.since > 0 {
		in["StartedAfter"] = time.Now().Add(-o.since).Unix()
	}
	return in
}

func (o *listOptions) list(ctx context.Context, c *caller) error {
	in := o.input()
	var list []ssm.Recording
	for len(list) < o.limit {
		var out ssm.ListRecordingsOutput
		in["MaxResults"] = min(o.limit-len(list), 200)
		if err := c.api.call(ctx, "sekisho", "ListRecordings", in, &out); err != nil {
			return err
		}
		list = append(list, out.Recordings...)
		if out.NextToken == "" {
			break
		}
		in["NextToken"] = out.NextToken
	}
	var rows [][]string
	for _, x := range list {
		state := "running"
		if x.Closed {
			state = when(x.EndedAt)
		}
		if x.LegalHold {
			state += " (hold)"
		}
		if x.KMSKeyID != "" {
			state += " (encrypted)"
		}
		rows = append(rows, []string{x.SessionID, x.Target, short(x.Owner), when(x.StartedAt), strconv.FormatInt(x.Bytes, 10), state})
	}
	return c.print(list, "SESSION NODE OWNER STARTED BYTES ENDED", rows)
}

func (o *listOptions) search(ctx context.Context, c *caller, args []string) error {
	if err := need("recordings search", args, 1, 1, "a text"); err != nil {
		return err
	}
	in := o.input()
	in["Query"] = args[0]
	var list []ssm.TranscriptHit
	for len(list) < o.limit {
		var out ssm.SearchTranscriptsOutput
		in["MaxResults"] = min(o.limit-len(list), 100)
		if err := c.api.call(ctx, "sekisho", "SearchTranscripts", in, &out); err != nil {
			return err
		}
		list = append(list, out.Hits...)
		if out.NextToken == "" {
			break
		}
		in["NextToken"] = out.NextToken
	}
	if c.output == "json" {
		return c.print(list, "", nil)
	}
	for _, h := range list {
		fmt.Fprintf(c.stdout, "%s  %s  %s  %s  +%.0fs\n    %s\n", c.color("1", printable(h.SessionID)), printable(h.Target), short(h.Owner),
			when(h.StartedAt), h.OffsetSeconds, printable(h.Excerpt))
	}
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, "nothing was found")
		return exitCode(exitFailed)
	}
	return nil
}

func holdRecording(ctx context.Context, c *caller, args []string, reason string, release bool) error {
	if err := need("recordings hold", args, 1, 1, "a session"); err != nil {
		return err
	}
	if !release && reason == "" {
		return usageError{"recordings hold: --reason is missing"}
	}
	in := map[string]any{"SessionId": args[0], "Hold": !release}
	if reason != "" {
		in["Reason"] = reason
	}
	var out ssm.PutLegalHoldOutput
	if err := c.api.call(ctx, "sekisho", "PutLegalHold", in, &out); err != nil {
		return err
	}
	if c.output == "json" {
		return c.print(out.Recording, "", nil)
	}
	fmt.Fprintf(c.stdout, "%s: legal hold %v\n", printable(args[0]), out.Recording.LegalHold)
	return nil
}

type policyOptions struct{ principal, action, resource string }

func (o *policyOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.principal, "principal", "", "`ARN` of a user, a group or a role")
	f.StringVar(&o.action, "action", "", "`ACTIONS`, with commas between them")
	f.StringVar(&o.resource, "resource", "*", "`ARN` of what it is about")
}

func (o *policyOptions) simulate(ctx context.Context, c *caller) error {
	if o.principal == "" || o.action == "" {
		return usageError{"policy simulate: --principal and --action are needed"}
	}
	form := url.Values{"Action": {"SimulatePrincipalPolicy"}, "PolicySourceArn": {o.principal}, "ResourceArns.member.1": {o.resource}}
	for i, action := range strings.Split(o.action, ",") {
		form.Set("ActionNames.member."+strconv.Itoa(i+1), strings.TrimSpace(action))
	}
	var out struct {
		Results []struct {
			EvalActionName, EvalResourceName, EvalDecision string
		} `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
	}
	if err := c.api.query(ctx, form, &out); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range out.Results {
		rows = append(rows, []string{r.EvalActionName, r.EvalResourceName, r.EvalDecision})
	}
	return c.print(out.Results, "ACTION RESOURCE DECISION", rows)
}

func complete(_ context.Context, c *caller, args []string) error {
	if err := need("completion", args, 1, 1, "bash, zsh or fish"); err != nil {
		return err
	}
	first, second := map[string]bool{}, map[string][]string{}
	for _, v := range verbs() {
		word, sub, _ := strings.Cut(v.name, " ")
		first[word] = true
		if sub != "" {
			second[word] = append(second[word], sub)
		}
	}
	var words, groups []string
	for w := range first {
		words = append(words, w)
	}
	for g := range second {
		groups = append(groups, g)
	}
	sort.Strings(words)
	sort.Strings(groups)
	switch args[0] {
	case "bash", "zsh":
		if args[0] == "zsh" {
			fmt.Fprintln(c.stdout, "autoload -U +X bashcompinit && bashcompinit")
		}
		fmt.Fprintln(c.stdout, "_sekisho() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]}\n\tcase ${COMP_CWORD}:${COMP_WORDS[1]} in")
		fmt.Fprintf(c.stdout, "\t1:*) COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n", strings.Join(words, " "))
		for _, g := range groups {
			fmt.Fprintf(c.stdout, "\t2:%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n", g, strings.Join(second[g], " "))
		}
		fmt.Fprintln(c.stdout, "\tesac\n}\ncomplete -o default -F _sekisho sekisho")
	case "fish":
		fmt.Fprintf(c.stdout, "complete -c sekisho -n __fish_use_subcommand -xa '%s'\n", strings.Join(words, " "))
		for _, g := range groups {
			fmt.Fprintf(c.stdout, "complete -c sekisho -n '__fish_seen_subcommand_from %s' -xa '%s'\n", g, strings.Join(second[g], " "))
		}
	default:
		return usageError{fmt.Sprintf("completion: %q is none of bash, zsh and fish", args[0])}
	}
	return nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
