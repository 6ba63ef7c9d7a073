package document

import (
	"strconv"
	"strings"
)

// Properties are what a session of another type than Standard_Stream does (api.md
// §7.4): commands by platform, or a port.
type Properties struct {
	Linux   *Commands `json:"linux,omitempty"`
	Windows *Commands `json:"windows,omitempty"`
	MacOS   *Commands `json:"macos,omitempty"`

	Port *PortProperties `json:"-"`
}

// Commands are what one platform runs. The last three are for NonInteractiveCommands.
type Commands struct {
	Commands              string `json:"commands"`
	RunAsElevated         bool   `json:"runAsElevated"`
	SeparateOutputStream  bool   `json:"separateOutputStream,omitempty"`
	StdOutSeparatorPrefix string `json:"stdOutSeparatorPrefix,omitempty"`
	StdErrSeparatorPrefix string `json:"stdErrSeparatorPrefix,omitempty"`
}

// PortProperties say where a Port session goes. LocalConnectionType and LocalUnixSocket
// are read by clients (protocol.md §10.3).
type PortProperties struct {
	PortNumber          string `json:"portNumber"`
	Type                string `json:"type,omitempty"`
	LocalPortNumber     string `json:"localPortNumber,omitempty"`
	Host                string `json:"host,omitempty"`
	LocalConnectionType string `json:"localConnectionType,omitempty"`
	LocalUnixSocket     string `json:"localUnixSocket,omitempty"`
}

// LocalPortForwarding is the type of a Port session whose client listens on a local
// port. Without it the client's standard input and output are the connection.
const LocalPortForwarding = "LocalPortForwarding"

func (k *checker) properties(sessionType string, v any) (p Properties) {
	if v == nil {
		return p
	}
	f := k.object("properties", v)
	switch sessionType {
	case StandardStream: // nothing reads them
	case Port:
		p.Port = k.port(f)
	default:
		p.Linux = k.commands(f, "linux", sessionType)
		p.Windows = k.commands(f, "windows", sessionType)
		p.MacOS = k.commands(f, "macos", sessionType)
		// The agent reads keys without regard to case, so authors write both.
		if other := k.commands(f, "macOS", sessionType); other != nil {
			if p.MacOS != nil {
				k.fail("Duplicate property %q.%s", "macOS", at("properties.macOS"))
			}
			p.MacOS = other
		}
		f.done()
		if p.Linux == nil && p.Windows == nil && p.MacOS == nil {
			k.fail("properties must have at least one of linux, windows, macos.")
		}
	}
	return p
}

func (k *checker) commands(f *fields, platform, sessionType string) *Commands {
	v := f.take(platform)
	if v == nil {
		return nil
	}
	c := &Commands{}
	p := k.object(join(f.path, platform), v)
	switch v := p.take("commands").(type) {
	case nil:
		p.fail("commands", "is missing.")
	case string:
		c.Commands = v
	case []any:
		c.Commands = k.lines(join(p.path, "commands"), v)
	default:
		p.fail("commands", "must be a string or a list of strings.")
	}
	if strings.TrimSpace(c.Commands) == "" {
		p.fail("commands", "must not be empty.")
	}
	if strings.ContainsRune(c.Commands, 0) {
		p.fail("commands", "must not contain NUL characters.")
	}
	p.bool("runAsElevated", &c.RunAsElevated)
	if sessionType == NonInteractiveCommands {
		p.bool("separateOutputStream", &c.SeparateOutputStream)
		p.prefix("stdOutSeparatorPrefix", &c.StdOutSeparatorPrefix)
		p.prefix("stdErrSeparatorPrefix", &c.StdErrSeparatorPrefix)
	}
	p.done()
	return c
}

// lines joins a list of texts; a list inside it is what a StringList parameter became.
func (k *checker) lines(path string, list []any) string {
	lines := make([]string, 0, len(list))
	for _, item := range list {
		switch item := item.(type) {
		case string:
			lines = append(lines, item)
		case []any:
			lines = append(lines, k.lines(path, item))
		default:
			k.fail("%s must be a string or a list of strings.", path)
		}
	}
	return strings.Join(lines, "\n")
}

// prefix reads what a node writes before output. The agent checks it too, and fails the
// session when it is wrong.
func (f *fields) prefix(name string, to *string) {
	f.text(name, to)
	if !f.k.isOpen(*to) && (len(*to) > 30 || !consistsOf(*to, "\r\n_:-")) {
		f.fail(name, `must have at most 30 letters, digits, line breaks and _ : -.`)
	}
}

func (k *checker) port(f *fields) *PortProperties {
	p := &PortProperties{}
	f.loose("portNumber", &p.PortNumber)
	f.choice("type", &p.Type, LocalPortForwarding)
	f.loose("localPortNumber", &p.LocalPortNumber)
	f.text("host", &p.Host)
	f.choice("localConnectionType", &p.LocalConnectionType, "tcp", "unix")
	f.text("localUnixSocket", &p.LocalUnixSocket)
	f.done()
	if p.PortNumber == "" {
		f.fail("portNumber", "is missing.")
	}
	f.checkPort("portNumber", p.PortNumber, 1)
	f.checkPort("localPortNumber", p.LocalPortNumber, 0)
	if !k.isOpen(p.Host) && strings.ContainsAny(p.Host, " \t\r\n\v\f") {
		f.fail("host", "must not contain spaces.")
	}
	return p
}

// checkPort checks a port number from least, which no leading zero may hide.
func (f *fields) checkPort(name, text string, least uint64) {
	if text == "" || f.k.isOpen(text) {
		return
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < least || strconv.FormatUint(n, 10) != text {
		f.fail(name, "must be a number between "+strconv.FormatUint(least, 10)+" and 65535.")
	}
}
