package learn

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
)

// Base is a profile to stand on, with what its filter allows.
type Base struct {
	Profile *sandbox.Profile
	Rules   []seccomp.Rule // normalized
	Rank    int            // the lower, the narrower: those of one rank do not stand on each other
}

// Stands tells whether a learnt profile may stand on p: not where it shows as a whole what
// none is given so, nor where it writes, as the profiles of single daemons do.
func Stands(p *sandbox.Profile) bool {
	if len(p.Files.Write) > 0 || p.Files.State {
		return false
	}
	for _, list := range p.Files.Paths {
		if slices.ContainsFunc(list, func(dir string) bool { return never[dir] != "" }) {
			return false
		}
	}
	return true
}

// Draft is a learnt profile: a base and what it needs beyond that.
type Draft struct {
	Base  *Base
	Lines []Need
	// Narrower is what went wrong in a replay on the next narrower base, "" where there was none.
	Narrower string
	needs    *Needs
}

// Drafts gives one draft for each base, that on the narrowest first, and of several on bases of
// one rank that with the fewest lines to add.
func Drafts(n *Needs, bases []Base, h Host) []Draft {
	var out []Draft
	for i := range bases {
		out = append(out, Draft{Base: &bases[i], Lines: lines(n, &bases[i], h), needs: n})
	}
	slices.SortStableFunc(out, func(a, b Draft) int {
		return cmp.Or(cmp.Compare(a.Base.Rank, b.Base.Rank), cmp.Compare(len(a.Lines), len(b.Lines)))
	})
	return out
}

// Without is the draft without one of its lines, and without the calls that this line alone has: no other
// line is drawn from them any more (besides).
func (d *Draft) Without(i int) *Draft {
	less := &Draft{Base: d.Base, Lines: slices.Delete(slices.Clone(d.Lines), i, i+1), needs: d.needs}
	if line := &d.Lines[i]; d.needs != nil && (line.Attr == AttrAllow || line.Attr == AttrRule) {
		rules := rulesOf(line)
		less.needs = &Needs{Other: d.needs.Other, Never: d.needs.Never, Calls: slices.DeleteFunc(slices.Clone(d.needs.Calls), func(c CallNeed) bool {
			return seccomp.Cover(rules, c.Rule)
		})}
	}
	return less
}

// Less are the drafts that grant less by one line: without it, with its path to be read in place
// of more, or without sockets and with the calls that came along. The first that does is the one to take.
func (d *Draft) Less(i int) []*Draft {
	out := []*Draft{d.Without(i)}
	switch n := d.Lines[i]; n.Attr {
	case AttrWrite, AttrExec:
		less := &Draft{Base: d.Base, Lines: slices.Clone(d.Lines), needs: d.needs}
		less.Lines[i].Attr = AttrRead
		less.Lines[i].Without = ""
		out = append(out, less)
	case AttrSockets:
		if more := d.besides(i); len(more) > 0 {
			out = append(out, &Draft{Base: d.Base, Lines: slices.Concat(d.Lines[:i], more[:1], d.Lines[i+1:], more[1:]), needs: d.needs})
		}
	}
	return out
}

// besides are the lines of single calls in place of one for sockets, but for those that make
// and connect them: socketpair(2) comes with the calls for unix sockets.
func (d *Draft) besides(i int) []Need {
	if d.needs == nil {
		return nil
	}
	rest := &Needs{Calls: slices.DeleteFunc(slices.Clone(d.needs.Calls), func(c CallNeed) bool { return c.Rule.Name == "socket" || c.Rule.Name == "connect" })}
	without := d.Without(i)
	return slices.DeleteFunc(callLines(rest, d.Base, d.Lines[:i:i]), func(n Need) bool { return strings.HasPrefix(n.Value, "@") || without.Has(&n) })
}

// Beyond are the lines of a draft that another on the same base does not have, whatever it
// has in their place.
func (d *Draft) Beyond(o *Draft) []Need {
	var out []Need
	for _, n := range d.Lines {
		if !o.Has(&n) {
			out = append(out, n)
		}
	}
	return out
}

// Has tells whether one of the lines grants what another one does.
func (d *Draft) Has(o *Need) bool {
	return slices.ContainsFunc(d.Lines, func(have Need) bool { return have.has(o) })
}

// has tells whether one line grants what another does.
func (n *Need) has(o *Need) bool {
	wider := map[string][]string{AttrRead: {AttrRead, AttrExec, AttrWrite}}[o.Attr]
	switch {
	case strings.HasPrefix(o.Value, "/"):
		return (n.Attr == o.Attr || slices.Contains(wider, n.Attr)) && under(o.Value, n.Value)
	case o.Attr == AttrAllow || o.Attr == AttrRule:
		rules := rulesOf(n)
		return (n.Attr == AttrAllow || n.Attr == AttrRule) && !slices.ContainsFunc(rulesOf(o), func(r seccomp.Rule) bool { return !seccomp.Cover(rules, r) })
	}
	return n.Attr == o.Attr && (n.Value == o.Value || n.Value == AnyPort)
}

