package control

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"sekisho/internal/message"
	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// outputURL says where the logs of an ended session are: in the forms of AWS's console,
// at this server. Parts that its document did not ask for are empty.
func (s *Server) outputURL(x store.Session) *ssm.SessionOutputURL {
	out := &ssm.SessionOutputURL{}
	var task message.SessionTask
	if json.Unmarshal(x.Task, &task) != nil || task.DocumentContent.SessionType == message.SessionTypePort {
		return out // tunnels leave no logs
	}
	in := task.DocumentContent.Inputs
	region := url.QueryEscape(s.cfg.ARNs.Region)
	if in.S3BucketName != "" {
		parts := strings.Split(path.Join(in.S3BucketName, in.S3KeyPrefix, x.ID+".log"), "/")
		for i, part := range parts {
			parts[i] = url.PathEscape(part)
		}
		out.S3OutputURL = s.cfg.PublicURL + "/s3/object/" + strings.Join(parts, "/") + "?region=" + region
	}
	if in.CloudWatchLogGroupName != "" {
		out.CloudWatchOutputURL = s.cfg.PublicURL + "/cloudwatch/home?region=" + region +
			"#logEventViewer:group=" + url.QueryEscape(in.CloudWatchLogGroupName) + ";stream=" + url.QueryEscape(x.ID)
	}
	return out
}
