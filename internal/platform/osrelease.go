package platform

import "strings"

// parseOSRelease takes NAME and VERSION_ID from the text of an os-release file
// (os-release(5)): shell-like assignments, values quoted or not.
func parseOSRelease(text string) (name, version string) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch key {
		case "NAME":
			name = unquote(value)
		case "VERSION_ID":
			version = unquote(value)
		}
	}
	return name, version
}

// unquote removes one layer of shell quotes; within double quotes a backslash
// protects the next character.
func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	if quote == '\'' || !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parsePasswd finds the account with the given user id in the text of a passwd file
// (passwd(5)).
func parsePasswd(text string, uid string) (a Account, ok bool) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) >= 7 && f[2] == uid && f[0] != "" && f[0][0] != '#' {
			return Account{Name: f[0], Home: f[5], Shell: f[6]}, true
		}
	}
	return Account{}, false
}
