package osservice

import (
	"encoding/xml"
	"strings"
)

// Label is a service's name as launchd has it.
func Label(name string) string { return "local.sekisho." + name }

// Plist is the text of the service's property list (launchd.plist(5)).
//
// AbandonProcessGroup: stopping, restarting or updating the service ends the agent alone
// and not the session workers, so that open sessions go on.
func Plist(s Service, log string) string {
	text := func(v string) string {
		var b strings.Builder
		xml.EscapeText(&b, []byte(v)) // a Builder takes everything
		return b.String()
	}
	var arguments strings.Builder
	for _, word := range s.Command {
		arguments.WriteString("\t\t<string>" + text(word) + "</string>\n")
	}
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + text(Label(s.Name)) + `</string>
	<key>ProgramArguments</key>
	<array>
` + arguments.String() + `	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>ThrottleInterval</key>
	<integer>5</integer>
	<key>AbandonProcessGroup</key>
	<true/>
	<key>StandardErrorPath</key>
	<string>` + text(log) + `</string>
</dict>
</plist>
`
}
