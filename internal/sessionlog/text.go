package sessionlog

// plain is a line of a terminal's output as events show it: without escape sequences,
// carriage returns and bells, with a space for a tab.
func plain(line []byte) string {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case 0x1b:
			i += escapeLength(line[i:]) - 1
		case '\r', 0x07:
		case '\t':
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// escapeLength is the length of the escape sequence that b begins with (ECMA-48, and the
// operating system commands of xterm).
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return len(b)
	}
	switch c := b[1]; {
	case c == '[': // CSI: parameters, intermediates, a final byte
		for i := 2; i < len(b); i++ {
			if b[i] >= 0x40 && b[i] <= 0x7e {
				return i + 1
			}
			if b[i] < 0x20 {
				return i // broken off
			}
		}
		return len(b)
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_': // strings up to BEL or ST
		for i := 2; i < len(b); i++ {
			if b[i] == 0x07 {
				return i + 1
			}
			if b[i] == 0x1b && i+1 < len(b) && b[i+1] == '\\' {
				return i + 2
			}
		}
		return len(b)
	case c >= 0x20 && c <= 0x2f: // intermediates, then a final byte
		for i := 2; i < len(b); i++ {
			if b[i] < 0x20 || b[i] > 0x2f {
				return i + 1
			}
		}
		return len(b)
	}
	return 2
}
