package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Grams are what the search of transcripts goes by: each two characters that stand beside
// each other in a line, and each three of ASCII. Two are enough for Japanese, whose words
// have no spaces between them; three of ASCII are rarer than two.

// fold makes characters one that people take for the same when they search.
func fold(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf:
		if r < ' ' {
			return ' '
		}
		return r
	case r >= 0xff01 && r <= 0xff5e: // Latin letters of full width
		return fold(r - 0xff01 + '!')
	case unicode.IsSpace(r):
		return ' '
	}
	return unicode.ToLower(r)
}

// foldLine folds a line, with one space for several and none at the ends.
func foldLine(line string) string {
	var b strings.Builder
	space := false
	for _, r := range line {
		r = fold(r)
		if r == ' ' {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// packed makes a number of two or three characters, of 21 bits each.
func packed(runes ...rune) int64 {
	var n int64
	for _, r := range runes {
		n = n<<21 | int64(r)
	}
	return n
}

// eachGram calls f for the grams of a text, some more than once.
func eachGram(text string, f func(int64)) {
	var before, last rune // 0 for none
	for _, r := range text {
		if r == '\n' {
			before, last = 0, 0
			continue
		}
		if r = fold(r); r == ' ' && (last == ' ' || last == 0) {
			continue
		}
		if last != 0 {
			f(packed(last, r))
			if before != 0 && before < utf8.RuneSelf && last < utf8.RuneSelf && r < utf8.RuneSelf {
				f(packed(before, last, r))
			}
		}
		before, last = last, r
	}
}

// queryGrams gives grams that a folded query consists of, spread over it if there are
// many.
func queryGrams(query string) []int64 {
	runes := []rune(query)
	var all []int64
	for i := range len(runes) - 1 {
		switch {
		case i+2 < len(runes) && max(runes[i], runes[i+1], runes[i+2]) < utf8.RuneSelf:
			all = append(all, packed(runes[i], runes[i+1], runes[i+2]))
		case i > 0 && max(runes[i-1], runes[i], runes[i+1]) < utf8.RuneSelf: // in the one before
		default:
			all = append(all, packed(runes[i], runes[i+1]))
		}
	}
	if len(all) <= maxQueryGrams {
		return all
	}
	spread := make([]int64, maxQueryGrams)
	for i := range spread {
		spread[i] = all[i*(len(all)-1)/(maxQueryGrams-1)]
	}
	return spread
}

// excerptRunes bounds an excerpt.
const excerptRunes = 160

// find looks for a folded query in the lines of a text, and gives the first line that has
// it, or a piece of it, and where it begins.
func find(text, query string) (excerpt string, at int, ok bool) {
	for line := range strings.Lines(text) {
		folded := foldLine(line)
		if i := strings.Index(folded, query); i >= 0 {
			return shorten(strings.TrimSpace(line), utf8.RuneCountInString(folded[:i]), utf8.RuneCountInString(query)), at, true
		}
		at += len(line)
	}
	return "", 0, false
}

// shorten gives a piece of a line around some of its characters.
func shorten(line string, at, length int) string {
	runes := []rune(line)
	if len(runes) <= excerptRunes {
		return line
	}
	from := max(0, min(at-(excerptRunes-length)/2, len(runes)-excerptRunes))
	piece := string(runes[from : from+excerptRunes])
	if from > 0 {
		piece = "…" + piece
	}
	if from+excerptRunes < len(runes) {
		piece += "…"
	}
	return piece
}
