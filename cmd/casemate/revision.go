package main

import (
	"cmp"
	"slices"
	"strings"

	"casemate/cmd/casemate/commit"
	"casemate/policy"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// atRevision is the annotation of a verb that takes git:REV:PATH for the path of a policy; withTests is its value where
// the tests are read as well.
const (
	atRevision = "at-revision"
	withTests  = "tests"
)

// fetched is what git had for an argument.
type fetched struct {
	files []policy.SourceFile
	err   error
}

// revisions says of a verb that it takes git:REV:PATH: git runs before the verb confines itself, and nothing of what it
// gives has been parsed by then. what is "" or withTests.
func (a *app) revisions(cmd *cobra.Command, what string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[atRevision] = cmp.Or(what, "policy")
}

// policyFlags are the flags whose values are policies, of verbs that have them.
var policyFlags = []string{"against", "policy", "new"}

// policyArgs are a verb's arguments, with the values of its policyFlags.
func policyArgs(cmd *cobra.Command, args []string) []string {
	return slices.Concat(args, flagWords(cmd, policyFlags...))
}

// flagWords are the values of those of the flags that a verb has.
func flagWords(cmd *cobra.Command, names ...string) (out []string) {
	for _, name := range names {
		switch f := cmd.Flags().Lookup(name); {
		case f == nil:
		case f.Value.Type() == "string":
			out = append(out, f.Value.String())
		default:
			if list, ok := f.Value.(pflag.SliceValue); ok {
				out = append(out, list.GetSlice()...)
			}
		}
	}
	return out
}

// fetch asks git for those of a verb's policies that name a commit.
func (a *app) fetch(cmd *cobra.Command, args []string) {
	what := cmd.Annotations[atRevision]
	if what == "" {
		return
	}
	a.fetched = map[string]fetched{}
	for _, arg := range policyArgs(cmd, args) {
		if strings.HasPrefix(arg, commit.Prefix) {
			files, err := commit.Read(cmd.Context(), arg, what == withTests)
			a.fetched[arg] = fetched{files, err}
		}
	}
}

// onDisk are those of the words for policies that are paths: not standard input, what a commit has or what casemated runs.
func onDisk(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool {
		return w == "" || w == "-" || w == running || strings.HasPrefix(w, commit.Prefix)
	})
}
