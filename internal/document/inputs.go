package document

import (
	"strconv"
	"time"
)

// Inputs are the preferences of a session (api.md §7.2). The two times are enforced by
// the service and mean nothing to a node; they keep the text they were written with.
type Inputs struct {
	S3BucketName                string       `json:"s3BucketName"`
	S3KeyPrefix                 string       `json:"s3KeyPrefix"`
	S3EncryptionEnabled         bool         `json:"s3EncryptionEnabled"`
	CloudWatchLogGroupName      string       `json:"cloudWatchLogGroupName"`
	CloudWatchEncryptionEnabled bool         `json:"cloudWatchEncryptionEnabled"`
	CloudWatchStreamingEnabled  bool         `json:"cloudWatchStreamingEnabled"`
	KmsKeyID                    string       `json:"kmsKeyId"`
	RunAsEnabled                bool         `json:"runAsEnabled"`
	RunAsDefaultUser            string       `json:"runAsDefaultUser"`
	IdleSessionTimeout          string       `json:"idleSessionTimeout"`
	MaxSessionDuration          string       `json:"maxSessionDuration"`
	ShellProfile                ShellProfile `json:"shellProfile"`
}

// ShellProfile is what runs when a shell starts. macOS uses Linux's.
type ShellProfile struct {
	Windows string `json:"windows"`
	Linux   string `json:"linux"`
}

// defaultInputs are the service's own: encryption is required of a log that is
// configured.
func defaultInputs() Inputs {
	return Inputs{S3EncryptionEnabled: true, CloudWatchEncryptionEnabled: true, CloudWatchStreamingEnabled: true}
}

// inputs reads the member "inputs"; nil gives the defaults.
func (k *checker) inputs(v any) Inputs {
	in := defaultInputs()
	if v == nil {
		return in
	}
	f := k.object("inputs", v)
	f.text("s3BucketName", &in.S3BucketName)
	f.text("s3KeyPrefix", &in.S3KeyPrefix)
	f.bool("s3EncryptionEnabled", &in.S3EncryptionEnabled)
	f.text("cloudWatchLogGroupName", &in.CloudWatchLogGroupName)
	f.bool("cloudWatchEncryptionEnabled", &in.CloudWatchEncryptionEnabled)
	f.bool("cloudWatchStreamingEnabled", &in.CloudWatchStreamingEnabled)
	f.text("kmsKeyId", &in.KmsKeyID)
	f.bool("runAsEnabled", &in.RunAsEnabled)
	f.text("runAsDefaultUser", &in.RunAsDefaultUser)
	f.loose("idleSessionTimeout", &in.IdleSessionTimeout)
	f.loose("maxSessionDuration", &in.MaxSessionDuration)
	if profile := f.take("shellProfile"); profile != nil && profile != "" { // the console writes "" for none
		p := k.object("inputs.shellProfile", profile)
		p.text("linux", &in.ShellProfile.Linux)
		p.text("windows", &in.ShellProfile.Windows)
		p.done()
	}
	f.done()
	if in.S3BucketName != "" && !k.isOpen(in.S3BucketName) && !validBucket(in.S3BucketName) {
		k.fail("inputs.s3BucketName must be the name of a bucket: letters, digits, hyphens, underscores and dots.")
	}
	if in.RunAsDefaultUser != "" && !k.isOpen(in.RunAsDefaultUser) && !ValidRunAsUser(in.RunAsDefaultUser) {
		k.fail("inputs.runAsDefaultUser must be the name of a user: letters, digits and _ - . @ + \\, not beginning with - or +.")
	}
	k.minutes("idleSessionTimeout", in.IdleSessionTimeout, MaxIdleTimeout)
	k.minutes("maxSessionDuration", in.MaxSessionDuration, MaxMaxDuration)
	return in
}

// minutes reads a time of 1 minute to longest; empty text is zero, which means unset.
func (k *checker) minutes(name, text string, longest time.Duration) time.Duration {
	if text == "" || k.isOpenScalar(text) {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if d := time.Duration(n) * time.Minute; err == nil && n >= 1 && d <= longest {
		return d
	}
	k.fail("%s must be between 1 and %d", name, longest/time.Minute)
	return 0
}

// validBucket allows what any region ever allowed, so also the old names with capitals.
func validBucket(name string) bool {
	return len(name) <= 255 && consistsOf(name, ".-_") && name[0] != '.' && name[0] != '-'
}

// ValidRunAsUser says whether name can be that of an operating system's user, for
// runAsDefaultUser and for the tag SSMSessionRunAs. A stock agent puts the name into a
// command line as root, so that nothing else may pass (agent/session/utility).
func ValidRunAsUser(name string) bool {
	return name != "" && len(name) <= 256 && consistsOf(name, `._-@+\`) && name[0] != '-' && name[0] != '+'
}

// consistsOf says whether s has only ASCII letters, digits and characters of more.
func consistsOf(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			found := false
			for j := range len(more) {
				found = found || more[j] == c
			}
			if !found {
				return false
			}
		}
	}
	return true
}