// lines are the needs that a base does not have.
func lines(n *Needs, b *Base, h Host) []Need {
	var out []Need
	for _, need := range n.Other {
		if !b.has(&need, h) {
			out = append(out, need)
		}
	}
	of := callLines(n, b, out)
	if mode := reached(n, b, out, of); mode != nil {
		out = append(out, *mode)
		of = callLines(n, b, out)
	}
	return append(out, of...)
}

// reached is the line for the network mode that calls take which neither the base nor lines have: a
// message with a descriptor (@fd-passing) could have an address too. nil is none.
func reached(n *Needs, b *Base, lists ...[]Need) *Need {
	if b.Profile.Network.Mode != sandbox.NetworkNone {
		return nil
	}
	allowed := slices.Clone(b.Rules)
	for _, line := range slices.Concat(lists...) {
		switch line.Attr {
		case AttrMode:
			return nil
		case AttrAllow, AttrRule:
			allowed = append(allowed, rulesOf(&line)...)
		default:
			allowed = append(allowed, bringsAlong(&line, b.Profile.Network.Mode)...)
		}
	}
	allowed, _ = seccomp.Normalize(allowed) // each part of it was already
	mode := &Need{Attr: AttrMode, Value: string(sandbox.NetworkListener)}
	for i := range n.Calls {
		if c := &n.Calls[i]; !seccomp.Cover(allowed, c.Rule) {
			if g, _ := bestGroup([]CallNeed{*c}, sandbox.NetworkListener); g != "" {
				mode.merge(c.Evidence)
			}
		}
	}
	if mode.Count == 0 {
		return nil
	}
	return mode
}

// bringsAlong are the rules that a line of the network brings in a mode.
func bringsAlong(line *Need, mode sandbox.NetworkMode) []seccomp.Rule {
	entries := brought[line.Attr]
	if line.Attr == AttrSockets {
		entries = []string{SocketGroups[line.Value], "connect"}
		if mode == sandbox.NetworkPrivate {
			entries = append(entries, brought[AttrBind]...)
		}
	}
	rules, err := seccomp.Resolve(entries, nil)
	if err != nil {
		return nil
	}
	return rules
}

// has tells whether a base grants what a need is for.
func (b *Base) has(n *Need, h Host) bool {
	f := &b.Profile.Files
	switch n.Attr {
	case AttrInit:
		return b.Profile.Init
	case AttrCapability:
		return slices.Contains(b.Profile.Capabilities, n.Value)
	case AttrMode:
		return string(b.Profile.Network.Mode) == n.Value
	case AttrConnect:
		return reaches(b.Profile.Network.Connect, n.Value)
	case AttrBind:
		return reaches(b.Profile.Network.Bind, n.Value)
	case AttrSockets:
		rules, err := seccomp.Resolve([]string{SocketGroups[n.Value], "connect"}, nil)
		return err == nil && !slices.ContainsFunc(rules, func(r seccomp.Rule) bool { return !seccomp.Cover(b.Rules, r) })
	case AttrTmp:
		return f.Tmp > 0
	case AttrShm:
		return f.Shm > 0
	case AttrProc:
		return f.Proc
	case AttrPty:
		return f.Pty
	case AttrLog:
		return f.Log
	case AttrState:
		return f.State
	case AttrDev:
		return slices.Contains(f.Dev, n.Value)
	case AttrRead:
		return covers(f.Read, n.Value, h) || covers(f.Exec, n.Value, h) || covers(f.Write, n.Value, h)
	case AttrExec:
		return covers(f.Exec, n.Value, h)
	case AttrWrite:
		return covers(f.Write, n.Value, h)
	}
	return false
}

// reaches tells whether a list of ports has one.
func reaches(ports []uint16, port string) bool {
	return slices.ContainsFunc(ports, func(p uint16) bool { return p == 0 || strconv.Itoa(int(p)) == port })
}

// covers tells whether a path lies in one of a list, as it is written or as the links lead.
func covers(list []string, p string, h Host) bool {
	real := h.Real(p)
	return slices.ContainsFunc(list, func(dir string) bool { return under(p, dir) || under(real, h.Real(dir)) })
}

// brought are the calls that attributes of the network bring along; sockets bring their group,
// and connect where they can reach anything.
var brought = map[string][]string{AttrConnect: {"connect", "@socket-tcp"}, AttrBind: {"bind", "listen", "@socket-accept", "@socket-tcp"}}

// SocketGroups are the groups that words of network { sockets } bring.
var SocketGroups = map[string]string{"unix": "@socket-unix", "tcp": "@socket-tcp", "udp": "@socket-udp", "netlink-route": "@netlink-route"}

