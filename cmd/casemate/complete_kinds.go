package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/input"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// byKind completes what nothing else says how to: an argument by the word that stands for it in its verb's Use, as
// SERVICE or [PATH...], and a flag by its value's name or its own. A verb has its words so without a line here.
func (a *app) byKind(root *cobra.Command) {
	kinds := a.kinds(root)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if slots := slotsOf(c.Use); c.Runnable() && c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && len(slots) > 0 {
			c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return kinds.complete(slotAt(slots, len(args)))
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name, _ := pflag.UnquoteUsage(f)
			kind := strings.ToUpper(name)
			if _, known := kinds[kind]; !known {
				kind = strings.ToUpper(f.Name)
			}
			if _, there := c.GetFlagCompletionFunc(f.Name); there || f.Value.Type() == "bool" || kinds[kind] == nil {
				return
			}
			err := c.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return kinds.complete([]string{kind})
			})
			if err != nil {
				panic(err) // it was just seen there
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// kinds are the words of Use and of flags, and what each can become; nil is nothing that can be known.
type kinds map[string]completer

// complete gives the words of all kinds that may stand in one place.
func (k kinds) complete(words []string) (out []cobra.Completion, more cobra.ShellCompDirective) {
	more = cobra.ShellCompDirectiveNoFileComp
	for _, w := range words {
		give, known := k[w]
		switch {
		case give != nil:
			out = append(out, give()...)
		case !known && strings.ToLower(w) == w: // a word that is written as it stands
			out = append(out, w)
		case !known || paths[w]:
			more = cobra.ShellCompDirectiveDefault
		}
	}
	return out, more
}

// paths are the kinds that shells complete by themselves.
var paths = map[string]bool{"PATH": true, "FILE": true, "DIR": true, "OLD": true, "NEW": true, "ALLOW": true, "DENY": true, "UNIT": true}

func (a *app) kinds(root *cobra.Command) kinds {
	k := kinds{
		"SERVICE": a.services, "ID": a.sessionIDs, "VERB": pages(root), "PAGE": manualPages(root), "PROFILE": a.profileWords, "DIGEST": a.digests,
		"ACL": a.ofPolicy(aclNames), "LIMIT": a.ofPolicy(limitNames), "RULE": a.ofPolicy(ruleNames), "CLIENT": nil, "ADDRESS": nil, "CMD": nil, "N": nil, "PERCENT": nil,
	}
	for w := range paths {
		k[w] = nil
	}
	return k
}

// slot is a place of a verb's arguments: the kinds that may stand there.
type slot struct {
	words    []string
	repeated bool
}

var placeholder = regexp.MustCompile(`^\[?([A-Za-z|-]+?)(\.\.\.)?(\|-)?\]?$`)

// slotsOf takes a Use apart. What begins with a flag is another way to call the verb.
func slotsOf(use string) (out []slot) {
	use, _, _ = strings.Cut(use, " | ")
	words := strings.Fields(use)
	for _, w := range words[min(1, len(words)):] {
		if strings.HasPrefix(strings.Trim(w, "["), "-") {
			break
		}
		if m := placeholder.FindStringSubmatch(w); m != nil {
			out = append(out, slot{strings.Split(m[1], "|"), m[2] != ""})
		}
	}
	return out
}

// slotAt are the kinds of argument n: behind one that is repeated, those of the next ones as well.
func slotAt(slots []slot, n int) (words []string) {
	for i, s := range slots {
		if s.repeated || i == n {
			words = append(words, s.words...)
			if !s.repeated {
				return words
			}
		} else if i > n {
			break
		}
	}
	return words
}

// hand notes which of the words of a line that is being completed are paths of policies, and returns what may be read.
func (a *app) hand(words []string) []string {
	for _, w := range words {
		info, err := os.Stat(w)
		if err == nil && (info.IsDir() || input.IsDocument(w) || input.IsTable(w) || strings.HasSuffix(w, input.SourceSuffix)) {
			a.named = append(a.named, w)
		}
	}
	return append(slices.Clone(a.named), policyPath, ".")
}

// atHand is the policy that a line is about: what it names, or else the one at the usual path, or else that of the
// working directory. nil is none that is valid.
func (a *app) atHand() *policy.Document {
	tries := [][]string{{policyPath}, {"."}}
	if len(a.named) > 0 {
		tries = [][]string{a.named}
	}
	for _, paths := range tries {
		if doc, _, _ := a.load(paths); doc != nil {
			return doc
		}
	}
	return nil
}

func (a *app) ofPolicy(names func(*policy.Policy) []string) completer {
	return func() []cobra.Completion {
		doc := a.atHand()
		if doc == nil {
			return nil
		}
		return names(doc.Policy)
	}
}

func aclNames(p *policy.Policy) (out []string) {
	for i := range p.ACLs {
		out = append(out, p.ACLs[i].Name)
	}
	return out
}

func limitNames(p *policy.Policy) (out []string) {
	for i := range p.Limits {
		out = append(out, p.Limits[i].Name)
	}
	return out
}

func profileNames(p *policy.Policy) (out []string) {
	for i := range p.Profiles {
		out = append(out, p.Profiles[i].Name)
	}
	return out
}

// ruleNames are the named rules, as acl.NAME.RULE.
func ruleNames(p *policy.Policy) (out []string) {
	for i := range p.ACLs {
		for k := range p.ACLs[i].Rules {
			if name := p.ACLs[i].Rules[k].Name; name != "" {
				out = append(out, "acl."+p.ACLs[i].Name+"."+name)
			}
		}
	}
	return out
}

// profileWords are the shipped ones and, before them, those of the policy at hand.
func (a *app) profileWords() (out []cobra.Completion) {
	shipped := shippedProfiles()
	for _, name := range a.ofPolicy(profileNames)() {
		if !slices.Contains(shipped, name) {
			out = append(out, name)
		}
	}
	return append(out, shipped...)
}

// namedProfiles are the shipped ones, and those of a policy that the line names.
func (a *app) namedProfiles() []cobra.Completion {
	if len(a.named) == 0 {
		return shippedProfiles()
	}
	return a.profileWords()
}

// digests are those of the policy at hand, and of the ones that casemated runs.
func (a *app) digests() (out []cobra.Completion) {
	add := func(digest, about string) {
		if digest != "" && !slices.ContainsFunc(out, func(c cobra.Completion) bool { return strings.HasPrefix(c, digest) }) {
			out = append(out, cobra.CompletionWithDesc(digest, about))
		}
	}
	if doc := a.atHand(); doc != nil {
		add(doc.Digest, "of these files")
	}
	if st := a.running(); st != nil {
		add(st.Digest, "in force")
		for _, s := range st.Sessions {
			add(s.Digest, "of a session")
		}
	}
	return out
}

// manualPages are the names that help --man takes.
func manualPages(root *cobra.Command) completer {
	return func() (out []cobra.Completion) {
		for _, p := range manuals(root) {
			out = append(out, p.File())
		}
		return append(out, "list")
	}
}
