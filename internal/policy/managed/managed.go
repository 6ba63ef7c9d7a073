// Package managed holds the policies that come with the project: those that AWS
// provides in every account and that people attach by name, with documents of our own
// of the same effect as far as we serve the services, and ready-made ones for the users,
// administrators and auditors of sessions.
//
// Their ARNs have "aws" in place of an account, so none can be confused with a policy
// of the account. They never change while the program runs; package iam shows and attaches
// them, auth decides with them.
package managed

import (
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"slices"
	"strings"
	"time"
)

// Policy is a policy that comes with the project. It has one version, v1.
type Policy struct {
	ARN         string
	ID          string // ANPA and 17 characters, the same in every deployment
	Name        string
	Path        string
	Description string
	Document    string
	CreatedAt   time.Time
}

//go:embed policies/*.json
var documents embed.FS

// names and descriptions, in the order of the names.
var index = []struct{ name, description string }{
	{"AdministratorAccess", "Allows everything."},
	{"AmazonS3ReadOnlyAccess", "Allows to list buckets and to read what is in them."},
	{"AmazonSSMFullAccess", "Allows everything about nodes, documents and sessions."},
	{"AmazonSSMManagedInstanceCore", "What the role of a managed node needs for sessions."},
	{"AmazonSSMReadOnlyAccess", "Allows to see nodes, documents and sessions, and to change nothing."},
	{"CloudWatchAgentServerPolicy", "Allows a node to write logs and metrics."},
	{"IAMFullAccess", "Allows everything about users, groups, roles and policies, and so in effect everything."},
	{"IAMReadOnlyAccess", "Allows to see users, groups, roles and policies, and to simulate decisions."},
	{"ReadOnlyAccess", "Allows to see everything, and to change nothing."},
	{"SekishoAuditor", "For auditors: allows to read the audit trail, session logs, nodes, documents and permissions; no parameters."},
	{"SekishoSessionAdministrator", "For administrators of sessions: sessions, documents, nodes, activations and logs; no identities."},
	{"SekishoSessionUser", "For users of sessions: start sessions with the account's documents, resume and end one's own, see nodes and sessions."},
}

// createdAt is when the policies were written.
var createdAt = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

var (
	policies []Policy // sorted by name
	byARN    map[string]*Policy
)

func init() {
	byARN = make(map[string]*Policy, len(index))
	policies = make([]Policy, 0, len(index))
	for _, entry := range index {
		text, err := documents.ReadFile("policies/" + entry.name + ".json")
		if err != nil {
			panic(err) // the file is part of the program
		}
		arn := "arn:aws:iam::aws:policy/" + entry.name
		sum := sha256.Sum256([]byte(arn))
		policies = append(policies, Policy{
			ARN:         arn,
			ID:          "ANPA" + base32.StdEncoding.EncodeToString(sum[:])[:17],
			Name:        entry.name,
			Path:        "/",
			Description: entry.description,
			Document:    strings.TrimRight(string(text), "\n"),
			CreatedAt:   createdAt,
		})
	}
	for i := range policies {
		byARN[policies[i].ARN] = &policies[i]
	}
}

// All returns the policies, sorted by name.
func All() []Policy { return slices.Clone(policies) }

// Find returns the policy with an ARN.
func Find(arn string) (Policy, bool) {
	p, ok := byARN[arn]
	if !ok {
		return Policy{}, false
	}
	return *p, true
}

// Is reports whether an ARN is that of a policy of this kind, whether or not there is one:
// nobody makes or changes such policies.
func Is(arn string) bool { return strings.HasPrefix(arn, "arn:aws:iam::aws:policy/") }
