package ssm

// logsPatterns are the patterns of the model of CloudWatch Logs.
var logsPatterns = map[string]string{
	"LogsGroupIdentifier":  `[\w#+=/:,.@-]*`,
	"LogsGroupName":        `[\.\-_/#A-Za-z0-9]+`,
	"LogsGroupNamePattern": `[\.\-_/#A-Za-z0-9]*`,
	"LogsResourceARN":      `[\w+=/:,.@-]*`,
	"LogsStreamName":       `[^:*]*`,
}

// logsEnums are the value sets of the model of CloudWatch Logs.
var logsEnums = map[string][]string{
	"LogsGroupClass": {"STANDARD", "INFREQUENT_ACCESS", "DELIVERY"},
	"LogsOrderBy":    {"LogStreamName", "LastEventTime"},
}
