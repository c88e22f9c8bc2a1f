package main

import (
	"strings"

	"casemate/cmd/casemate/commit"
	"casemate/policy"

	"github.com/spf13/cobra"
)

// atRevision is the annotation of a verb that takes git:REV:PATH for the path of a policy.
const atRevision = "at-revision"

// fetched is what git had for an argument.
type fetched struct {
	files []policy.SourceFile
	err   error
}

// revisions says of a verb that it takes git:REV:PATH: git runs before the verb confines itself, and nothing of what it
// gives has been parsed by then.
func (a *app) revisions(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[atRevision] = "yes"
}

// fetch asks git for those of a verb's arguments that name a commit.
func (a *app) fetch(cmd *cobra.Command, args []string) {
	if cmd.Annotations[atRevision] == "" {
		return
	}
	a.fetched = map[string]fetched{}
	for _, arg := range args {
		if strings.HasPrefix(arg, commit.Prefix) {
			files, err := commit.Read(cmd.Context(), arg)
			a.fetched[arg] = fetched{files, err}
		}
	}
}
