package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"casemate/cmd/casemate/facts"
	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/score"
	"casemate/policy/show"
	"casemate/sandbox/landlock"

	"github.com/spf13/cobra"
)

// scoreFlags are those of score.
type scoreFlags struct {
	threshold float64
	weights   string
	against   string
	items     bool
	limited   bool // threshold was given
	host      bool
	facts     string
	known     *facts.Facts // of the host that is asked about, nil for none
}

// enforces is what the host does, nil where none is asked about.
func (f *scoreFlags) enforces() *score.Host {
	if f.known == nil {
		return nil
	}
	return &score.Host{Ports: f.known.LandlockABI >= landlock.ABINet, Controllers: f.known.Controllers}
}

func (a *app) scoreCmd() *cobra.Command {
	var fl scoreFlags
	cmd := &cobra.Command{
		Use:   "score [SERVICE...] [PATH...]",
		Short: "Rank services by how much they expose, with the change that helps most",
		Long: `score gives each service a number from 0.0 to 10.0: how much it exposes, by the policy
alone. It ranks services for review. A low number is no proof that nothing can happen, and
says nothing about the program's own faults.

Who can reach the service is a part of one: nobody is 0, this host up to 0.1, private
networks up to 0.4, and everybody on the internet 1; of whom it takes a name or a time
besides, 0.7 of that. What somebody has who takes the program over are points: each item of
a table measures one thing from 0 to 1 and has a weight. The points that add up count for
that part, and 16 of them are 5.0, twice as many 7.5. Below 2.5 a score is low, below 5
moderate, below 7.5 high, and from there on severe. --items prints the table.

What is narrower (as casemate diff has it) never scores higher. Limits count as far as they
are held: none that only looks like one.

SERVICE and PATH are those of casemate show: without a SERVICE all that are served, without
a PATH the policy that the running casemated has. One service alone is shown with all of its
items; the others with their score, who reaches them, and the one change that helps most.
Of a compiled document score SERVICE looks at what the services are made of, and at the digest.

--weights FILE replaces weights: JSON as -o json --items prints it, of which anything may be
left out, as {"half":20,"weights":{"user":20}}. --against PATH tells what changed since that
policy, which may be running, for what casemated runs. --threshold N is a gate.

With --host, or --facts FILE for another host (casemate facts), what its kernel does not
enforce and best_effort gives up protects nothing: memory, processes and processor time
without a controller of cgroup v2, and tcp ports without Landlock's. What casemated would
refuse there is said, and scored as if it were served.

Exit status: 0 scored, 1 could not, 3 a service is above the --threshold.`,
		Example: `  casemate score /etc/casemate
  casemate score finger /etc/casemate
  casemate score site.cm.hcl --threshold 6.5 -o markdown
  casemate score ./policy --against git:main:policy
  casemate score site.cm.hcl --facts mail.facts.json
  casemate score --items`,
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.limited = cmd.Flags().Changed("threshold")
			if fl.limited && !(fl.threshold >= 0 && fl.threshold <= 10) {
				return errors.New("--threshold must be from 0 to 10")
			}
			if fl.host && fl.facts != "" {
				return errors.New("--host and --facts are two hosts: name one")
			}
			w, err := fl.read()
			if err == nil && fl.facts != "" {
				fl.known, err = readFacts(fl.facts)
			}
			if err != nil {
				return err
			}
			if fl.items {
				return a.scoreItems(w)
			}
			return a.score(args, &fl, w)
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		g := namedGrant(args)
		if fl.items {
			g = confine.Grant{}
		}
		if fl.weights != "" {
			g.Read = append(g.Read, fl.weights)
		}
		g.Read = append(g.Read, onDisk([]string{fl.against, fl.facts})...)
		if fl.host { // nothing of the policy is asked of it
			fl.known = facts.Gather(&facts.Net{}, "")
		}
		return g
	}
	a.revisions(cmd, "")
	a.formats(cmd, output.Markdown, output.SARIF)
	f := cmd.Flags()
	f.Float64Var(&fl.threshold, "threshold", 0, "exit with 3 if a service scores above `N`")
	f.StringVar(&fl.weights, "weights", "", "take the weights of that `file`")
	f.StringVar(&fl.against, "against", "", "tell what changed since the policy at that `path`, or running")
	f.BoolVar(&fl.host, "host", false, "count what this host cannot enforce as what protects nothing")
	f.StringVar(&fl.facts, "facts", "", "count likewise for the host whose facts are in this file (casemate facts)")
	f.BoolVar(&fl.items, "items", false, "print what is measured, with its weight")
	return cmd
}

// read reads the file of weights, if there is one.
func (f *scoreFlags) read() (*score.Weights, error) {
	if f.weights == "" {
		return score.Default(), nil
	}
	file, err := os.Open(f.weights)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, score.MaxWeights+1))
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	w, err := score.ParseWeights(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.weights, err)
	}
	return w, nil
}

