// Package visible writes what a policy, a program or a client chose so that people see every character of it, and
// none moves a terminal, turns a line around, or commands the program that runs a job of continuous integration and reads its output.
package visible

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line is a text on one line: all but printable characters becomes what strconv.Quote makes of it, line ends and the
// direction controls of Unicode too, and one character of what could be a command: ##[error]x becomes #\x23[error]x.
func Line(s string) string { return shown(disarmed(s)) }

// Lines is Line of each line of a text, which keeps its tabs.
func Lines(s string) string {
	all := strings.Split(s, "\n")
	for i, line := range all {
		parts := strings.Split(disarmed(line), "\t")
		for k, part := range parts {
			parts[k] = shown(part)
		}
		all[i] = strings.Join(parts, "\t")
	}
	return strings.Join(all, "\n")
}

// disarmed is a line that is no command, nor has one in it. One of GitHub's begins with :: and has :: once more, as no address has.
func disarmed(s string) string {
	if strings.HasPrefix(strings.TrimSpace(s), "::") && strings.Count(s, "::") > 1 {
		s = strings.Replace(s, ":", `\x3a`, 1)
	}
	return Harmless(s, `\x23`)
}

func shown(s string) string {
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

// commands are GitHub's and Azure's older ones, which count anywhere in a line, and TeamCity's: ##[error], ##vso[task.x], ##teamcity[x].
var commands = regexp.MustCompile(`##[A-Za-z.-]*\[`)

// Harmless is s with hash in place of the second character of each such command: what that is in the language that s is in.
func Harmless(s, hash string) string {
	if !strings.Contains(s, "##") {
		return s
	}
	return commands.ReplaceAllStringFunc(s, func(c string) string { return "#" + hash + c[2:] })
}

// Hidden tells whether Line writes a character otherwise.
func Hidden(r rune) bool { return !strconv.IsPrint(r) }
