package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func noEnv(string) string { return "" }

func TestDefaultOptionsMeasureEverything(t *testing.T) {
	o, err := parseOptions(nil, func(name string) string { return map[string]string{"STOCK_PLUGIN": "/stock"}[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.stock != "/stock" || o.rounds < 5 || o.keystrokes < 1000 || o.size != 200<<20 {
		t.Errorf("options %+v", o)
	}
	if diff := cmp.Diff(map[string]bool{nameEcho: true, nameOutput: true, nameStart: true}, o.only); diff != "" {
		t.Errorf("measurements (-want +got):\n%s", diff)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--rounds", "0"}, {"--keystrokes", "-1"}, {"--starts", "0"}, {"--size", "0"}, {"--size", "much"},
		{"--only", "echo,latency"}, {"--only", ""}, {"--unknown"}, {"word"},
	} {
		if o, err := parseOptions(args, noEnv, io.Discard); err == nil {
			t.Errorf("%q gives %+v, want an error", args, o)
		}
	}
}

func TestEnvironmentOfOthersIsLeftOut(t *testing.T) {
	got := cleanEnviron([]string{"HOME=/h", "AWS_PROFILE=x", "SEKISHO_NODE_ID=mi", "SSL_CERT_FILE=f", "https_proxy=p", "NO_PROXY=n", "AWSOME=1", "empty="})
	if diff := cmp.Diff([]string{"HOME=/h", "AWSOME=1", "empty="}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
