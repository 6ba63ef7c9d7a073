package ssm

// iamPatterns are the patterns of the model of IAM. Names of all entities look alike.
var iamPatterns = map[string]string{
	"IAMAuthenticationCode": `[\d]+`,
	"IAMID":                 `[\w]+`,
	"IAMName":               `[\w+=,.@-]+`,
	"IAMPath":               `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`,
	"IAMPathPrefix":         `\u002F[\u0021-\u007F]*`,
	"IAMPolicyDocument":     `[\u0009\u000A\u000D\u0020-\u00FF]+`,
	"IAMPolicyPath":         `((/[A-Za-z0-9\.,\+@=_-]+)*)/`,
	"IAMPolicyVersionID":    `v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`,
	"IAMRoleDescription":    `[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`,
	"IAMSerialNumber":       `[\w+=/:,.@-]+`,
	"IAMTagKey":             `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`,
	"IAMTagValue":           `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`,
}

// iamEnums are the value sets of the model of IAM.
var iamEnums = map[string][]string{
	"IAMContextKeyType": {"string", "stringList", "numeric", "numericList", "boolean", "booleanList", "ip", "ipList", "binary", "binaryList", "date", "dateList"},
	"IAMEntityType":     {"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"},
	"IAMPolicyScope":    {"All", "AWS", "Local"},
	"IAMPolicyUsage":    {"PermissionsPolicy", "PermissionsBoundary"},
	"IAMStatus":         {"Active", "Inactive", "Expired"},
	"IAMAssignment":     {"Assigned", "Unassigned", "Any"},
}
