package lint

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"casemate/policy"
)

func path(list string, i int) string { return fmt.Sprintf("%s.%d", list, i) }

// hollow are words that people write where they have to write something.
var hollow = []string{"asdf", "because", "fixme", "foo", "n/a", "na", "needed", "none", "reason", "required", "tbd", "test", "todo", "xxx", "yes"}

// reasons looks at the because of a service or a profile.
func (l *linter) reasons(at, service, because string) {
	if because == "" {
		return
	}
	words := strings.TrimFunc(strings.ToLower(because), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len([]rune(words)) < 3 || slices.Contains(hollow, words) {
		l.add(codeNoReason, service, at+".because", "write what it is needed for, and by what", "because = %q is no reason", because)
	}
}

// sharedUsers looks for users that several services run as, where one keeps files: they belong to all of them.
func (l *linter) sharedUsers() {
	type group struct{ all, writers []string }
	users := map[policy.Account]*group{}
	var order []policy.Account
	for i := range l.policy.Services {
		s := l.service(&l.policy.Services[i])
		if s.Builtin != "" || s.Redirects() || s.User == policy.Dynamic || s.User == "" {
			continue
		}
		g := users[s.User]
		if g == nil {
			g = &group{}
			users[s.User] = g
			order = append(order, s.User)
		}
		g.all = append(g.all, s.Name)
		if len(s.profile.Files.Write) > 0 || s.profile.Files.State {
			g.writers = append(g.writers, s.Name)
		}
	}
	for _, user := range order {
		if g := users[user]; len(g.all) > 1 && len(g.writers) > 0 {
			first := g.writers[0]
			l.add(codeSharedUser, first, "services."+first+".user", `give each a user of its own, or user = "dynamic"`, "what service %q writes belongs to user %q, as whom %s", first, user, others(g.all, first))
		}
	}
}

// others are the services beside one, as the end of a sentence.
func others(all []string, but string) string {
	const most = 5
	var names []string
	for _, name := range all {
		if name != but {
			names = append(names, fmt.Sprintf("%q", name))
		}
	}
	verb := "run as well"
	if len(names) == 1 {
		verb = "runs as well"
	}
	if n := len(names); n > most {
		names = append(names[:most], fmt.Sprintf("%d others", n-most))
	}
	return strings.Join(names, ", ") + " " + verb
}

// unusedBlocks looks for blocks that nothing names. A policy without services is for others to use.
func (l *linter) unusedBlocks(locals []policy.Diagnostic) {
	p := l.policy
	if len(p.Services)+len(p.Disabled) == 0 {
		return
	}
	used := map[string]bool{}
	for _, list := range [][]policy.Service{p.Services, p.Disabled} {
		for i := range list {
			s := &list[i]
			used["acls."+s.ACL], used["limits."+s.Limit], used["profiles."+s.Profile] = true, true, true
		}
	}
	for i := range p.Profiles {
		for _, base := range p.Profiles[i].Base {
			used["profiles."+base] = true
		}
	}
	unused := func(kind, name string) {
		if at := kind + "s." + name; !used[at] {
			l.add(codeUnused, "", at, "remove it, or name it in a service", "%s %q is used by nothing", kind, name)
		}
	}
	for i := range p.ACLs {
		unused("acl", p.ACLs[i].Name)
	}
	for i := range p.Limits {
		unused("limit", p.Limits[i].Name)
	}
	for i := range p.Profiles {
		unused("profile", p.Profiles[i].Name)
	}
	for _, d := range locals {
		l.add(codeUnused, "", "", "remove it", "local %q is used by nothing", d.Summary)
		f := &l.found[len(l.found)-1]
		f.File, f.Line, f.Column, f.EndLine, f.EndColumn, f.Snippet = d.File, d.Line, d.Column, d.EndLine, d.EndColumn, d.Snippet
	}
}