// callLines are the groups, calls and rules that have the calls which neither the base nor
// the other lines bring: a group where it has several of them, or nothing else has it.
func callLines(n *Needs, b *Base, others []Need) []Need {
	allowed := slices.Clone(b.Rules)
	mode := b.Profile.Network.Mode
	for _, o := range others {
		if o.Attr == AttrMode {
			mode = sandbox.NetworkMode(o.Value)
		}
	}
	for _, o := range others {
		allowed = append(allowed, bringsAlong(&o, mode)...)
	}
	allowed, _ = seccomp.Normalize(allowed) // each part of it was already
	var left []CallNeed
	for _, c := range n.Calls {
		if !seccomp.Cover(allowed, c.Rule) {
			left = append(left, c)
		}
	}
	var out []Need
	for len(left) > 0 {
		// What reaches the network comes by the words for it, and else call by call.
		g, calls := bestGroup(left, sandbox.NetworkNone)
		if calls < 2 && singly(&left[0]) {
			out = append(out, one(left[0]))
			left = remaining(left, out[len(out)-1])
			continue
		}
		if g == "" {
			g, _ = bestGroup(left[:1], mode)
		}
		if g == "" { // nothing has it: it will be missed
			left = left[1:]
			continue
		}
		out = append(out, Need{Attr: AttrAllow, Value: g})
		left = remaining(left, out[len(out)-1])
	}
	for i := range out { // what each is for
		rules := rulesOf(&out[i])
		for _, c := range n.Calls {
			if !seccomp.Cover(allowed, c.Rule) && seccomp.Cover(rules, c.Rule) {
				out[i].merge(c.Evidence)
			}
		}
	}
	slices.SortFunc(out, func(a, b Need) int { return cmp.Or(cmp.Compare(a.Attr, b.Attr), cmp.Compare(a.Value, b.Value)) })
	return out
}

// bestGroup is the group that has most of the calls; of several the smallest.
func bestGroup(left []CallNeed, mode sandbox.NetworkMode) (best string, calls int) {
	for _, g := range Leaves() {
		rules := seccomp.GroupRules(g)
		if !within(mode, g) {
			continue
		}
		has := map[string]bool{}
		for _, c := range left {
			if seccomp.Cover(rules, c.Rule) {
				has[c.Rule.Name] = true
			}
		}
		if len(has) > calls || len(has) == calls && calls > 0 && len(rules) < len(seccomp.GroupRules(best)) {
			best, calls = g, len(has)
		}
	}
	return best, calls
}

// alternatives are calls of which a C library or a kernel takes one or another for the same.
var alternatives = [][]string{
	{"open", "openat"}, {"stat", "newfstatat", "statx"}, {"lstat", "newfstatat"}, {"poll", "ppoll"}, {"select", "pselect6"}, {"dup2", "dup3"},
	{"pipe", "pipe2"}, {"accept", "accept4"}, {"epoll_wait", "epoll_pwait"}, {"epoll_create", "epoll_create1"}, {"eventfd", "eventfd2"},
	{"signalfd", "signalfd4"}, {"rename", "renameat", "renameat2"}, {"mkdir", "mkdirat"}, {"unlink", "unlinkat"}, {"link", "linkat"}, {"symlink", "symlinkat"},
	{"readlink", "readlinkat"}, {"chmod", "fchmodat"}, {"chown", "fchownat"}, {"access", "faccessat", "faccessat2"}, {"utime", "utimes", "utimensat"},
	{"inotify_init", "inotify_init1"}, {"getdents", "getdents64"}, {"getrlimit", "prlimit64"},
}

// singly tells whether a call can be named by itself: with the one argument that rules
// compare, or as it is, where no group bounds its arguments.
func singly(c *CallNeed) bool {
	if slices.Contains([]string{"ioctl", "prctl", "fcntl", "personality", "socketpair"}, c.Rule.Name) {
		return true
	}
	return len(c.Rule.Args) == 0
}

// one is the line of a single call.
func one(c CallNeed) Need {
	if len(c.Rule.Args) == 0 {
		return Need{Attr: AttrAllow, Value: c.Rule.Name}
	}
	arg := c.Rule.Args[0]
	return Need{Attr: AttrRule, Value: c.Rule.Name + " " + word32(arg.Value),
		Rule: sandbox.SyscallRule{Name: c.Rule.Name, Arg: arg.Index, Values: []uint32{arg.Value}}}
}

// Siblings are the calls that stand for the same as a call does, and itself.
func Siblings(call string) []string {
	for _, list := range alternatives {
		if slices.Contains(list, call) {
			return list
		}
	}
	return []string{call}
}

// rulesOf is what a line of syscalls allows.
func rulesOf(n *Need) []seccomp.Rule {
	if n.Attr == AttrRule {
		return []seccomp.Rule{{Name: n.Rule.Name, Args: []seccomp.Arg{{Index: n.Rule.Arg, Value: n.Rule.Values[0]}}}}
	}
	rules, err := seccomp.Resolve([]string{n.Value}, nil)
	if err != nil {
		return nil
	}
	return rules
}

// remaining are the calls that a line does not have.
func remaining(left []CallNeed, line Need) []CallNeed {
	rules := rulesOf(&line)
	return slices.DeleteFunc(left, func(c CallNeed) bool { return seccomp.Cover(rules, c.Rule) })
}
