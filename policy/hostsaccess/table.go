// Package hostsaccess knows the tables of tcp wrappers, hosts.allow and hosts.deny, as
// Debian's libwrap 7.6.q reads them: it parses them as that library does, decides as it
// does (Decide), and says which lines mean something else than they look like (Refusals).
//
// It is pure: no file, no name service, no command. What a table asks of a host beside the
// request is a World's to answer, and where that cannot, the answer is never more open than
// the library's would be.
package hostsaccess

import (
	"bytes"
	"strings"
)

// lineBuffer is libwrap's buffer for one joined line, its newline and final NUL included.
const lineBuffer = 2048

// Table is one table as libwrap reads it.
type Table struct {
	// Name is the file's, for origins.
	Name  string
	Rules []Rule
	// Broken is the line at which reading ends, because it is too long or has no final
	// newline; 0 is none. Nothing from there on counts, and in hosts.deny everybody is
	// denied who gets so far.
	Broken int
	// Unreadable says that the file is there and cannot be opened.
	Unreadable bool

	lines []line // all of them, for Refusals
}

// Rule is one rule: daemons, clients, and what happens when both match.
type Rule struct {
	// Number counts the rules of a table from 1; Line and Last are its lines in the file.
	Number, Line, Last int
	// Text is the joined line without its newline.
	Text             string
	Daemons, Clients List

	hasOptions bool
	options    []option
}

// List is patterns with an exception, which is a list again.
type List struct {
	Patterns []string
	Except   *List
}

// line is a joined line and the lines of the file it is made of.
type line struct {
	text        string // with its newline, unless it is broken
	first, last int
	broken      bool
	comment     bool
	blank       bool
	noColon     bool
	rule        int // its index in Rules, or -1
}

// Parse reads a table. No text is an error: what libwrap drops, Parse drops too.
func Parse(name string, text []byte) *Table {
	t := &Table{Name: name}
	for at, number := 0, 0; at < len(text); {
		l, n := readLine(text[at:], &number)
		at += n
		if l.text == "" && !l.broken {
			continue // nothing but NULs
		}
		l.rule = -1
		if l.broken {
			t.Broken = l.first
			t.lines = append(t.lines, l)
			break
		}
		t.parseLine(&l)
		t.lines = append(t.lines, l)
	}
	return t
}

// readLine joins lines that end in a backslash, through C strings of at most lineBuffer
// bytes: what follows a NUL in a line is lost, and its newline with it.
func readLine(text []byte, number *int) (l line, used int) {
	var buf []byte
	l.first = *number + 1
	for room := lineBuffer; used < len(text); {
		if room <= 1 {
			l.broken = true
			break
		}
		chunk := text[used:min(len(text), used+room-1)]
		if i := bytes.IndexByte(chunk, '\n'); i >= 0 {
			chunk = chunk[:i+1]
			*number++
		}
		used += len(chunk)
		seen := chunk
		if i := bytes.IndexByte(chunk, 0); i >= 0 {
			seen = chunk[:i]
		}
		if whole, ok := bytes.CutSuffix(seen, []byte("\n")); ok {
			if joined, ok := bytes.CutSuffix(whole, []byte(`\`)); ok {
				seen = joined
			} else {
				l.last, l.text = *number, string(append(buf, seen...))
				return l, used
			}
		}
		buf = append(buf, seen...)
		room -= len(seen)
	}
	l.last, l.text = max(*number, l.first), string(buf)
	l.broken = l.broken || len(buf) > 0
	return l, used
}

const (
	blanks     = " \t\r\n"
	separators = ", \t\r\n"
)

// parseLine takes a line apart.
func (t *Table) parseLine(l *line) {
	if l.text[0] == '#' {
		l.comment = true
		return
	}
	if strings.Trim(l.text, blanks) == "" {
		l.blank = true
		return
	}
	daemons, rest, ok := cut(l.text, ':')
	if !ok {
		l.noColon = true
		return
	}
	r := Rule{Number: len(t.Rules) + 1, Line: l.first, Last: l.last, Text: strings.TrimSuffix(l.text, "\n")}
	clients, options, ok := cut(rest, ':')
	r.Daemons, r.Clients = parseList(daemons), parseList(clients)
	if r.hasOptions = ok; ok {
		r.options = parseOptions(options)
	}
	l.rule = len(t.Rules)
	t.Rules = append(t.Rules, r)
}

// Comment is a line that begins with "#".
type Comment struct {
	Line int
	Text string
}

// Comments are the table's, in their order.
func (t *Table) Comments() (out []Comment) {
	for _, l := range t.lines {
		if l.comment {
			out = append(out, Comment{l.first, strings.TrimSuffix(l.text, "\n")})
		}
	}
	return out
}

// Text is the joined line that begins in a line of the file, or "".
func (t *Table) Text(line int) string {
	for _, l := range t.lines {
		if l.first == line {
			return strings.TrimSuffix(l.text, "\n")
		}
	}
	return ""
}

// cut splits s at the first sep outside brackets. The count of brackets may go below zero,
// where every later sep is hidden.
func cut(s string, sep byte) (before, after string, found bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// cutAt splits a pattern at its "@", which may not be its first byte.
func cutAt(s string) (before, after string, found bool) {
	if s == "" {
		return s, "", false
	}
	before, after, found = cut(s[1:], '@')
	return s[:1] + before, after, found
}

func parseList(s string) List {
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) })
	return listOf(words)
}

func listOf(words []string) (l List) {
	for i, w := range words {
		if equal(w, "EXCEPT") {
			e := listOf(words[i+1:])
			l.Except = &e
			break
		}
		l.Patterns = append(l.Patterns, w)
	}
	return l
}

// equal compares as strcasecmp does in the C locale.
func equal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
