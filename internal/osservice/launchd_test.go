package osservice

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPlist(t *testing.T) {
	text := Plist(Service{Name: "sekisho-agent", Command: []string{"/opt/my tools/sekisho-agent", "run", "--dir", "/a & <b>"}}, "/var/log/sekisho-agent.log")
	for _, want := range []string{
		"<string>local.sekisho.sekisho-agent</string>", "<string>/opt/my tools/sekisho-agent</string>",
		"<string>/a &amp; &lt;b&gt;</string>", "<key>AbandonProcessGroup</key>\n\t<true/>", "<key>KeepAlive</key>\n\t<true/>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
