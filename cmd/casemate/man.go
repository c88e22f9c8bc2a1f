package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"casemate/cmd/casemate/manual"
	"casemate/cmd/version"
	"casemate/policy/lang"
	"casemate/policy/suggest"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The pages of programs whose help is not here.
var foreign = []string{"casemated", "casemate-worker", "casemate-filter", "casemate-inetd"}

// maxHelp is how long another program's help may be, in bytes.
const maxHelp = 1 << 20

// manual prints a manual page, or with "list" the names of those that the tree of
// verbs gives. cobra's own generator would link a Markdown renderer, and knows neither
// the topics nor how the help is laid out.
func (a *app) manual(root *cobra.Command, file string) error {
	pages := manuals(root)
	if file == "list" {
		for _, p := range pages {
			a.printf("%s\n", p.File())
		}
		return nil
	}
	i := slices.IndexFunc(pages, func(p *manual.Page) bool { return p.File() == file })
	if i >= 0 {
		a.printf("%s", pages[i].Roff())
		return nil
	}
	for _, name := range foreign {
		if file != name+".8" {
			continue
		}
		help, err := io.ReadAll(io.LimitReader(a.in, maxHelp))
		if err != nil {
			return fmt.Errorf("read the help of %s: %w", name, err)
		}
		p, err := manual.Usage(name, 8, string(help))
		if err != nil {
			return err
		}
		p.Version, p.See = version.Word(), append([]string{"casemate(1)", "casemate-policy(5)", "casemate-log(5)"}, others(name)...)
		a.printf("%s", p.Roff())
		return nil
	}
	var known []string
	for _, p := range pages {
		known = append(known, p.File())
	}
	if w := suggest.Word(file, known); w != "" {
		return fmt.Errorf("there is no manual page %q; did you mean %q?", file, w)
	}
	return fmt.Errorf("there is no manual page %q: --man list names them", file)
}

func others(name string) []string {
	var out []string
	for _, n := range foreign {
		if n != name {
			out = append(out, n+"(8)")
		}
	}
	return out
}

// manuals are the pages of the tree: casemate(1), one for each verb in section 1, and for
// each topic in section 5.
func manuals(root *cobra.Command) []*manual.Page {
	var pages []*manual.Page
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == completionVerb {
			return
		}
		pages = append(pages, page(c))
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return pages
}

func page(c *cobra.Command) *manual.Page {
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	p := &manual.Page{
		Name: pageName(c), Section: 1, Short: strings.ToLower(c.Short[:1]) + c.Short[1:], Version: version.Word(),
		Text: long(c), Examples: c.Example,
	}
	switch {
	case !c.HasParent():
		p.Synopsis = []string{c.Use + " [flags]"}
		var b bytes.Buffer
		b.WriteString(".SH VERBS AND TOPICS\n")
		items(&b, c)
		p.Body = b.Bytes()
		p.See = append(p.See, "casemated(8)")
	case !c.Runnable(): // a topic
		p.Section = 5
		if p.Name == "casemate-policy" {
			p.Text, p.Body = policyManual()
		}
		p.See = []string{"casemate(1)", "casemated(8)"}
		return p
	default:
		p.Synopsis = []string{c.UseLine()}
		if c.HasAvailableSubCommands() {
			var b bytes.Buffer
			b.WriteString(".SH KINDS\n")
			items(&b, c)
			p.Body = b.Bytes()
		}
		p.See = []string{pageName(c.Parent()) + "(1)"}
		p.Global = flags(c.InheritedFlags())
	}
	p.Options = flags(c.NonInheritedFlags())
	p.See = append(p.See, "casemate-policy(5)")
	return p
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// items lists what stands below a verb.
func items(b *bytes.Buffer, c *cobra.Command) {
	var list []manual.Item
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == completionVerb {
			continue
		}
		section := 1
		if !sub.Runnable() {
			section = 5
		}
		list = append(list, manual.Item{Term: sub.Name(), Text: fmt.Sprintf("%s: %s(%d)", sub.Short, pageName(sub), section)})
	}
	manual.Items(b, list)
}

func flags(fs *pflag.FlagSet) (list []manual.Item) {
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if kind != "" {
			term += " " + strings.ToUpper(kind)
		}
		if f.DefValue != "" && !slices.Contains([]string{"false", "[]", "0", "0s"}, f.DefValue) {
			usage += " (default " + f.DefValue + ")"
		}
		list = append(list, manual.Item{Term: term, Text: usage})
	})
	return list
}

// policyManual is the page of the language: the same rows and words as policyPage, laid out
// for a page that is filled.
func policyManual() (string, []byte) {
	var b bytes.Buffer
	for i, block := range lang.Reference() {
		blockManual(&b, block.Name+" { ... }", &block)
		manual.Text(&b, policyNotes[i])
	}
	manual.Heading(&b, "functions")
	var list []manual.Item
	for _, f := range lang.Functions() {
		list = append(list, manual.Item{Term: f.Example, Text: f.Doc})
	}
	manual.Items(&b, list)
	return policyIntro, b.Bytes()
}

// blockManual writes a block's attributes, then the blocks in it.
func blockManual(b *bytes.Buffer, title string, block *lang.Block) {
	manual.Heading(b, title)
	var list []manual.Item
	for _, at := range block.Attributes {
		list = append(list, manual.Item{Term: at.Name + " = " + at.Example, Text: comment(&at)})
	}
	manual.Items(b, list)
	for i := range block.Blocks {
		inner := &block.Blocks[i]
		blockManual(b, inner.Name+" { ... }, in "+strings.TrimSuffix(title, " { ... }"), inner)
	}
}

// helpOrManual is what help does.
func (a *app) helpOrManual(cmd *cobra.Command, args []string, man string) error {
	if man != "" {
		if len(args) > 0 {
			return errors.New("help: --man names the page: leave the verb out")
		}
		return a.manual(cmd.Root(), man)
	}
	of, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return noTopic(cmd.Root(), args)
	}
	of.InitDefaultHelpFlag()
	of.InitDefaultVersionFlag()
	return of.Help()
}
