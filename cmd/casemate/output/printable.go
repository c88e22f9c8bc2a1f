package output

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"casemate/policy/visible"
)

// OneLine is what a program, its client or a file's owner chose, fit for a terminal, a
// comment and a log: all but printable characters becomes what strconv.Quote makes of it,
// line ends and the direction controls of Unicode too, and so does a character of what a runner of jobs
// (GITHUB_ACTIONS and its kin) would obey. Of JSON the bytes can be had.
func OneLine(s string) string { return visible.Line(s) }

// EachLine is OneLine of each line of a text, which keeps its tabs.
func EachLine(s string) string { return visible.Lines(s) }

// Unprintable tells whether OneLine writes a character otherwise.
func Unprintable(r rune) bool { return visible.Hidden(r) }

// EscapeJSON writes what is not printable in the strings of a JSON text, and what a runner of jobs could take for a
// command, as escapes, which say the same.
func EscapeJSON(text []byte) []byte {
	var out []byte
	for _, r := range visible.Harmless(string(text), `\u0023`) {
		switch {
		case r < 0x7f || !Unprintable(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
