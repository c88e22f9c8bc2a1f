package inetd

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// reading is the state of one Parse over all its sources.
type reading struct {
	table    *Table
	sources  []Source
	declared Dialect
	included map[string]bool // names of sources that another one includes
	stack    []string        // files being read, outermost first
	count    int             // includes so far
}

// sticky is what a line gives to all below it, and to the files that they include.
type sticky struct {
	dialect   Dialect
	addresses []Text
}

// parser reads one file.
type parser struct {
	*reading
	*text
	sticky
	traits
	scouting bool // only the signs and the includes are wanted
	signs    []sign
}

// scout finds out which files are included by others.
func (r *reading) scout(s *Source) {
	p := &parser{reading: r, text: newText(s), sticky: sticky{dialect: Debian}, traits: dialects[Debian], scouting: true}
	p.read()
}

// dialectOf is the dialect of a file that is not included: declared, or told apart.
func (r *reading) dialectOf(s *Source) Dialect {
	if r.declared != "" {
		return r.declared
	}
	p := &parser{reading: r, text: newText(s), sticky: sticky{dialect: Debian}, traits: dialects[Debian], scouting: true}
	p.read()
	d, one, other := choose(p.signs)
	if other != nil {
		p.scouting = false
		p.add(Error, other.at, fmt.Sprintf("say whose file it is: inetd { dialect = %q }", one.in[0]),
			"%s is written by %s, and %s in line %d by %s", other.what, other.in[0], one.what, one.at.Start.Line, one.in[0])
	}
	return d
}

// file reads a source into the table, with what an including one gives it.
func (r *reading) file(s *Source, from sticky) {
	if from.dialect == "" {
		from.dialect = r.dialectOf(s)
	}
	r.table.Dialects[s.Name] = from.dialect
	r.stack = append(r.stack, s.Name)
	p := &parser{reading: r, text: newText(s), sticky: from, traits: dialects[from.dialect]}
	p.read()
	r.stack = r.stack[:len(r.stack)-1]
}

// add reports a finding; next is the one step that repairs it.
func (p *parser) add(level Level, at Range, next, format string, args ...any) {
	t := p.table
	switch {
	case p.scouting:
	case len(t.Findings) < maxFindings:
		t.Findings = append(t.Findings, Finding{Level: level, At: at, Next: next, Summary: fmt.Sprintf(format, args...)})
	case level == Error && !t.Failed():
		t.Findings[maxFindings-1] = Finding{Level: Error, At: at, Next: next, Summary: fmt.Sprintf(format, args...)}
	}
}

func (p *parser) directive(kind string, at Range) {
	if !p.scouting {
		p.table.Directives = append(p.table.Directives, Directive{kind, at})
	}
}

// read takes the file apart into entries and directives.
func (p *parser) read() {
	p.returns()
	for n := 0; n < len(p.lines); n++ {
		start, end := p.ends(n)
		line := p.data[start:end]
		switch first := bytes.TrimLeft(line, " \t"); {
		case len(first) == 0:
		case line[0] == '#':
			p.comment(line, p.at(start, end))
		case !p.printable(start, end):
		case first[0] == '#':
			p.add(Error, p.at(start, end), "put the # into the first column", "a comment begins in the first column: this line is an entry")
			p.directive("skipped", p.at(start, end))
		default:
			n = p.logical(n)
		}
	}
}

// returns reports lines that end as those of other systems do: to an inetd, the carriage
// return is part of the last word.
func (p *parser) returns() {
	if i := bytes.IndexByte(p.data, '\r'); i >= 0 && i+1 < len(p.data) && p.data[i+1] == '\n' {
		p.add(Loss, p.at(i, i+1), "write lines that end with a newline alone", "carriage returns at the ends of lines are left out; inetd hands them to the programs")
	}
}

// printable reports a byte that is not text: arguments and paths are.
func (p *parser) printable(start, end int) bool {
	for i := start; i < end; {
		r, n := utf8.DecodeRune(p.data[i:end])
		if r == utf8.RuneError && n == 1 || r < 0x20 && r != '\t' || r == 0x7f || r == 0xfffd {
			p.add(Error, p.at(start, end), "write UTF-8 text", "byte %#02x in column %d is not text", p.data[i], utf8.RuneCount(p.data[start:i])+1)
			return false
		}
		i += n
	}
	return true
}

