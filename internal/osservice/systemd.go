package osservice

import (
	"fmt"
	"strings"
)

// Unit is the text of the service's systemd unit (systemd.service(5)).
//
// KillMode=process: stopping, restarting or updating the service ends the agent alone
// and not the session workers, so that open sessions go on. SendSIGKILL stays on for
// the agent itself.
func Unit(s Service) (string, error) {
	words := make([]string, len(s.Command))
	for i, word := range s.Command {
		if strings.ContainsAny(word, "\x00\n\r") {
			return "", fmt.Errorf("argument %q cannot be written in a unit", word)
		}
		words[i] = quote(word)
	}
	if len(words) == 0 || !strings.HasPrefix(s.Command[0], "/") {
		return "", fmt.Errorf("a service needs the absolute path of its program")
	}
	return `[Unit]
Description=` + escape(s.Description) + `
Wants=network-online.target
After=network-online.target

[Service]
Type=simple
ExecStart=` + strings.Join(words, " ") + `
KillMode=process
Restart=always
RestartSec=5
# The shells that it opens set their own.
UMask=0022

[Install]
WantedBy=multi-user.target
`, nil
}

// escape protects specifiers, which start with a per cent sign.
func escape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "%", "%%")
}

// quote writes one word of a command line: specifiers and variables mean nothing in it.
func quote(word string) string {
	word = strings.NewReplacer("%", "%%", "$", "$$").Replace(word)
	if word != "" && !strings.ContainsAny(word, " \t\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
