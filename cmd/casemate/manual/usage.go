package manual

import (
	"fmt"
	"strings"
)

// Usage makes the page of a program from what its --help prints: a sentence that begins
// with its name, the line "usage: ...", then paragraphs, in which the list of what begins
// with a dash is the options.
func Usage(name string, section int, help string) (*Page, error) {
	first, rest, ok := strings.Cut(strings.TrimSpace(help), "\n\n")
	what, named := strings.CutPrefix(first, name+" ")
	usage, text, more := strings.Cut(rest, "\n\n")
	usage, said := strings.CutPrefix(usage, "usage: ")
	if !ok || !named || !said || !more {
		return nil, fmt.Errorf("the help of %s begins with its name and a sentence, then a paragraph \"usage: ...\"", name)
	}
	p := &Page{Name: name, Section: section, Synopsis: strings.Split(usage, "\n")}
	var kept []string
	var after string
	p.Short, after, _ = strings.Cut(strings.Join(strings.Fields(strings.TrimSuffix(what, ".")), " "), ". ")
	if after != "" {
		kept = append(kept, after+".")
	}
	for _, par := range strings.Split(text, "\n\n") {
		if strings.HasPrefix(par, "  -") {
			p.Options = list(strings.Split(par, "\n"))
			if p.Options == nil {
				return nil, fmt.Errorf("the help of %s: its options are no list of two columns", name)
			}
			continue
		}
		// A last line "Exit status: ..." is a paragraph of its own here.
		kept = append(kept, strings.Replace(par, "\nExit status: ", "\n\nExit status: ", 1))
	}
	p.Text = strings.Join(kept, "\n\n")
	return p, nil
}