// comment looks for what a comment stands for: an IPsec policy, or a service that is
// switched off (`#<off># `, as update-inetd writes it).
func (p *parser) comment(line []byte, at Range) {
	if policy, ok := bytes.CutPrefix(line, []byte("#@")); ok {
		if len(bytes.TrimSpace(policy)) > 0 {
			p.add(Loss, at, "set it for the host, with the programs that its kernel has for IPsec", "IPsec policies are not set for sockets")
		}
		return
	}
	for _, mark := range []string{"#<off>#", "## ", "#"} {
		rest, ok := bytes.CutPrefix(line, []byte(mark))
		words := strings.Fields(string(rest))
		if ok && len(words) > 5 && slices.Contains(socketTypes, strings.SplitN(words[1], ",", 2)[0]) && waitWord.MatchString(words[3]) {
			p.add(Off, at, "remove "+strings.TrimSpace(mark)+" to have it", "%s/%s is switched off", words[0], words[2])
			return
		}
	}
}

// logical reads the entry or directive that begins in line n, and returns its last line.
func (p *parser) logical(n int) int {
	start, end := p.ends(n)
	if plain, _ := p.split(start, end, unquoted); len(plain) > 1 && (plain[1].Text == "on" || plain[1].Text == "off") {
		return p.keyValue(n, plain)
	}
	words, bad := p.split(start, end, p.quotes)
	first := start
	for ; bad < 0 && p.continues && n+1 < len(p.lines); n++ {
		from, to := p.ends(n + 1)
		if from == to || !blank(p.data[from]) {
			break
		}
		if !p.printable(from, to) {
			continue
		}
		more, wrong := p.split(from, to, p.quotes)
		if len(more) > 5 && slices.Contains(socketTypes, more[1].Text) && waitWord.MatchString(more[3].Text) {
			p.add(Loss, p.at(from, to), "remove the blanks in front to make it an entry", "this line goes on with the entry above it, for it begins with a blank")
		}
		words, bad, end = append(words, more...), wrong, to
	}
	all := p.at(first, end)
	switch {
	case bad >= 0:
		p.add(Error, Range{p.name, p.pos(bad), all.End}, "close it on the same line", "a quote is not closed")
		p.directive("skipped", all)
	case len(words) == 0: // of continued blanks
	case words[0].Text == ".include":
		p.include(words, all)
	case len(words) == 1 && strings.HasSuffix(words[0].Text, ":") && len(words[0].Text) > 1:
		p.address(words[0])
	default:
		all.Start, all.End = words[0].At.Start, words[len(words)-1].At.End
		p.positional(words, all)
	}
	return n
}

// address reads a line that is an address for the entries below it.
func (p *parser) address(w Text) {
	p.uses(&address, w.At)
	p.directive("address", w.At)
	p.addresses = p.hosts(w.part(0, len(w.Text)-1))
}

// include reads the sources that an include names, in the order of their names.
func (p *parser) include(words []Text, all Range) {
	p.uses(&includes, all)
	p.directive("include", all)
	if len(words) != 2 {
		p.add(Error, all, `write .include "/etc/inetd/*.conf"`, "an include names one file or pattern")
		return
	}
	pattern := words[1].Text
	if n := len(pattern); n > 1 && pattern[0] == '"' && pattern[n-1] == '"' { // of a dialect without quotes
		pattern = pattern[1 : n-1]
	}
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(p.name), pattern)
	}
	var found []*Source
	for i := range p.sources {
		if ok, err := path.Match(pattern, p.sources[i].Name); ok {
			found = append(found, &p.sources[i])
		} else if err != nil {
			p.add(Error, words[1].At, "close its brackets", "the pattern %q cannot be read", pattern)
			return
		}
	}
	slices.SortFunc(found, func(a, b *Source) int { return strings.Compare(a.Name, b.Name) })
	if len(found) == 0 {
		p.add(Error, words[1].At, "name the files that it includes beside this one, where the policy is named", "no source is %s: nothing is read that is not among the sources", pattern)
	}
	for _, s := range found {
		switch {
		case p.scouting:
			p.included[s.Name] = true
		case slices.Contains(p.stack, s.Name):
			p.add(Error, words[1].At, "remove one of the includes", "%s includes itself", s.Name)
		case p.count == maxIncludes:
			p.add(Error, words[1].At, "include each file once", "there are more than %d includes", maxIncludes)
			return
		default:
			p.count++
			p.file(s, p.sticky)
		}
	}
}
