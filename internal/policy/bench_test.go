package policy

import (
	"fmt"
	"slices"
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
