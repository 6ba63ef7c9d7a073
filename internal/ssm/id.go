package ssm

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// NewNodeID makes the identifier of a hybrid managed node: "mi-" and 17
// hexadecimal digits, the first of them 0 as the service has it.
func NewNodeID() string { return "mi-" + randomHex17() }

// NewActivationID makes a lower-case UUID, the form of an activation's id.
func NewActivationID() string { return NewUUID() }

// activationCodeAlphabet has 32 characters, so that a random byte masked to five
// bits picks one without bias; look-alikes (0 O, 1 I l) are absent because people
// read these codes aloud.
const activationCodeAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// NewActivationCode makes an activation code: 20 characters, 100 random bits. The
// stock agent refuses shorter ones (api.md §11.2).
func NewActivationCode() string {
	var b [20]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = activationCodeAlphabet[b[i]&31]
	}
	return string(b[:])
}

// maxSessionID is the longest session id the API allows.
const maxSessionID = 96

// NewSessionID makes the id of a session started by owner: the user name or role
// session name, a hyphen, and 17 hexadecimal digits. A policy that allows
// session/${aws:username}-* so covers the user's own sessions. A name too long for
// the API's limit is cut.
func NewSessionID(owner string) string {
	if n := maxSessionID - 1 - 17; len(owner) > n {
		owner = owner[:n]
	}
	return owner + "-" + randomHex17()
}

// randomHex17 is "0" and 16 random hexadecimal digits (64 bits).
func randomHex17() string {
	var b [8]byte
	rand.Read(b[:])
	return "0" + hex.EncodeToString(b[:])
}

// NewUUID makes a random (version 4) UUID in lower-case text form.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// IsNodeID says whether id has the form of a hybrid node's id.
func IsNodeID(id string) bool {
	hex, ok := strings.CutPrefix(id, "mi-")
	return ok && len(hex) == 17 && strings.Trim(hex, "0123456789abcdef") == ""
}

// ARNs names resources of one account in one region.
type ARNs struct {
	Region  string
	Account string
}

// Node is the ARN of a managed node: hybrid nodes ("mi-") belong to ssm, others to ec2.
func (a ARNs) Node(id string) string {
	if strings.HasPrefix(id, "mi-") {
		return a.ssm("managed-instance/" + id)
	}
	return "arn:aws:ec2:" + a.Region + ":" + a.Account + ":instance/" + id
}

// Document is the ARN of a document. Amazon-owned ones ("AWS-") have no account.
func (a ARNs) Document(name string) string {
	if strings.HasPrefix(name, "AWS-") {
		return "arn:aws:ssm:" + a.Region + "::document/" + name
	}
	return a.ssm("document/" + name)
}

// Session is the ARN of a session.
func (a ARNs) Session(id string) string { return a.ssm("session/" + id) }

// ServiceSetting is the ARN of a service setting, whose id begins with a slash.
func (a ARNs) ServiceSetting(id string) string { return a.ssm("servicesetting" + id) }

// Any is the resource that a denial of an operation without resource-level
// permission names.
func (a ARNs) Any() string { return a.ssm("*") }

func (a ARNs) ssm(resource string) string {
	return "arn:aws:ssm:" + a.Region + ":" + a.Account + ":" + resource
}
