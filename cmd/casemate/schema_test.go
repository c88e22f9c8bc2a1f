package main

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy/lang"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestReferenceSaysAll: each attribute of each block has its line in the Markdown, with all that its row says, and each
// function in the help, the manual page and the Markdown.
func TestReferenceSaysAll(t *testing.T) {
	page := reference()
	var walk func(title string, b *lang.Block)
	walk = func(title string, b *lang.Block) {
		_, table, ok := strings.Cut(page, "## `"+title+"`\n\n")
		if !ok {
			t.Errorf("no heading of %s", title)
			return
		}
		table, _, _ = strings.Cut(table, "\n\n")
		lines := map[string]string{}
		for line := range strings.Lines(table) {
			if name := strings.Split(line, "`"); len(name) > 1 {
				lines[name[1]] = line
			}
			if got := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); got != 8 {
				t.Errorf("%s: %d bars in %q", title, got, line)
			}
		}
		for _, at := range b.Attributes {
			line, ok := lines[at.Name]
			if !ok {
				t.Errorf("%s has no line of %s", title, at.Name)
			}
			for _, part := range append([]string{codeCell(at.Example), codeCell(at.Unset), textCell(at.Bounds), at.Layer, textCell(at.Doc), textCell(at.Instead), textCell(at.With)}, at.Words...) {
				if !strings.Contains(line, part) {
					t.Errorf("the line of %s in %s lacks %q", at.Name, title, part)
				}
			}
			if at.Doc == "" || at.Kind() == "" {
				t.Errorf("%s in %s is not documented", at.Name, title)
			}
		}
		for i := range b.Blocks {
			walk(title+" › "+b.Blocks[i].Name, &b.Blocks[i])
		}
	}
	for _, b := range lang.Reference() {
		walk(b.Name, &b)
	}
	_, body := policyManual()
	has := shown(body)
	for _, f := range lang.Functions() {
		for _, w := range strings.Fields(f.Example + " " + f.Doc) {
			if w = strings.Trim(w, "(),;:"); w != "" && has[w] == 0 {
				t.Errorf("casemate-policy(5) lacks the word %q of %s", w, f.Name)
			}
		}
		if !strings.Contains(policyPage(), f.Example) || !strings.Contains(page, textCell(f.Doc)) {
			t.Errorf("%s is not documented", f.Name)
		}
	}
}

// TestFlagsAreDocumented: each flag of each verb says what it is for, and each verb has a sentence, a text and an
// example of its own.
func TestFlagsAreDocumented(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == completionVerb || c.Hidden {
			return
		}
		c.InitDefaultHelpFlag()
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" && !f.Hidden {
				t.Errorf("%s --%s says nothing", c.CommandPath(), f.Name)
			}
			if !strings.Contains(fmt.Sprint(c.UsageString()), "--"+f.Name) && !f.Hidden && c.Runnable() {
				t.Errorf("the help of %s lacks --%s", c.CommandPath(), f.Name)
			}
		})
		if c.Short == "" || long(c) == "" || c.Runnable() && c.Example == "" {
			t.Errorf("%s lacks its sentence, its text or its example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(tree(t))
}