// scoreReport is the JSON of score.
type scoreReport struct {
	FormatVersion int             `json:"format_version"`
	Digest        string          `json:"digest"`
	Half          float64         `json:"half"`
	Services      []score.Score   `json:"services"`
	Host          *hostReport     `json:"host,omitempty"`    // what the host that is asked about refuses or does without
	Against       string          `json:"against,omitempty"` // the digest of the other policy
	Changes       *[]score.Change `json:"changes,omitempty"`
	Threshold     *float64        `json:"threshold,omitempty"`
	Above         []string        `json:"above,omitempty"` // services above Threshold
}

func (a *app) score(args []string, fl *scoreFlags, w *score.Weights) error {
	names, paths := named(args)
	doc, err := a.namedDocument(names, paths)
	if err != nil {
		return err
	}
	r := scoreReport{FormatVersion: 1, Digest: doc.Digest, Half: w.Half}
	if r.Services, err = scores(doc, names, w, fl.enforces()); err != nil {
		return err
	}
	if fl.known != nil {
		r.Host = onKernel(doc.Policy, fl.known.LandlockABI)
	}
	if fl.against != "" {
		if err := a.scoreAgainst(&r, fl, names, w); err != nil {
			return err
		}
	}
	if fl.limited {
		r.Threshold = &fl.threshold
		for i := range r.Services {
			if r.Services[i].Score > fl.threshold {
				r.Above = append(r.Above, r.Services[i].Service)
			}
		}
	}
	err = a.emit(forms{
		output.Text:     func(io.Writer) error { a.scoreText(&r, len(names) == 1); a.host(r.Host, fl.facts); return nil },
		output.JSON:     func(w io.Writer) error { return writeJSON(w, r) },
		output.Markdown: func(w io.Writer) error { return scoreMarkdown(w, &r) },
		output.SARIF:    findingsOf("score", r.findings(func(name string) string { return doc.Origins.Lookup("services." + name) })).WriteSARIF,
	})
	if err == nil && len(r.Above) > 0 {
		fmt.Fprintf(a.err, "casemate: above %.1f: %s\n", fl.threshold, strings.Join(r.Above, ", "))
		return errNo
	}
	return err
}

// scores are those of the services named, or of all.
func scores(doc *policy.Document, names []string, w *score.Weights, h *score.Host) ([]score.Score, error) {
	all := score.New(doc, w).On(h)
	if len(names) == 0 {
		return all.All()
	}
	var out []score.Score
	for _, name := range names {
		name = strings.TrimPrefix(name, "service.")
		s := doc.Policy.Service(name)
		if s == nil {
			if explain.Disabled(doc.Policy, name) != nil {
				return nil, fmt.Errorf("service %q is disabled: it exposes nothing", name)
			}
			_, err := show.Select(doc, []string{name})
			if err == nil {
				err = fmt.Errorf("%s is no service", name)
			}
			return nil, notAName(err, names)
		}
		one, err := all.Service(s)
		if err != nil {
			return nil, err
		}
		out = append(out, *one)
	}
	return out, nil
}

// scoreAgainst adds what changed since another policy.
func (a *app) scoreAgainst(r *scoreReport, fl *scoreFlags, names []string, w *score.Weights) error {
	old, err := a.document(fl.against)
	if err != nil {
		return err
	}
	before, err := score.New(old, w).On(fl.enforces()).All()
	if err != nil {
		return err
	}
	changes := score.Compare(before, r.Services)
	if len(names) > 0 {
		changes = slices.DeleteFunc(changes, func(c score.Change) bool {
			return !slices.Contains(names, c.Service) && !slices.Contains(names, "service."+c.Service)
		})
	}
	r.Against, r.Changes = old.Digest, &changes
	return nil
}

// scoreText prints scores for people; whole adds the table of items.
func (a *app) scoreText(r *scoreReport, whole bool) {
	a.columns(func(w io.Writer) {
		for i := range r.Services {
			s := &r.Services[i]
			fmt.Fprintf(w, "%4.1f\t%s\t%s\t%s\n", s.Score, s.Band, s.Service, s.Reach.What)
		}
	})
	for i := range r.Services {
		s := &r.Services[i]
		if whole {
			a.printf("\n")
			a.scoreTable(s)
		}
	}
	if helped := slices.DeleteFunc(slices.Clone(r.Services), func(s score.Score) bool { return s.Best == nil }); len(helped) > 0 {
		a.printf("\nthe one change that helps most\n")
		a.columns(func(w io.Writer) {
			for i := range helped {
				s := &helped[i]
				fmt.Fprintf(w, "  %s\t%.1f -> %.1f\t%s\n", s.Service, s.Score, s.Best.Score, s.Best.Fix)
			}
		})
	}
	if r.Changes != nil {
		a.scoreChanges(*r.Changes)
	}
	a.printf("\nA low number is no proof: it is about what the policy grants, not about the program.\n")
}

// columns prints the columns of a table, which tabs divide.
func (a *app) columns(write func(io.Writer)) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	write(t)
	a.flush(t, &b)
}

