package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// oneLine is what a program, its client or a file's owner chose, fit for a terminal, a
// comment and a log: all but printable characters becomes what strconv.Quote makes of it,
// line ends and the direction controls of Unicode too. Of JSON the bytes can be had.
func oneLine(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"): // a byte that is no UTF-8
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i]), 16))
		case !unprintable(r):
			b.WriteRune(r)
		default:
			q := strconv.Quote(string(r))
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// linef is printf of what others chose: each text among args goes through oneLine, and
// only format breaks lines. What is painted is not for it.
func (a *app) linef(format string, args ...any) { a.printf(format, onLine(args)...) }

// onLine has the texts among args on one line.
func onLine(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			out[i] = oneLine(v)
		case error, fmt.Stringer:
			out[i] = oneLine(fmt.Sprint(v))
		default:
			out[i] = v
		}
	}
	return out
}

// escapeJSON writes what is not printable in the strings of a JSON text as escapes, which
// say the same.
func escapeJSON(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		switch {
		case r < 0x7f || !unprintable(r):
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
