package awsapi

import (
	"regexp"
	"slices"
	"testing"
)

func TestKnownOperations(t *testing.T) {
	known := KnownOperations()
	for _, s := range Services() {
		if len(known[s.SigningName]) == 0 {
			t.Errorf("no operations of %s", s.SigningName)
		}
	}
	name := regexp.MustCompile(`^[A-Z][A-Za-z0-9]+$`)
	for service, names := range known {
		if !slices.ContainsFunc(Services(), func(s Service) bool { return s.SigningName == service }) {
			t.Errorf("operations of %s, which is no service", service)
		}
		seen := make(map[string]bool)
		for _, n := range names {
			if seen[n] || !name.MatchString(n) {
				t.Errorf("%s: %q is there twice or is no name", service, n)
			}
			seen[n] = true
		}
	}
	for service, n := range map[string]string{
		"ssm": "RegisterManagedInstance", "sts": "GetCallerIdentity", "iam": "CreateUser",
		"kms": "GenerateDataKey", "logs": "PutLogEvents", "ec2messages": "GetMessages",
		"cloudtrail": "LookupEvents", "sekisho": "EndUnauthorizedSessions",
	} {
		if !slices.Contains(known[service], n) {
			t.Errorf("%s has no %s", service, n)
		}
	}
}
