package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/control"
	"casemate/policy/lang"
	"casemate/policy/show"
	"casemate/sandbox/seccomp"

	"github.com/spf13/cobra"
)

// completing are the names under which shells ask what a word could become.
var completing = map[string]bool{cobra.ShellCompRequestCmd: true, cobra.ShellCompNoDescRequestCmd: true}

// completer gives the words that may stand in a place, and what each is.
type completer func() []cobra.Completion

// completions says what an argument or a flag can be where it is not a path, which shells
// complete by themselves.
func (a *app) completions(root *cobra.Command) {
	root.InitDefaultHelpCmd() // as Execute would
	none := completer(func() []cobra.Completion { return nil })
	for verb, places := range map[string]struct {
		first, others completer // arguments; nil is a path
	}{
		"status": {a.services, none}, "trace": {a.services, none}, "learn": {a.services, none},
		"explain": {a.services, nil}, "show": {a.blocks, a.blocks}, "score": {a.services, a.services},
		"why": {a.sessionIDs, none}, "kill": {a.sessionIDs, a.sessionIDs},
		"ban": {none, a.services}, "unban": {a.bannedNow, a.services}, "bans": {none, none}, "drain": {a.services, none}, "undrain": {a.drainedOnes, none},
		"profiles": {a.namedProfiles, a.namedProfiles}, "profiles diff": {a.namedProfiles, a.namedProfiles},
		"help": {pages(root), none}, "reload": {none, none}, "history": {none, none}, "rollback": {a.runs, none}, "version": {none, none},
		"explain-rule": {ruleCodes, ruleCodes},
	} {
		find(root, verb).ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			give := places.others
			switch {
			case verb == "explain" && (cmd.Flags().Changed("batch") || cmd.Flags().Changed("decision")):
				give = nil
			case cmd.Flags().Changed("groups"):
				give = func() []cobra.Completion { return slices.Concat(seccomp.Groups(), seccomp.Names()) }
			case cmd.Flags().Changed("matrix"):
				give = func() []cobra.Completion { return seccomp.Names() }
			case verb == "show" || verb == "score":
				give = a.behindNames(args, places.first)
			case len(args) == 0:
				give = places.first
			case verb == "explain" && len(args) == 1:
				give = none // its client
			}
			return complete(give)
		}
	}
	for _, f := range []struct {
		verb, flag string
		give       completer
	}{
		{"", "color", oneOf("auto", "always", "never")},
		{"", "control", nil},
		{"kill", "service", a.services},
		{"check", "fail-on", oneOf(codes.Severities...)},
		{"check", "rule", ruleCodes},
		{"why", "last", a.services},
		{"explain", "expect", oneOf("allow", "deny")}, {"explain", "decision", a.sessionIDs},
		{"reload", "if-digest", a.reviewed}, {"reload", "if-running", a.runningDigest}, {"rollback", "if-running", a.runningDigest},
		{"learn", "listen", oneOf("tcp", "tcp-wait", "udp-wait")},
	} {
		of := find(root, f.verb)
		err := of.RegisterFlagCompletionFunc(f.flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return complete(f.give)
		})
		if err != nil {
			panic(err) // the flag is gone from its verb
		}
	}
	for cmd, g := range a.gates {
		if err := cmd.RegisterFlagCompletionFunc("fail-on", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return complete(oneOf(g.words...))
		}); err != nil {
			panic(err) // the flag is gone from its verb
		}
	}
	if err := a.completeFormats(root); err != nil {
		panic(err)
	}
	a.byKind(root)
}

// completeFormats completes -o by the formats of the verb, and --output-into of each that has it.
func (a *app) completeFormats(root *cobra.Command) error {
	words := func(end string, more cobra.ShellCompDirective) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, word string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
			if strings.Contains(word, "=") {
				return nil, cobra.ShellCompDirectiveDefault
			}
			for _, f := range a.formatsOf(cmd) {
				out = append(out, string(f)+end)
			}
			return out, cobra.ShellCompDirectiveNoFileComp | more
		}
	}
	err := root.RegisterFlagCompletionFunc("output", words("", 0))
	for cmd := range a.written {
		err = errors.Join(err, cmd.RegisterFlagCompletionFunc("output-into", words("=", cobra.ShellCompDirectiveNoSpace)))
	}
	return err
}

// find is a verb of the tree, "" for its root.
func find(root *cobra.Command, verb string) *cobra.Command {
	if verb == "" {
		return root
	}
	c, _, err := root.Find(strings.Fields(verb))
	if err != nil {
		panic(err)
	}
	return c
}

func complete(give completer) ([]cobra.Completion, cobra.ShellCompDirective) {
	if give == nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return give(), cobra.ShellCompDirectiveNoFileComp
}

func oneOf(list ...string) completer {
	return func() []cobra.Completion { return list }
}

// services are those of the policy that the line names, or else of the running casemated if that answers who asks, or
// else of the policy at hand.
func (a *app) services() (out []cobra.Completion) {
	if st := a.running(); st != nil && len(a.named) == 0 {
		for _, s := range st.Services {
			out = append(out, cobra.CompletionWithDesc(s.Name, s.Profile))
		}
		return out
	}
	return servicesOf(a.atHand())
}

// behindNames is what may follow names of blocks and paths: a name as long as no path is there, and a path.
func (a *app) behindNames(args []string, names completer) completer {
	if _, paths := named(args); len(paths) > 0 {
		return nil
	}
	return names
}

// blocks are the services of the policy at its usual path, or of the running one, and the blocks of the former by kind and name.
func (a *app) blocks() (out []cobra.Completion) {
	out = a.services()
	doc := a.atHand()
	if doc == nil {
		return out
	}
	return append(out, show.Names(doc.Policy)...)
}

// servicesOf are the services of a policy, none of nil.
func servicesOf(doc *policy.Document) (out []cobra.Completion) {
	if doc == nil {
		return nil
	}
	for i := range doc.Policy.Services {
		s := &doc.Policy.Services[i]
		out = append(out, cobra.CompletionWithDesc(s.Name, s.Profile))
	}
	return out
}

// sessionIDs are the ids of the sessions there are.
func (a *app) sessionIDs() (out []cobra.Completion) {
	if st := a.running(); st != nil {
		for _, s := range st.Sessions {
			out = append(out, cobra.CompletionWithDesc(strconv.FormatUint(s.ID, 10), s.Service+" "+s.Client))
		}
	}
	return out
}

// running is the status of casemated, nil where it does not give it.
func (a *app) running() *control.Status {
	quiet := a.hushed()
	resp, err := quiet.ask(control.Request{Verb: control.VerbStatus})
	if err != nil {
		return nil
	}
	return resp.Status
}

// hushed is one that says nothing.
func (a *app) hushed() *app {
	quiet := *a
	quiet.out, quiet.err = &bytes.Buffer{}, io.Discard
	return &quiet
}

func shippedProfiles() (out []cobra.Completion) {
	for _, p := range lang.ShippedProfiles() {
		out = append(out, p.Name)
	}
	return out
}

// pages are the verbs and topics.
func pages(root *cobra.Command) completer {
	return func() (out []cobra.Completion) {
		for _, c := range root.Commands() {
			if !c.Hidden && c.Name() != completionVerb {
				out = append(out, cobra.CompletionWithDesc(c.Name(), c.Short))
			}
		}
		return out
	}
}

// completionVerb prints the shells' scripts; make install asks it.
const completionVerb = "completion"
