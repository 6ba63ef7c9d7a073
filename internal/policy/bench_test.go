package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchDecisions runs one request b.N times and reports the 99th percentile beside the mean.
func benchDecisions(b *testing.B, r Request) {
	want := Evaluate(r)
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		d := Evaluate(r)
		took = append(took, time.Since(start))
		if d.Outcome != want.Outcome {
			b.Fatal(d.Outcome)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// benchRequest is StartSession with the context of a real call.
func benchRequest() Request {
	p := alice()
	p.Tags = map[string]string{"team": "red"}
	return Request{Principal: p, Action: "ssm:StartSession", Resource: instanceA, Now: testNow, Context: with(p, Context{
		"aws:SourceIp": {"192.0.2.7"}, "aws:SecureTransport": {"true"}, "aws:UserAgent": {"aws-cli/2"}, "aws:RequestedRegion": {"us-west-2"},
		"aws:ResourceTag/Finance": {"WebServers"}, "ssm:resourceTag/Finance": {"WebServers"}, "aws:ResourceAccount": {testAccount}, check: {"true"},
	})}
}

// BenchmarkEvaluate1000Policies decides with 1,000 policies on the principal: of many services, as in a large
// account; all about the action that is asked for, where only the resource tells them apart; and all with
// conditions that fail at their last value.
func BenchmarkEvaluate1000Policies(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy func(i int) string
	}{
		{"mixed", func(i int) string {
			services := []string{"ssm", "ec2", "s3", "rds", "kms", "logs", "sts", "sqs"}
			s := services[i%len(services)]
			return fmt.Sprintf(`{"Effect":"Allow","Action":["%s:Get*","%s:List*","%s:Action%d"],"Resource":"arn:aws:%s:::thing/%d/*"},`+
				`{"Effect":"Allow","Action":"ssm:ResumeSession","Resource":"arn:aws:ssm:*:*:session/${aws:username}-*"}`, s, s, s, i, s, i)
		}},
		{"same-action", func(i int) string {
			return fmt.Sprintf(`{"Effect":"Allow","Action":["ssm:StartSession","ssm:SendCommand"],"Resource":"arn:aws:ec2:us-west-2:111122223333:instance/i-%016x"}`, i)
		}},
		{"conditions", func(i int) string {
			return fmt.Sprintf(`{"Effect":"Deny","Action":"ssm:*","Resource":"*","Condition":{"StringLike":{"ssm:resourceTag/Finance":["x%d*","*y%d"]}}}`, i, i)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := benchRequest()
			for i := range 1000 {
				r.Identity = append(r.Identity, Source{Policy: mustParse(b, managed(c.policy(i)), Inline), Name: fmt.Sprint("p", i)})
			}
			r.Identity = append(r.Identity, Source{Policy: mustParse(b, managed(allowAll), Inline)})
			benchDecisions(b, r)
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(managed(endUser(ifChecked, "aws:userid")))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text, Managed); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoAllocationPerStatement counts the allocations of decisions with few and with many statements of every kind.
func TestNoAllocationPerStatement(t *testing.T) {
	const conditions = `"StringEquals":{"aws:username":["${x:absent}","${aws:PrincipalTag/team}"]},"StringNotEqualsIgnoreCase":{"aws:UserAgent":"${aws:username}"},
		"StringNotLike":{"aws:userid":"${aws:username}*?*"},"NumericLessThan":{"aws:EpochTime":"2e9"},"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"},
		"Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]},"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/${aws:username}"},
		"BinaryEqualsIfExists":{"x:b":"QQ=="},"ForAllValues:StringLike":{"aws:TagKeys":["*a?"]},"Null":{"aws:TokenIssueTime":"true"}`
	statement := func(i int) string {
		// The operators are tried in the order of the text, so each statement moves another one to the front.
		list := regexp.MustCompile(`,\s*"`).Split(strings.TrimPrefix(conditions, `"`), -1)
		var kept []string
		for _, c := range list {
			if strings.Contains(c, `":{`) {
				kept = append(kept, `"`+c)
			} else {
				kept[len(kept)-1] += `,"` + c
			}
		}
		i %= len(kept)
		return `{"Effect":"Deny","Action":["ssm:?tart*n","*:x"],"NotResource":["arn:aws:s3:::${aws:username}*","arn:aws:ec2:*:*:instance/${aws:username}?"],"Condition":{` +
			strings.Join(append(slices.Clone(kept[i:]), kept[:i]...), ",") + `}}`
	}
	count := func(n int) float64 {
		r := benchRequest()
		r.ResourceVariables = Context{"aws:username": nil, "aws:userid": {"x"}}
		for i := range n {
			r.Identity = append(r.Identity, Source{Policy: mustParse(t, managed(statement(i)), Inline)})
		}
		return testing.AllocsPerRun(20, func() { Evaluate(r) })
	}
	few, many := count(11), count(1100)
	if many > few {
		t.Errorf("%v allocations with 11 statements, %v with 1,100", few, many)
	}
}
