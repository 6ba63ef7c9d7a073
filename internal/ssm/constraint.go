package ssm

import "maps"

// Patterns are the regular expressions of the API model, by the name that a
// constraint tag ("pattern=NAME") uses. The text is what a ValidationException shows.
var Patterns = joined(iamPatterns, documentPatterns, logsPatterns, map[string]string{
	"ActivationId":        `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`,
	"DefaultInstanceName": `^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`,
	"DocumentARN":         `^[a-zA-Z0-9_\-.:/]{3,128}$`,
	"ManagedInstanceId":   `^mi-[0-9a-f]{17}$`,
	"SessionReason":       `^.{1,256}$`,
	"Tag":                 `^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`,
})

// Enums are the value sets of the API model, by the name that a constraint tag
// ("enum=NAME") uses, in the order the model gives.
var Enums = joined(iamEnums, documentEnums, logsEnums, map[string][]string{
	"DescribeActivationsFilterKeys":  {"ActivationIds", "DefaultInstanceName", "IamRole"},
	"InstancePropertyFilterKey":      {"InstanceIds", "AgentVersion", "PingStatus", "PlatformTypes", "DocumentName", "ActivationIds", "IamRole", "ResourceType", "AssociationStatus"},
	"InstancePropertyFilterOperator": {"Equal", "NotEqual", "BeginWith", "LessThan", "GreaterThan"},
	"InstanceInformationFilterKey":   {"InstanceIds", "AgentVersion", "PingStatus", "PlatformTypes", "ActivationIds", "IamRole", "ResourceType", "AssociationStatus"},
	"NodeAggregatorType":             {"Count"},
	"NodeAttributeName":              {"AgentVersion", "PlatformName", "PlatformType", "PlatformVersion", "Region", "ResourceType"},
	"NodeFilterKey":                  {"AgentType", "AgentVersion", "ComputerName", "InstanceId", "InstanceStatus", "IpAddress", "ManagedStatus", "PlatformName", "PlatformType", "PlatformVersion", "ResourceType", "OrganizationalUnitId", "OrganizationalUnitPath", "Region", "AccountId"},
	"NodeFilterOperatorType":         {"Equal", "NotEqual", "BeginWith"},
	"NodeTypeName":                   {"Instance"},
	"PlatformType":                   {"Windows", "Linux", "MacOS"},
	"SessionFilterKey":               {"InvokedAfter", "InvokedBefore", "Target", "Owner", "Status", "SessionId", "AccessType"},
	"SessionState":                   {"Active", "History"},
})

// joined gives all entries of several maps.
func joined[V any](parts ...map[string]V) map[string]V {
	all := make(map[string]V)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}
