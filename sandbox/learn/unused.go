package learn

import (
	"slices"
	"strconv"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// AttrDeny is a group of calls that a profile may deny.
const AttrDeny = "syscalls.deny"

// usedOf is what sessions needed of a profile, the programs too that no call of theirs names.
func usedOf(p *sandbox.Profile, rules []seccomp.Rule, sessions []*Session, h Host) *Needs {
	n := Find(sessions, &Confines{Profile: p, Rules: rules}, h, Extras{Mode: p.Network.Mode})
	for _, file := range loaded(sessions, h) {
		n.Other = append(n.Other, Need{Attr: AttrExec, Value: file})
	}
	return n
}

// tree is a list of paths that a profile shows, and which needs they are there for.
type tree struct {
	attr  string
	paths []string
	by    []string
}

func trees(f *sandbox.Files) []tree {
	return []tree{{AttrRead, f.Read, []string{AttrRead, AttrExec, AttrWrite}}, {AttrExec, f.Exec, []string{AttrRead, AttrExec}}, {AttrWrite, f.Write, []string{AttrRead, AttrWrite}}}
}

// unused gives what a profile grants and nothing was needed for (usedOf), as the attributes that
// would grant less: a value to leave out, "none" of the network or of a mount. Of a path
// to write that was only read it gives the path to read. What it has of calls, deniable tells.
func unused(p *sandbox.Profile, n *Needs, h Host) []Need {
	used := func(attrs ...string) bool {
		return slices.ContainsFunc(n.Other, func(o Need) bool { return slices.Contains(attrs, o.Attr) })
	}
	var out []Need
	put := func(attr, value string, unused bool) {
		if unused {
			out = append(out, Need{Attr: attr, Value: value})
		}
	}
	for _, c := range p.Capabilities {
		put(AttrCapability, c, !calls(n, c))
	}
	f := &p.Files
	for _, list := range trees(f) {
		for _, dir := range list.paths {
			put(list.attr, dir, !below(n, dir, h, list.by...))
		}
	}
	for _, dir := range f.Write {
		put(AttrRead, dir, below(n, dir, h, AttrRead) && !below(n, dir, h, AttrWrite))
	}
	for _, name := range f.Dev { // null every profile has
		put(AttrDev, name, name != "null" && !slices.ContainsFunc(n.Other, func(o Need) bool { return o.Attr == AttrDev && o.Value == name }))
	}
	put(AttrTmp, "none", f.Tmp > 0 && !used(AttrTmp))
	put(AttrShm, "none", f.Shm > 0 && !used(AttrShm))
	put(AttrProc, "false", f.Proc && !used(AttrProc))
	put(AttrPty, "false", f.Pty && !used(AttrPty))
	put(AttrState, "false", f.State && !used(AttrState))
	put(AttrLog, "false", f.Log && !used(AttrLog))
	put(AttrInit, "false", p.Init && !used(AttrInit))
	put(AttrMode, "none", p.Network.Mode == sandbox.NetworkHost && !used(AttrSockets, AttrConnect, AttrBind) || p.Network.Mode == sandbox.NetworkPrivate && !n.inside())
	for attr, ports := range map[string][]uint16{AttrConnect: p.Network.Connect, AttrBind: p.Network.Bind} {
		for _, port := range ports {
			word := strconv.Itoa(int(port))
			put(attr, word, port > 0 && !slices.ContainsFunc(n.Other, func(o Need) bool { return o.Attr == attr && (o.Value == word || o.Value == AnyPort) }))
		}
	}
	return out
}

// loaded are the programs of sessions with what the kernel maps for them: no call of a
// session names its first program, and none a loader.
func loaded(sessions []*Session, h Host) []string {
	var out []string
	add := func(program string) {
		if strings.HasPrefix(program, "/") && !slices.Contains(out, program) {
			out = append(append(out, program), h.Loads(program)...)
		}
	}
	for _, s := range sessions {
		add(s.Program)
		for _, e := range s.Ends {
			add(e.Program)
		}
		for i := range s.Facts {
			if f := &s.Facts[i]; !f.Failed() && (f.Call == "execve" || f.Call == "execveat") {
				add(f.Host(f.Path))
			}
			add(s.Facts[i].Program)
		}
	}
	return out
}

// calls tells whether a call was made for which the capability is needed.
func calls(n *Needs, capability string) bool {
	return slices.ContainsFunc(n.Calls, func(c CallNeed) bool { return advise.Capability(c.Rule.Name) == capability }) ||
		capability == "CAP_DAC_OVERRIDE" // any call with a path may need it
}

// below tells whether a path of some attributes that was used lies in dir.
func below(n *Needs, dir string, h Host, attrs ...string) bool {
	in := liesIn(dir, h, attrs)
	return slices.ContainsFunc(n.Other, func(o Need) bool { return in(&o) })
}

// liesIn tells of a need whether it is of a path of some attributes that lies in dir.
func liesIn(dir string, h Host, attrs []string) func(*Need) bool {
	real := h.Real(dir)
	return func(o *Need) bool {
		return slices.Contains(attrs, o.Attr) && strings.HasPrefix(o.Value, "/") && (under(o.Value, dir) || under(h.Real(o.Value), real) || under(real, h.Real(o.Value)))
	}
}

// deniable are the groups that a profile allows as a whole, of which no call was made, and
// which can be denied without taking what others share with them.
func deniable(p *sandbox.Profile, rules []seccomp.Rule, n *Needs) []Need {
	var out []Need
	deny := slices.Clone(p.Syscalls.Deny)
	for _, g := range Leaves() {
		of := seccomp.GroupRules(g)
		if slices.ContainsFunc(of, func(r seccomp.Rule) bool { return !seccomp.Cover(rules, r) }) || slices.Contains(vital, g) {
			continue
		}
		left, err := seccomp.Resolve(p.Syscalls.Allow, append(deny, g))
		if err != nil || slices.ContainsFunc(n.Calls, func(c CallNeed) bool { return seccomp.Cover(rules, c.Rule) && !seccomp.Cover(left, c.Rule) }) {
			continue
		}
		deny = append(deny, g)
		out = append(out, Need{Attr: AttrDeny, Value: g})
	}
	return out
}

// vital are groups that no proposal takes away: a program's way to end, and what it does when
// something goes wrong, are not seen when all goes well.
var vital = []string{"@process-basic", "@memory", "@loader", "@signal", "@time", "@stdio", "@identity"}
