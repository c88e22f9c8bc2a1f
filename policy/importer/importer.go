// Package importer writes what other super-servers are told as a policy: hosts.allow and
// hosts.deny, inetd.conf, xinetd.conf and systemd's socket units, in; HCL and a report of
// what it could not say, out.
//
// Every line of the input ends up as HCL, as a comment, or in the report, and what is lost
// never leaves a service open wider than it was: where a bound or a rule has no counterpart,
// the service is refused or admits nobody, until somebody decides. The package is pure: the
// caller hands in texts, or a file system to read them from.
package importer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/policy/netdb"
)

// Kind sorts the entries of a report.
type Kind string

// The kinds.
const (
	// Lost: something that the input says and the policy does not.
	Lost Kind = "lost"
	// Note: the policy says it; the reader should know how.
	Note Kind = "note"
)

// Loss is one entry of the report.
type Loss struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Kind Kind   `json:"kind"`
	// Text is what the input says there.
	Text string `json:"text,omitempty"`
	// Reason says what is lost, or noteworthy, and Instead what to write or to do.
	Reason  string `json:"reason"`
	Instead string `json:"instead,omitempty"`
}

// String is the entry on one line.
func (l Loss) String() string {
	s := fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Reason)
	if l.Instead != "" {
		s += ": " + l.Instead
	}
	return s
}

// Result is what an import comes to.
type Result struct {
	// HCL is the policy, as `casemate fmt` lays it out.
	HCL []byte
	// Losses is the report, in the order of files and lines.
	Losses []Loss
	// Lost counts those that are not mere notes.
	Lost int
}

// page is a policy in the making, and its report.
type page struct {
	units  []*unit
	b      *strings.Builder // of the last unit
	losses []Loss
	files  []string        // in the order in which they were read
	names  map[string]bool // of blocks, as "service telnet"
	netdb  *netdb.Services // the host's names of ports, or nil
	group  []byte          // the host's group(5), or nil
	// libwrap: the host has its inetd ask hosts.allow and hosts.deny for every program.
	libwrap bool
	told    bool   // that tables are missing which an inetd asks
	whole   bool   // it is of a whole host, where everything is found that is there
	zone    string // of the host's clocks, or ""
}

// unit is a piece of the policy that stands and falls as a whole: comments, a block and
// the blocks that it alone uses.
type unit struct {
	strings.Builder
	file string // where it comes from, for the report
	line int
	what string
	text []byte // laid out
	off  bool   // all of it is a comment
	// draft: it is a comment from the start, for the sake of why.
	draft bool
	why   string
	// service is the service that it writes, or nil.
	service *service
}

func newPage() *page { return &page{names: map[string]bool{}} }

// begin begins a unit.
func (p *page) begin(file string, line int, what string) *unit {
	u := &unit{file: file, line: line, what: printable(what)}
	p.units = append(p.units, u)
	p.b = &u.Builder
	return u
}

const head = "policy { edition = 1 }\n"

// result lays the page out, and makes a comment of each unit that no policy can have, with
// the compiler's word for it.
func (p *page) result() (*Result, error) {
	for i := range p.units {
		if err := p.units[i].layout(); err != nil {
			return nil, err
		}
		if u := p.units[i]; u.draft {
			u.demote(u.why)
		}
	}
	p.contested()
	p.unmuxed()
	for {
		text, starts := p.text()
		doc, ds := lang.Compile([]policy.SourceFile{{Name: "imported.cm.hcl", Data: text}})
		if doc != nil {
			return p.report(text), nil
		}
		if !p.demote(ds, starts) {
			return nil, fmt.Errorf("import: the policy that came out is not valid (please report it): line %d: %s", ds[0].Line, ds[0].Summary)
		}
	}
}

// layout formats a unit by itself.
func (u *unit) layout() error {
	text, ds := lang.Format(policy.SourceFile{Name: "imported", Data: []byte(u.String())})
	if policy.HasErrors(ds) {
		return fmt.Errorf("import: %s:%d: what came out does not parse (please report it): %s", u.file, u.line, ds[0].Summary)
	}
	u.text = bytes.TrimSpace(text)
	return nil
}

// text is the whole policy, and the line in which each unit begins.
func (p *page) text() ([]byte, []int) {
	out, line := []byte(head), 2
	starts := make([]int, len(p.units))
	for i := range p.units {
		u := p.units[i]
		if starts[i] = line; len(u.text) == 0 {
			continue
		}
		starts[i]++
		out = append(append(append(out, '\n'), u.text...), '\n')
		line += bytes.Count(u.text, []byte("\n")) + 2
	}
	return out, starts
}

// demote makes comments of the units that errors are in. It is false where none is.
func (p *page) demote(ds []policy.Diagnostic, starts []int) (some bool) {
	for _, d := range ds {
		i, exact := slices.BinarySearch(starts, d.Line)
		if !exact {
			i--
		}
		if d.Severity != policy.SeverityError || i < 0 {
			continue
		}
		u := p.units[i]
		if u.off {
			continue
		}
		some = true
		instead, _, _ := strings.Cut(strings.ReplaceAll(d.Detail, "\n", " "), "; the other is at") // of lines that move yet
		p.lost(u.file, u.line, u.what, instead, "it stands in a comment, for the policy cannot have it: %s", d.Summary)
		u.demote(d.Summary)
	}
	return some
}

// report is the page as a result.
func (p *page) report(text []byte) *Result {
	order := map[string]int{}
	for i, f := range p.files {
		if _, ok := order[f]; !ok {
			order[f] = i
		}
	}
	slices.SortStableFunc(p.losses, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	r := &Result{HCL: text, Losses: p.losses}
	for _, l := range r.Losses {
		if l.Kind == Lost {
			r.Lost++
		}
	}
	return r
}

// lost and note add to the report.
func (p *page) lost(file string, line int, text, instead, format string, args ...any) {
	p.add(Loss{file, line, Lost, printable(text), printable(fmt.Sprintf(format, args...)), printable(instead)})
}

func (p *page) note(file string, line int, text, instead, format string, args ...any) {
	p.add(Loss{file, line, Note, printable(text), printable(fmt.Sprintf(format, args...)), printable(instead)})
}

func (p *page) add(l Loss) {
	if !slices.Contains(p.losses, l) {
		p.losses = append(p.losses, l)
	}
}

// comment writes a comment line.
func (p *page) comment(format string, args ...any) {
	fmt.Fprintf(p.b, "# %s\n", printable(fmt.Sprintf(format, args...)))
}

func (p *page) open(format string, args ...any) { fmt.Fprintf(p.b, format+" {\n", args...) }
func (p *page) close()                          { p.b.WriteString("}\n") }

// attr writes an attribute; value is HCL.
func (p *page) attr(name, value string) { fmt.Fprintf(p.b, "%s = %s\n", name, value) }

// maxComment bounds what a comment shows of a line.
const maxComment = 300

// printable is text on one line, of a sane length.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, s)
	if len(s) > maxComment {
		s = strings.ToValidUTF8(s[:maxComment], "") + "..."
	}
	return strings.TrimSpace(s)
}

// quote writes a string of the language.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoted writes a list of strings.
func quoted[S ~string](list []S) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(string(s))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// name makes a block's name of what the input calls it: one that no other block of the kind
// has yet.
func (p *page) name(kind, from string) string {
	name := lang.BlockName(from, "")
	for n := 2; p.names[kind+" "+name] || lang.ShippedBlock(kind, name) != nil; n++ {
		name = lang.BlockName(from, fmt.Sprintf("-%d", n))
	}
	p.names[kind+" "+name] = true
	return name
}
