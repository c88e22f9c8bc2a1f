package learn

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// Tight is a profile without what sessions never used of another, the one in force.
type Tight struct {
	Profile sandbox.Profile
	Rules   []seccomp.Rule // what its filter allows, normalized
	Gone    []Need         // what it has no more: see unused and AttrDeny
	needs   *Needs
	said    map[string]*Need // the evidence of its values, by their path below the profile ("files.read.0")
}

// Tighten takes from a profile what no session used: paths, mounts, ports, capabilities, whole
// entries of syscalls.allow where nothing of them is missed, and groups of what is left, by
// syscalls.deny. resolve turns the words of a profile into rules.
func Tighten(p *sandbox.Profile, rules []seccomp.Rule, sessions []*Session, h Host, resolve func(*sandbox.Syscalls) ([]seccomp.Rule, error)) (*Tight, error) {
	t := &Tight{Profile: *p, said: map[string]*Need{}, needs: usedOf(p, rules, sessions, h)}
	t.Gone = unused(p, t.needs, h)
	for i := range t.Gone {
		t.take(&t.Gone[i])
	}
	if err := t.calls(rules, resolve); err != nil {
		return nil, err
	}
	t.evidence(h)
	return t, nil
}

// take leaves one value out.
func (t *Tight) take(n *Need) {
	p := &t.Profile
	f := &p.Files
	drop := func(list *[]string, value string) {
		*list = slices.DeleteFunc(slices.Clone(*list), func(s string) bool { return s == value })
	}
	port := func(list *[]uint16) {
		*list = slices.DeleteFunc(slices.Clone(*list), func(at uint16) bool { return strconv.Itoa(int(at)) == n.Value })
	}
	switch n.Attr {
	case AttrCapability:
		drop(&p.Capabilities, n.Value)
	case AttrConnect:
		port(&p.Network.Connect)
	case AttrBind:
		port(&p.Network.Bind)
	case AttrMode:
		p.Network = sandbox.Network{Mode: sandbox.NetworkMode(n.Value)}
	case AttrRead:
		if slices.Contains(f.Write, n.Value) { // it was only read
			drop(&f.Write, n.Value)
			f.Read = slices.Sorted(slices.Values(append(slices.Clone(f.Read), n.Value)))
			return
		}
		drop(&f.Read, n.Value)
	case AttrExec:
		drop(&f.Exec, n.Value)
	case AttrWrite:
		if drop(&f.Write, n.Value); slices.Contains(f.Read, n.Value) {
			return
		}
	case AttrDev:
		drop(&f.Dev, n.Value)
	case AttrTmp:
		f.Tmp = 0
	case AttrShm:
		f.Shm = 0
	case AttrProc:
		f.Proc, f.HostProc = false, false
	case AttrPty:
		f.Pty = false
	case AttrState:
		f.State = false
	case AttrLog:
		f.Log = false
		drop(&p.BestEffort, "files.log")
	case AttrInit:
		p.Init = false
	}
	if strings.HasPrefix(n.Value, "/") && !shows(f, n.Value) {
		drop(&f.Optional, n.Value)
	}
}

// shows tells whether one of the lists has a path.
func shows(f *sandbox.Files, p string) bool {
	for _, list := range f.Paths {
		if slices.Contains(list, p) {
			return true
		}
	}
	return false
}

// calls takes from the system calls what nobody made.
func (t *Tight) calls(before []seccomp.Rule, resolve func(*sandbox.Syscalls) ([]seccomp.Rule, error)) error {
	s := &t.Profile.Syscalls
	keep := t.missed(before)
	does := func(less *sandbox.Syscalls) ([]seccomp.Rule, bool) {
		rules, err := resolve(less)
		return rules, err == nil && !slices.ContainsFunc(keep, func(r seccomp.Rule) bool { return !seccomp.Cover(rules, r) })
	}
	entries := slices.Clone(s.Allow) // those that bring most are tried first
	slices.SortStableFunc(entries, func(a, b string) int { return cmp.Compare(brings(b), brings(a)) })
	for _, entry := range entries {
		if slices.Contains(floor, entry) {
			continue
		}
		less := *s
		less.Allow = slices.DeleteFunc(slices.Clone(s.Allow), func(e string) bool { return e == entry })
		if _, ok := does(&less); ok {
			*s = less
			t.Gone = append(t.Gone, Need{Attr: AttrAllow, Value: entry})
		}
	}
	for i := len(s.ByArgument) - 1; i >= 0; i-- {
		less := *s
		less.ByArgument = slices.Delete(slices.Clone(s.ByArgument), i, i+1)
		if _, ok := does(&less); ok {
			t.Gone = append(t.Gone, Need{Attr: AttrRule, Value: s.ByArgument[i].Name, Rule: s.ByArgument[i]})
			*s = less
		}
	}
	rules, err := resolve(s)
	if err != nil {
		return fmt.Errorf("tighten profile %q: %w", t.Profile.Name, err)
	}
	for _, n := range deniable(&t.Profile, rules, t.needs) {
		less := *s
		less.Deny = slices.Sorted(slices.Values(append(slices.Clone(s.Deny), n.Value)))
		if _, ok := does(&less); ok {
			*s = less
			t.Gone = append(t.Gone, n)
		}
	}
	t.Rules, err = resolve(s)
	return err
}

