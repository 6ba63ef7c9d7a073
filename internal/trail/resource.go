package trail

import (
	"slices"
	"strings"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
)

// maxResources bounds the resources of one event. Calls name a handful.
const maxResources = 32

// nameTypes are the members of inputs and answers that name a resource without an ARN,
// and the type of the resource, by the service.
var nameTypes = map[string]map[string]string{
	"iam": {
		"userName": "AWS::IAM::User", "groupName": "AWS::IAM::Group", "roleName": "AWS::IAM::Role",
		"policyName": "AWS::IAM::Policy", "instanceProfileName": "AWS::IAM::InstanceProfile",
		"accessKeyId": "AWS::IAM::AccessKey",
	},
	"s3":   {"bucketName": "AWS::S3::Bucket"},
	"logs": {"logGroupName": "AWS::Logs::LogGroup"},
	"sts":  {"accessKeyId": "AWS::IAM::AccessKey"},
	"ssm":  {"activationId": "AWS::SSM::Activation", "iamRole": "AWS::IAM::Role"},
}

// typeNames are the types of resources whose ARNs spell them otherwise.
var typeNames = map[string]string{
	"ssm:managed-instance": "AWS::SSM::ManagedInstance",
	"iam:mfa":              "AWS::IAM::VirtualMFADevice",
	"iam:oidc-provider":    "AWS::IAM::OIDCProvider",
	"sts:assumed-role":     "AWS::STS::AssumedRole",
	"logs:log-group":       "AWS::Logs::LogGroup",
	"kms:key":              "AWS::KMS::Key",
	"kms:alias":            "AWS::KMS::Alias",
}

// describe gives the account, the type and the name of an ARN; ok is false for another
// text.
func describe(arn string) (r Resource, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] == "" || parts[5] == "" || parts[5] == "*" {
		return Resource{}, "", false
	}
	r = Resource{ARN: arn, AccountID: parts[4]}
	service, rest := parts[2], parts[5]
	kind, name, ok := strings.Cut(rest, "/")
	if before, after, colon := strings.Cut(rest, ":"); colon && len(before) < len(kind) {
		kind, name, ok = before, after, true
	}
	if !ok { // sns topics and the like, the account's root
		return r, rest, true
	}
	switch {
	case service == "s3":
		r.Type, name = "AWS::S3::Object", rest
	case typeNames[service+":"+kind] != "":
		r.Type = typeNames[service+":"+kind]
	default:
		r.Type = "AWS::" + strings.ToUpper(service) + "::" + camel(kind)
	}
	if service == "iam" && !strings.HasPrefix(kind, "oidc") {
		name = lastPart(name) // what stands before is the path
	}
	return r, name, true
}

// camel makes "instance-profile" InstanceProfile.
func camel(s string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(s, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// resources gives what has an ARN: what the caller of Event names, and what input and
// answer name.
func (r *Recorder) resources(e *Event, arns []string) []Resource {
	var list []Resource
	add := func(arn string) {
		arn = clean(arn)
		resource, _, ok := describe(arn)
		if ok && len(arn) <= 2048 && len(list) < maxResources && !slices.Contains(list, resource) {
			list = append(list, resource)
		}
	}
	for _, arn := range arns {
		add(arn)
	}
	ssmARN := func(name, value string) {
		switch {
		case (name == "target" || name == "instanceId" || name == "destination" || name == "resourceId") && ssm.IsNodeID(value):
			add(r.cfg.ARNs.Node(value))
		case name == "sessionId" && value != "":
			add(r.cfg.ARNs.Session(value))
		case name == "documentName" && value != "":
			if strings.HasPrefix(value, "arn:") {
				add(value)
			} else {
				add(r.cfg.ARNs.Document(value))
			}
		}
	}
	e.strings(func(name, value string) {
		if strings.HasPrefix(value, "arn:") && (strings.HasSuffix(strings.ToLower(name), "arn") || name == "serialNumber") {
			add(value)
		}
		if e.EventSource == "ssm.amazonaws.com" || e.EventSource == "ec2messages.amazonaws.com" || e.EventSource == "sekisho.amazonaws.com" {
			ssmARN(name, value)
		}
	})
	return list
}

// named gives what people find an event by: names and types of its resources, with and
// without ARN.
func (e *Event) named() []store.AuditResource {
	var list []store.AuditResource
	add := func(r store.AuditResource) {
		if r.Name != "" && len(list) < maxResources && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	for _, resource := range e.Resources {
		_, name, _ := describe(resource.ARN)
		add(store.AuditResource{Type: resource.Type, Name: cut(name, 512)})
	}
	service, _, _ := strings.Cut(e.EventSource, ".")
	e.strings(func(name, value string) {
		if kind := nameTypes[service][name]; kind != "" {
			add(store.AuditResource{Type: kind, Name: cut(value, 512)})
		}
	})
	return list
}

// strings calls f for the text members of input and answer: their own, those of the
// structures among them, and those in lists named for what they list.
func (e *Event) strings(f func(name, value string)) {
	for _, part := range []map[string]any{e.RequestParameters, e.ResponseElements} {
		for _, name := range sortedKeys(part) {
			switch v := part[name].(type) {
			case string:
				f(name, v)
			case map[string]any:
				for _, inner := range sortedKeys(v) {
					if text, ok := v[inner].(string); ok {
						f(inner, text)
					}
				}
			case []any:
				for _, member := range v {
					if text, ok := member.(string); ok {
						f(strings.TrimSuffix(name, "s"), text)
					}
				}
			}
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
