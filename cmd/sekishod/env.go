package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// devEnvironment is what env.sh sets for a shell that works with a dev server. Paths
// are absolute.
type devEnvironment struct {
	URL      string
	Region   string
	Admin    administrator
	CABundle string // system roots and our CA
	BinDir   string // our programs
	ShimDir  string // holds the script aws, see awsShim
	NodeID   string // the first node; empty without nodes
}

// script is the text of env.sh. It is plain POSIX shell, so that sh, bash and zsh
// read it alike.
func (e devEnvironment) script() string {
	var b strings.Builder
	b.WriteString("# Made by `sekishod dev`, anew at each start. Use it as: . ./env.sh\n" +
		"# It holds the administrator's secrets.\n")
	export := func(name, value string) {
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuote(value))
	}
	export("AWS_ENDPOINT_URL", e.URL)
	export("AWS_ACCESS_KEY_ID", e.Admin.AccessKeyID)
	export("AWS_SECRET_ACCESS_KEY", e.Admin.SecretAccessKey)
	export("AWS_DEFAULT_REGION", e.Region)
	export("AWS_REGION", e.Region)
	export("AWS_CA_BUNDLE", e.CABundle)
	export("SSL_CERT_FILE", e.CABundle)
	// Else `aws logs start-live-tail` asks a host of its own, streaming-127.0.0.1.
	export("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
	b.WriteString("# What would win over these, or send the requests elsewhere.\n" +
		"unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE\n" +
		"unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_ENDPOINT_URL_SSM AWS_ENDPOINT_URL_STS\n" +
		"unset AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_CLOUDTRAIL\n")
	export("SEKISHO_CONSOLE_URL", e.URL+"/")
	export("SEKISHO_ADMIN_PASSWORD", e.Admin.Password)
	if e.NodeID == "" {
		b.WriteString("unset SEKISHO_NODE_ID\n")
	} else {
		export("SEKISHO_NODE_ID", e.NodeID)
	}
	first := shellQuote(e.BinDir + ":" + e.ShimDir + ":")
	b.WriteString("case \"$PATH:\" in\n" + first + "*) ;;\n*) export PATH=" + first + "\"$PATH\" ;;\nesac\n")
	b.WriteString(`# botocore would send requests for this machine to a proxy.
if [ -n "${https_proxy:-}${HTTPS_PROXY:-}" ]; then
  case ",${no_proxy:-}," in
  *,127.0.0.1,*) ;;
  *) export no_proxy="localhost,127.0.0.1,::1${no_proxy:+,$no_proxy}" ;;
  esac
  export NO_PROXY="$no_proxy"
fi
`)
	return b.String()
}

// awsShim is a script named aws that calls the real one with --endpoint-url. The AWS
// CLI before 2.13 and 1.29 does not read AWS_ENDPOINT_URL (Debian 12 has 2.9.19), and
// would call AWS with our keys. A script serves also what a shell's function cannot:
// an ssh ProxyCommand, xargs, make.
func awsShim(dir string) string {
	return `#!/bin/sh
# Made by ` + "`sekishod dev`" + `: the AWS CLI before 2.13 and 1.29 ignores AWS_ENDPOINT_URL.
# This calls the next aws on PATH with the option that all versions know.
here=` + shellQuote(dir) + `
path=
IFS=:
set -f
for entry in $PATH; do
  [ "$entry" = "$here" ] || path=$path${path:+:}$entry
done
unset IFS
PATH=$path
if ! command -v aws >/dev/null; then
  echo "aws: not found: install the AWS CLI (Debian: apt-get install awscli)" >&2
  exit 127
fi
export PATH
exec aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
`
}

// write makes the files that env.sh needs and env.sh itself, the last in one step.
func (e devEnvironment) write(path string, ca []byte) error {
	if err := writeFile(e.CABundle, caBundle(systemRootFiles(), ca), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(e.ShimDir, 0o700); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(e.ShimDir, "aws"), []byte(awsShim(e.ShimDir)), 0o700); err != nil {
		return err
	}
	return writeFile(path, []byte(e.script()), 0o600)
}

// shellQuote makes text one word of a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// shellWord is text as a person would write it in a shell: quoted only if need be.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@%,:=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return shellQuote(text)
}