// floor are the lists that every program of their kind has: what it calls of them at a rare moment
// is not seen. Groups of it can be denied, but for vital.
var floor = []string{"@strict", "@line"}

// brings is how many rules an entry of syscalls.allow has.
func brings(entry string) int {
	rules, err := seccomp.Resolve([]string{entry}, nil)
	if err != nil {
		return 0
	}
	return len(rules)
}

// missed are the rules that the profile before has and one without must have as well: of the
// calls that were made, of their siblings, of what no proposal takes away, and of what the rest of the profile brings.
func (t *Tight) missed(before []seccomp.Rule) []seccomp.Rule {
	var out []seccomp.Rule
	add := func(list ...seccomp.Rule) {
		for _, r := range list {
			if seccomp.Cover(before, r) {
				out = append(out, r)
			}
		}
	}
	for _, c := range t.needs.Calls {
		add(c.Rule)
		siblings := Siblings(c.Rule.Name)
		for _, r := range seccomp.GroupRules(Group(c.Rule)) {
			if slices.Contains(siblings, r.Name) {
				add(r)
			}
		}
	}
	for _, g := range vital {
		add(seccomp.GroupRules(g)...)
	}
	var entries []string
	for attr, ports := range map[string][]uint16{AttrConnect: t.Profile.Network.Connect, AttrBind: t.Profile.Network.Bind} {
		if len(ports) > 0 {
			entries = append(entries, brought[attr]...)
		}
	}
	if rules, err := seccomp.Resolve(entries, nil); err == nil {
		add(rules...)
	}
	return out
}

// evidence finds why each value stays.
func (t *Tight) evidence(h Host) {
	p := &t.Profile
	f := &p.Files
	for _, list := range trees(f) {
		for i, dir := range list.paths {
			t.because(fmt.Sprintf("%s.%d", list.attr, i), liesIn(dir, h, list.by))
		}
	}
	for i, name := range f.Dev {
		t.because(fmt.Sprintf("%s.%d", AttrDev, i), func(o *Need) bool { return o.Attr == AttrDev && o.Value == name })
	}
	for _, attr := range []string{AttrTmp, AttrShm, AttrProc, AttrPty, AttrState, AttrLog, AttrInit} {
		t.because(attr, func(o *Need) bool { return o.Attr == attr })
	}
	for _, attr := range []string{AttrConnect, AttrBind} {
		t.because(attr+".0", func(o *Need) bool { return o.Attr == attr })
	}
	t.because(AttrMode, func(o *Need) bool { return slices.Contains([]string{AttrSockets, AttrConnect, AttrBind}, o.Attr) })
	for i, name := range p.Capabilities {
		t.becauseCalls(fmt.Sprintf("%s.%d", AttrCapability, i), func(c *CallNeed) bool { return advise.Capability(c.Rule.Name) == name })
	}
	for i, entry := range p.Syscalls.Allow {
		rules, _ := seccomp.Resolve([]string{entry}, nil) // of a profile in force
		t.becauseCalls(fmt.Sprintf("%s.%d", AttrAllow, i), func(c *CallNeed) bool { return seccomp.Cover(rules, c.Rule) })
	}
	for i, r := range p.Syscalls.ByArgument {
		t.becauseCalls(fmt.Sprintf("syscalls.rules.%d", i), func(c *CallNeed) bool { return c.Rule.Name == r.Name })
	}
}

// because gathers the evidence of a value from the needs that it is there for.
func (t *Tight) because(path string, of func(*Need) bool) {
	for i := range t.needs.Other {
		if o := &t.needs.Other[i]; of(o) && o.Count > 0 {
			t.had(path).merge(o.Evidence)
		}
	}
}

// becauseCalls is because for calls.
func (t *Tight) becauseCalls(path string, of func(*CallNeed) bool) {
	for i := range t.needs.Calls {
		if c := &t.needs.Calls[i]; of(c) {
			t.had(path).merge(c.Evidence)
		}
	}
}

func (t *Tight) had(path string) *Need {
	if t.said[path] == nil {
		t.said[path] = new(Need)
	}
	return t.said[path]
}

// Evidence is why a value of the profile is there, by its path below it ("files.read.0");
// nil where no session gives one: its base has it, or no proposal takes it away.
func (t *Tight) Evidence(path string) *Need { return t.said[path] }

// Lacks are the lines that a profile would need beside, for sessions that were followed under
// another: "counting denials", for what nobody can send again.
func Lacks(p *sandbox.Profile, rules []seccomp.Rule, n *Needs, h Host) []Need {
	return lines(n, &Base{Profile: p, Rules: rules}, h)
}
