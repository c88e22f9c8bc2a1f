package lint

import (
	"fmt"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/reach"
)

// unreachable looks for rules that no client gets to. Behind a rule that everybody matches the compiler says so itself,
// and rules of a hosts.allow are not the author's.
func (l *linter) unreachable(list *acl.List) {
	everybody := func(r acl.Rule) bool {
		return slices.Contains(r.From, acl.Any) && len(r.Except)+len(r.To)+len(r.During) == 0
	}
	n := len(list.Rules)
	if i := slices.IndexFunc(list.Rules, everybody); i >= 0 {
		n = i + 1
	}
	if n < 2 {
		return
	}
	table, err := reach.New(list)
	if err != nil {
		return
	}
	parts, err := table.Parts(reach.Everybody())
	if err != nil {
		return // too many circumstances to try: nobody knows
	}
	left := mostShadows
	reached := map[int]bool{}
	for _, p := range parts {
		reached[p.Rule] = true
	}
	for i := range n {
		if at := fmt.Sprintf("acls.%s.rules.%d", list.Name, i); !reached[i] && !l.foreign(at) {
			l.shadowed(list, table, i, at, left > 0)
			left--
		}
	}
}

// foreign tells whether the value at a path is of a hosts.allow or a hosts.deny.
func (l *linter) foreign(at string) bool {
	file, _, _ := l.place(at)
	return strings.HasSuffix(file, "hosts.allow") || strings.HasSuffix(file, "hosts.deny")
}

// mostShadows is of how many rules of a list the ones before them are worked out.
const mostShadows = 20

// shadowed tells of rule i, and if asked which rules keep everybody from it.
func (l *linter) shadowed(list *acl.List, table *reach.Table, i int, at string, why bool) {
	if !why {
		l.add(codeUnreachable, "", at, "move it before those that decide about everybody whom it matches, or remove it", "no client gets to rule %d of acl %q", i+1, list.Name)
		return
	}
	shadow, err := table.Shadow(i)
	if err != nil || shadow == nil {
		return
	}
	if len(shadow.By) == 0 {
		l.add(codeUnreachable, "", at, "name clients in from that except leaves, or remove the rule", "no client gets to this rule: its except leaves nobody of its from")
		return
	}
	var by []string
	for _, k := range shadow.By {
		file, line, column := l.place(fmt.Sprintf("acls.%s.rules.%d", list.Name, k))
		name := fmt.Sprintf("%s:%d:%d", file, line, column)
		if r := list.Rules[k].Name; r != "" {
			name = fmt.Sprintf("%q at %s", r, name)
		}
		by = append(by, name)
	}
	what := "the rule " + by[0] + " decides"
	if len(by) > 1 {
		what = "the rules " + strings.Join(by, ", ") + " decide"
	}
	if shadow.Cut {
		what = "the rules " + strings.Join(by, ", ") + " and others decide"
	}
	l.add(codeUnreachable, "", at, "move it before them, or remove it; "+what+" about everybody whom it matches", "no client gets to rule %d of acl %q", i+1, list.Name)
}
