package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// rule forbids an import: from and to are path prefixes inside the module.
type rule struct{ from, to, why string }

var (
	level0 = []string{"ssm", "message", "sigv4", "policy", "document"}
	level1 = []string{"yamldoc", "awsapi", "datachannel", "tunnel", "store", "fabric", "pty", "runas", "osservice", "platform", "release", "batch"}
	server = []string{"auth", "control", "iam", "sts", "trail", "gateway", "recorder", "logstream", "s3", "kms", "console"}
	// services are the parts of the server that answer calls, each for itself.
	services = []string{"control", "iam", "sts", "trail", "gateway", "recorder", "logstream", "s3", "kms"}
	node     = []string{"sessionlog", "agent"}
	client   = []string{"client"}
)

// rules are the table of design.md, "Who imports whom".
func rules() []rule {
	var rs []rule
	forbid := func(from, to []string, why string) {
		for _, f := range from {
			for _, t := range to {
				if f != t {
					rs = append(rs, rule{"sekisho/internal/" + f, "sekisho/internal/" + t, why})
				}
			}
		}
	}
	above1 := append(append(append([]string{}, server...), node...), client...)
	forbid(level0, append(append([]string{}, level1...), above1...), "imports go down only")
	forbid(level1, level1, "mechanisms do not know each other; what joins them is a level up")
	forbid(level1, above1, "imports go down only")
	forbid(server, append(append([]string{}, node...), client...), "server and peers share the protocol packages and nothing else")
	forbid(node, append(append([]string{}, server...), client...), "the node must not grow with the server")
	forbid(client, append(append([]string{}, server...), node...), "the client must not grow with the server")
	forbid([]string{"auth"}, append([]string{"console"}, services...), "auth is below the services that ask it")
	forbid(services, services, "services do not know each other: facts meet in store, delivery in fabric, and that is what makes a cluster the same code")
	forbid(services, []string{"console"}, "the console calls the services")
	for _, p := range []string{"message", "sigv4"} { // policy and document may import ssm
		for _, q := range level0 {
			if p != q && !(p == "sigv4" && q == "ssm") {
				rs = append(rs, rule{"sekisho/internal/" + p, "sekisho/internal/" + q, "level 0 is pure"})
			}
		}
	}
	for _, p := range level0 {
		rs = append(rs, rule{"sekisho/internal/" + p, "github.com/", "level 0 uses the standard library only"})
	}
	for _, p := range []string{"sekisho/cmd/sekisho-agent", "sekisho/cmd/session-manager-plugin", "sekisho/cmd/sekisho"} {
		for _, q := range []string{"store", "fabric", "control", "gateway", "auth"} {
			rs = append(rs, rule{p, "sekisho/internal/" + q, "what runs on other people's machines stays small"})
		}
		rs = append(rs,
			rule{p, "modernc.org/sqlite", "no SQL in the peers"},
			rule{p, "github.com/nats-io", "no NATS in the peers"})
	}
	return rs
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestImportRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "sekisho/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list names %d packages only", len(all))
	}
	for _, broken := range check(all, rules()) {
		t.Error(broken)
	}
}

// check says which packages break which rules. Commands are judged by all they link,
// packages by what they import themselves.
func check(all []listed, rs []rule) (broken []string) {
	under := func(path, prefix string) bool {
		return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
	}
	for _, p := range all {
		for _, r := range rs {
			if !under(p.ImportPath, r.from) {
				continue
			}
			deps := p.Imports
			if strings.HasPrefix(r.from, "sekisho/cmd/") {
				deps = p.Deps
			}
			for _, d := range deps {
				if under(d, r.to) {
					broken = append(broken, p.ImportPath+" imports "+d+": "+r.why)
				}
			}
		}
	}
	return broken
}

func TestImportRulesCanFail(t *testing.T) {
	bad := []listed{
		{ImportPath: "sekisho/internal/store", Imports: []string{"sekisho/internal/fabric"}},
		{ImportPath: "sekisho/internal/control", Imports: []string{"sekisho/internal/gateway"}},
		{ImportPath: "sekisho/cmd/sekisho-agent", Deps: []string{"modernc.org/sqlite/lib"}},
		{ImportPath: "sekisho/internal/message", Imports: []string{"github.com/google/uuid"}},
	}
	if got := check(bad, rules()); len(got) != len(bad) {
		t.Fatalf("%d of %d broken rules found: %q", len(got), len(bad), got)
	}
}
