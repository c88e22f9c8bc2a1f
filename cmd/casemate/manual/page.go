// Package manual turns the texts with which programs explain themselves into manual
// pages, in the man(7) macros. It knows how help is laid out, and nothing of what it says.
package manual

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// Page is one manual page.
type Page struct {
	Name     string // as casemate-check
	Section  int    // 1 to 9
	Short    string // what it is, in a line
	Version  string
	Synopsis []string // each way to call it
	Text     string   // paragraphs, see Text
	Options  []Item
	Global   []Item   // options of every verb
	Examples string   // indented lines
	See      []string // pages, as casemated(8)

	// Body is more of the page, in roff already, before its options.
	Body []byte
}

// Item is an option, an attribute or a row, with what it is.
type Item struct{ Term, Text string }

// File is the name of the page's file.
func (p *Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Roff is the page.
func (p *Page) Roff() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".\\\" Made by `casemate help --man`: change what the program says.\n")
	fmt.Fprintf(&b, ".TH %s %d \"\" \"%s\" \"casemate manual\"\n.nh\n.ad l\n", strings.ToUpper(escape(p.Name)), p.Section, escape("casemate "+p.Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(p.Name), escape(p.Short))
	if len(p.Synopsis) > 0 {
		b.WriteString(".SH SYNOPSIS\n")
		for i, s := range p.Synopsis {
			if i > 0 {
				b.WriteString(".br\n")
			}
			first, rest, _ := strings.Cut(s, " ")
			fmt.Fprintf(&b, "\\fB%s\\fR %s\n", escape(first), escape(rest))
		}
	}
	text, exit := cutExit(p.Text)
	b.WriteString(".SH DESCRIPTION\n")
	Text(&b, text)
	b.Write(p.Body)
	section(&b, "OPTIONS", p.Options)
	section(&b, "OPTIONS OF EVERY VERB", p.Global)
	if exit != "" {
		b.WriteString(".SH EXIT STATUS\n")
		Text(&b, exit)
	}
	if p.Examples != "" {
		b.WriteString(".SH EXAMPLES\n")
		verbatim(&b, strings.Split(strings.TrimRight(p.Examples, "\n"), "\n"))
	}
	if len(p.See) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, s := range p.See {
			name, in, _ := strings.Cut(s, "(")
			comma := ","
			if i == len(p.See)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, ".BR %s (%s%s\n", escape(name), in, comma)
		}
	}
	// A heading begins a paragraph by itself.
	return paragraphs.ReplaceAll(b.Bytes(), []byte("$1"))
}

var paragraphs = regexp.MustCompile(`(?m)^(\.S[HS] .*\n)\.PP\n`)

func section(b *bytes.Buffer, title string, items []Item) {
	if len(items) > 0 {
		fmt.Fprintf(b, ".SH %s\n", title)
		Items(b, items)
	}
}

// Items writes a list of terms and what they are.
func Items(b *bytes.Buffer, items []Item) {
	for _, it := range items {
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n", escape(it.Term))
		fill(b, it.Text)
	}
}

// Heading begins a subsection.
func Heading(b *bytes.Buffer, title string) { fmt.Fprintf(b, ".SS %s\n", escape(title)) }

// cutExit takes the paragraph on exit statuses out of a text.
func cutExit(text string) (rest, exit string) {
	var kept []string
	for _, p := range strings.Split(text, "\n\n") {
		if after, ok := strings.CutPrefix(p, "Exit status: "); ok && exit == "" {
			exit = after
			continue
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "\n\n"), exit
}

// width is how long a line of filled text may be in the file, in bytes.
const width = 78

// fill writes text of which every line may be broken.
func fill(b *bytes.Buffer, text string) {
	written := ""
	for _, word := range strings.Fields(text) {
		if written != "" && len(written)+1+len(word) > width {
			line(b, written)
			written = ""
		}
		written = strings.TrimPrefix(written+" "+word, " ")
	}
	line(b, written)
}

// line writes one line as it is.
func line(b *bytes.Buffer, text string) {
	text = escape(text)
	if strings.HasPrefix(text, ".") || text == "" {
		text = `\&` + text
	}
	b.WriteString(text + "\n")
}

// escape keeps every character itself: a manual page is copied from.
var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace
