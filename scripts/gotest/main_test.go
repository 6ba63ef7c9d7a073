package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	run := `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"secret of the good\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestIdle","Output":"=== RUN   TestIdle\n"}
{"Action":"output","Package":"p","Test":"TestIdle","Output":"    x_test.go:9: no peer here\n"}
{"Action":"output","Package":"p","Test":"TestIdle","Output":"--- SKIP: TestIdle (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestIdle"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
{"Action":"output","Package":"q","Test":"TestBad","Output":"    y_test.go:3: got 1, want 2\n"}
{"Action":"fail","Package":"q","Test":"TestBad"}
{"Action":"output","Package":"q","Test":"TestCut","Output":"panic: cut\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
not json
`
	var shown strings.Builder
	r := newReport(&shown)
	if err := r.read(strings.NewReader(run)); err != nil {
		t.Fatal(err)
	}
	r.end()
	got := shown.String()
	for _, want := range []string{
		"ok  \tp\t0.1s\n", "p TestIdle: x_test.go:9: no peer here\n",
		"got 1, want 2", "panic: cut", "FAIL\tq\t0.1s", "  q TestBad\n", "not json\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret of the good") {
		t.Errorf("a passed test's output is shown:\n%s", got)
	}
}
