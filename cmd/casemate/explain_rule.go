package main

import (
	"bytes"
	"fmt"
	"text/tabwriter"

	"casemate/policy/codes"

	"github.com/spf13/cobra"
)

func (a *app) explainRuleCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "explain-rule [CODE...]",
		Short: "Print what a code of a finding is about, with examples",
		Long: `explain-rule prints of each code why what it finds matters, a policy in which it is
found and one in which it is not. Without a code it lists all of them: what check, and
casemated as it loads a policy, may find.`,
		Example: `  casemate explain-rule
  casemate explain-rule CM504
  casemate explain-rule CM504 -o json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.explainRules(args) },
	}
}

// ruleReport is the JSON of one code.
type ruleReport struct {
	codes.Rule
	Why  string       `json:"why"`
	Bad  []codes.File `json:"bad,omitempty"`
	Good []codes.File `json:"good,omitempty"`
}

// explainRules prints the pages of codes, or lists all.
func (a *app) explainRules(names []string) error {
	rules := codes.All()
	if len(names) > 0 {
		rules = nil
	}
	for _, name := range names {
		r, err := codes.Find(name)
		if err != nil {
			return err
		}
		rules = append(rules, r)
	}
	if a.json() {
		out := make([]ruleReport, len(rules))
		for i, r := range rules {
			p := r.Page()
			out[i] = ruleReport{r, p.Why, p.Bad, p.Good}
		}
		return a.printJSON(struct {
			FormatVersion int          `json:"format_version"`
			Rules         []ruleReport `json:"rules"`
		}{1, out})
	}
	if len(names) == 0 {
		var b bytes.Buffer
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		for _, r := range rules {
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Code, r.Severity, r.Sentence)
		}
		a.flush(w, &b)
		return nil
	}
	for i, r := range rules {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s", r.Text())
	}
	return nil
}

// ruleCodes completes them.
func ruleCodes() (out []cobra.Completion) {
	for _, r := range codes.All() {
		out = append(out, cobra.CompletionWithDesc(r.Code, r.Sentence))
	}
	return out
}
