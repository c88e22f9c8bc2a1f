// Package visible writes what a policy, a program or a client chose so that people see every character of it, and
// none moves a terminal or turns a line around.
package visible

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line is a text on one line: all but printable characters becomes what strconv.Quote makes of it, line ends and the
// direction controls of Unicode too.
func Line(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, Hidden) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"): // a byte that is no UTF-8
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i]), 16))
		case !Hidden(r):
			b.WriteRune(r)
		default:
			q := strconv.Quote(string(r))
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// Hidden tells whether Line writes a character otherwise.
func Hidden(r rune) bool { return !strconv.IsPrint(r) }
