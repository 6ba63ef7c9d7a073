package control

import (
	"testing"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

func TestOutputURL(t *testing.T) {
	s := &Server{cfg: Config{PublicURL: "https://gate.example:8443", ARNs: ssm.ARNs{Region: "local-1", Account: "123456789012"}}}
	for task, want := range map[string]ssm.SessionOutputURL{
		`{}`: {},
		`{"DocumentContent":{"sessionType":"Standard_Stream","inputs":{"s3BucketName":"logs","s3KeyPrefix":"a b/c","cloudWatchLogGroupName":"/x/y"}}}`: {
			S3OutputURL:         "https://gate.example:8443/s3/object/logs/a%20b/c/bob-1.log?region=local-1",
			CloudWatchOutputURL: "https://gate.example:8443/cloudwatch/home?region=local-1#logEventViewer:group=%2Fx%2Fy;stream=bob-1",
		},
		`{"DocumentContent":{"sessionType":"Standard_Stream","inputs":{"s3BucketName":"logs"}}}`: {
			S3OutputURL: "https://gate.example:8443/s3/object/logs/bob-1.log?region=local-1",
		},
		`{"DocumentContent":{"sessionType":"Port","inputs":{"s3BucketName":"logs"}}}`: {},
	} {
		if got := s.outputURL(store.Session{ID: "bob-1", Task: []byte(task)}); *got != want {
			t.Errorf("%s: %+v, want %+v", task, *got, want)
		}
	}
}