// scoreTable prints the items of a service, those with the most points first.
func (a *app) scoreTable(s *score.Score) {
	items := slices.Clone(s.Items)
	slices.SortStableFunc(items, func(x, y score.Item) int { return cmp.Compare(y.Points, x.Points) })
	a.columns(func(w io.Writer) {
		fmt.Fprintf(w, "item\tpoints\tweight\tvalue\twhat\n")
		for i := range items {
			it := &items[i]
			fmt.Fprintf(w, "%s\t%.2f\t%g\t%.2f\t%s\n", it.ID, it.Points, it.Weight, it.Value, it.What)
			if it.Origin != "" && it.Origin != "default" && it.Points > 0 {
				fmt.Fprintf(w, "\t\t\t\t  at %s\n", explain.Line(it.Origin))
			}
			if it.Fix != "" && it.Points > 0 {
				fmt.Fprintf(w, "\t\t\t\t  = %s\n", it.Fix)
			}
		}
		fmt.Fprintf(w, "all\t%.2f\n", s.Points)
		fmt.Fprintf(w, "reach\tx %.3f\t\t\t%s\n", s.Reach.Value, s.Reach.What)
		if s.Reach.Fix != "" {
			fmt.Fprintf(w, "\t\t\t\t  = %s\n", s.Reach.Fix)
		}
	})
}

func (a *app) scoreChanges(changes []score.Change) {
	a.printf("\nchanged\n")
	if len(changes) == 0 {
		a.printf("  nothing\n")
	}
	for i := range changes {
		c := &changes[i]
		a.printf("  %s  %s -> %s\n", c.Service, scoreWord(c.Old), scoreWord(c.New))
		for i := range c.Items {
			a.linef("    %s\n", itemChanged(&c.Items[i]))
		}
	}
}

// scoreWord is a score, or that there is none.
func scoreWord(v *float64) string {
	if v == nil {
		return "not served"
	}
	return fmt.Sprintf("%.1f", *v)
}

// scoreMarkdown writes scores as a review comment.
func scoreMarkdown(w io.Writer, r *scoreReport) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "**casemate score**: %d services", len(r.Services))
	if r.Threshold != nil {
		fmt.Fprintf(&b, ", %d above %.1f", len(r.Above), *r.Threshold)
	}
	if r.Changes != nil {
		fmt.Fprintf(&b, ", %d changed", len(*r.Changes))
	}
	b.WriteString("\n")
	if r.Changes != nil && len(*r.Changes) > 0 {
		b.WriteString("\n| service | was | is | by |\n|---|---|---|---|\n")
		for i := range *r.Changes {
			c := &(*r.Changes)[i]
			var by []string
			for i := range c.Items {
				by = append(by, output.MarkdownText(itemChanged(&c.Items[i])))
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", output.MarkdownCode(c.Service), scoreWord(c.Old), scoreWord(c.New), strings.Join(by, "<br>"))
		}
	}
	if len(r.Services) > 0 {
		b.WriteString("\n| score | | service | who reaches it | what helps most |\n|---|---|---|---|---|\n")
		for i := range r.Services {
			s := &r.Services[i]
			best := ""
			if s.Best != nil {
				best = output.MarkdownText(fmt.Sprintf("%s: %.1f", s.Best.Fix, s.Best.Score))
			}
			fmt.Fprintf(&b, "| %.1f | %s | %s | %s | %s |\n", s.Score, s.Band, output.MarkdownCode(s.Service), output.MarkdownText(s.Reach.What), best)
		}
	}
	b.WriteString("\nA low number is no proof: it is about what the policy grants, not about the program.\n")
	_, err := w.Write(output.CapMarkdown(b.Bytes()))
	return err
}

// scoreItems prints what is measured, or as JSON the weights.
func (a *app) scoreItems(w *score.Weights) error {
	return a.emit(forms{
		output.JSON: func(to io.Writer) error { return writeJSON(to, w) },
		output.Text: func(io.Writer) error {
			a.columns(func(to io.Writer) {
				fmt.Fprintf(to, "item\tweight\tdimension\twhat a value of 1 is\n")
				for i := range score.Items {
					it := &score.Items[i]
					fmt.Fprintf(to, "%s\t%g\t%s\t%s\n", it.ID, w.Weights[it.ID], it.Dimension, it.Doc)
				}
			})
			a.printf("\n%g points are a score of 5.0.\n", w.Half)
			return nil
		},
		output.SARIF: func(io.Writer) error { return errors.New("the items are no findings: write -o text, json or markdown") },
		output.Markdown: func(to io.Writer) error {
			var b bytes.Buffer
			b.WriteString("| item | weight | dimension | what a value of 1 is |\n|---|---|---|---|\n")
			for i := range score.Items {
				it := &score.Items[i]
				fmt.Fprintf(&b, "| %s | %g | %s | %s |\n", output.MarkdownCode(it.ID), w.Weights[it.ID], it.Dimension, output.MarkdownText(it.Doc))
			}
			_, err := to.Write(b.Bytes())
			return err
		},
	})
}

// itemChanged is what became of an item: where its words say the same of both, the measures tell them apart.
func itemChanged(it *score.ItemChange) string {
	if it.Is == it.Was {
		return fmt.Sprintf("%s: %s: %.2f, was %.2f", it.ID, it.Is, it.New, it.Old)
	}
	return fmt.Sprintf("%s: %s, was %s", it.ID, it.Is, it.Was)
}
