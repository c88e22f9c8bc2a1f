package learn

import (
	"path"
	"slices"
	"strings"
	"syscall"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// Wide is what sessions are observed under: all that a profile can have without a reason,
// and what clients were seen to fail without.
type Wide struct {
	Read, Exec, Write []string
	Capabilities      []string
	Mode              sandbox.NetworkMode
	Apart             bool     // a network of its own does (policy.Service.Apart), and comes before the host's
	Sockets           []string // words of network { sockets }
	Calls             []string // beside the groups that reach nothing
	Rules             []sandbox.SyscallRule
}

// Groups are the groups that reach no more than the network's mode does.
func (w *Wide) Groups() []string {
	return slices.DeleteFunc(Leaves(), func(g string) bool { return g == "@jit" || !within(w.Mode, g) })
}

// reach is how much a mode reaches, among the others.
func reach(mode string) int {
	return slices.Index(sandbox.NetworkModes, sandbox.NetworkMode(mode))
}

// within tells whether a group reaches no more than a mode does.
func within(mode sandbox.NetworkMode, group string) bool {
	rules := seccomp.GroupRules(group)
	switch mode {
	case sandbox.NetworkHost:
		return true
	case sandbox.NetworkListener:
		return len(advise.Reach(rules, "@socket-accept")) == 0
	}
	return len(advise.Reach(rules)) == 0
}

// Widen adds what the sessions were refused, and reports whether that is anything new.
func (w *Wide) Widen(sessions []*Session, c *Confines, h Host) bool {
	before, mode := w.size(), w.Mode
	for _, s := range sessions {
		for i := range s.Facts {
			if f := &s.Facts[i]; f.Failed() && f.Tells() {
				w.add(f, c, h)
			}
		}
	}
	return mode != w.Mode || before != w.size()
}

func (w *Wide) size() int {
	return len(w.Read) + len(strings.Join(w.Write, "\n")) + len(w.Capabilities) + len(w.Sockets) + len(w.Calls) + len(w.Rules)
}

func put(list *[]string, s string) {
	if s != "" && !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

func (w *Wide) add(f *Fact, c *Confines, h Host) {
	filtered := (f.Killed || f.Err == syscall.EPERM || f.Err == syscall.ENOSYS || f.Err == syscall.EPROTONOSUPPORT) && !c.Allows(f)
	switch word := SocketWord(f); {
	case !filtered && deep(f.Host(f.Path)):
		return
	case filtered && word == "unix":
		put(&w.Sockets, word)
	case filtered && word != "":
		w.own()
		put(&w.Sockets, word)
	case filtered && f.serves(w.Mode) && !w.Apart:
		return
	case filtered && f.serves(w.Mode):
		w.own()
		put(&w.Sockets, "unix") // brings it
	case filtered && strings.HasPrefix(f.Addr, "unix") && f.Call == "connect":
		put(&w.Sockets, "unix") // brings it
	case filtered && (f.Call == "connect" || f.Call == "bind" || f.Call == "listen"):
		w.own()
		put(&w.Calls, f.Call)
	case filtered:
		if _, err := seccomp.Resolve([]string{f.Call}, nil); err != nil || f.Call == "clone3" {
			return
		}
		w.call(f)
	case f.Err == syscall.ENETUNREACH || f.Err == syscall.EHOSTUNREACH || f.Err == syscall.ECONNREFUSED || f.Err == syscall.EADDRNOTAVAIL:
		w.reach(strings.HasPrefix(f.Addr, "inet"))
	case f.Err == syscall.EROFS, f.Err == syscall.EACCES && changes(f.Use()):
		if dir := h.place(changed(f)); f.Path != "" && h.never(dir) == "" && !inAny(w.Exec, dir) && !inAny(own, dir) {
			w.write(dir, h)
		}
	case f.Err == syscall.EPERM || f.Err == syscall.EACCES:
		if need := advise.Capability(f.Call); slices.Contains(sandbox.Capabilities, need) {
			put(&w.Capabilities, need)
		}
		if f.Err == syscall.EACCES && f.Path != "" {
			put(&w.Capabilities, "CAP_DAC_OVERRIDE")
		}
	case f.Err == syscall.ENOENT && f.Path != "" && c.Exists(f.Host(f.Path)) && h.never(f.Host(f.Path)) == "":
		p := f.Host(f.Path)
		if len(w.Read) < widest && !inAny(own, p) && !covered(c.Profile, p) { // else it has come into being since
			put(&w.Read, p)
		}
	}
}

// serves tells whether the fact is of a socket of the program's own that no profile with
// the mode lets it serve, as ownSocket says.
func (f *Fact) serves(mode sandbox.NetworkMode) bool {
	return mode != sandbox.NetworkHost && mode != sandbox.NetworkPrivate && (f.Call == "bind" || f.Call == "listen") && strings.HasPrefix(f.Addr, "unix")
}

// widest is from how many paths of one kind on no more are added: a program that asks for
// more has made them up.
const widest = 500

// write adds a tree to write, in place of what lies in it; from siblings on the directory
// around them is one.
func (w *Wide) write(dir string, h Host) {
	if len(w.Write) >= widest || inAny(w.Write, dir) {
		return
	}
	w.Write = append(slices.DeleteFunc(w.Write, func(p string) bool { return under(p, dir) }), dir)
	around := 0
	for _, p := range w.Write {
		if path.Dir(p) == path.Dir(dir) {
			around++
		}
	}
	if up := path.Dir(dir); around >= siblings && h.never(up) == "" {
		w.write(up, h)
	}
}

// call adds what has a call that the filter refuses: a group that reaches no more than the
// mode does, or else the call by itself, with its argument where rules compare one.
func (w *Wide) call(f *Fact) {
	one := CallNeed{Rule: f.Rule()}
	switch g := Group(one.Rule); {
	case g != "" && within(w.Mode, g):
		put(&w.Calls, g)
	case len(f.Args) == 0 && len(advise.Reach([]seccomp.Rule{one.Rule})) == 0:
		put(&w.Calls, f.Call)
	case len(f.Args) > 0 && singly(&one):
		r := sandbox.SyscallRule{Name: f.Call, Arg: f.Args[0].Index, Values: []uint32{f.Args[0].Value}}
		if !slices.ContainsFunc(w.Rules, func(o sandbox.SyscallRule) bool { return o.Name == r.Name && o.Values[0] == r.Values[0] }) {
			w.Rules = append(w.Rules, r)
		}
	}
}

// own takes the network that a call needs which the filter refuses: one of the session's own, where that does.
func (w *Wide) own() {
	if !w.Apart || w.Mode == sandbox.NetworkHost {
		w.reach(true)
		return
	}
	w.Mode = sandbox.NetworkPrivate
}

// reach takes the host's network, if it is asked for.
func (w *Wide) reach(out bool) {
	if out {
		w.Mode = sandbox.NetworkHost
	}
}

// own are the places that a sandbox has of its own.
var own = []string{"/dev", "/proc", "/sys", "/tmp", "/private"}

func changes(u Use) bool { return u == Write || u == Make || u == Listen }

func inAny(list []string, p string) bool {
	return slices.ContainsFunc(list, func(dir string) bool { return under(p, dir) })
}

// Miss adds to the needs what sessions under a draft were refused and did not find.
func (n *Needs) Miss(sessions []*Session, c *Confines, h Host) {
	f := finder{h: h, calls: map[string]*CallNeed{}, other: map[[2]string]*Need{}, paths: map[string]map[string]*Evidence{AttrRead: {}, AttrExec: {}, AttrWrite: {}}, looked: map[string]*Evidence{}}
	for _, s := range sessions {
		for i := range s.Facts {
			one := &s.Facts[i]
			if !one.Failed() || !one.Tells() || one.serves(c.Profile.Network.Mode) {
				continue
			}
			if !c.Allows(one) {
				if _, err := seccomp.Resolve([]string{one.Call}, nil); err == nil && one.Call != "clone3" {
					key := one.Rule().String()
					f.calls[key] = &CallNeed{Rule: one.Rule(), Evidence: Evidence{Count: one.Count, First: one.At, Example: one.String(), Program: one.Program}}
				}
				continue
			}
			p := one.Host(one.Path)
			if changes(one.Use()) {
				p = path.Dir(p)
			}
			if one.Err == syscall.ENOENT && covered(c.Profile, p) {
				continue // it was not there
			}
			if one.Path != "" && (c.Exists(p) || under(p, "/proc") || under(p, "/tmp")) {
				f.path(one, one.Host(one.Path))
			}
		}
	}
	n.Add(f.result())
}

// Add adds what others need. Of two modes of the network the one stays that reaches more.
func (n *Needs) Add(more *Needs) {
	have := map[[2]string]bool{}
	for i, o := range n.Other {
		if at := slices.IndexFunc(more.Other, func(m Need) bool { return m.Attr == o.Attr }); o.Attr == AttrMode && at >= 0 {
			if wider := &more.Other[at]; reach(wider.Value) > reach(o.Value) {
				n.Other[i], o = *wider, *wider
			}
			have[[2]string{AttrMode, more.Other[at].Value}] = true
		}
		have[[2]string{o.Attr, o.Value}] = true
	}
	for _, o := range more.Other {
		if !have[[2]string{o.Attr, o.Value}] {
			n.Other = append(n.Other, o)
		}
	}
	for _, o := range more.Calls {
		if !slices.ContainsFunc(n.Calls, func(have CallNeed) bool { return have.Rule.String() == o.Rule.String() }) {
			n.Calls = append(n.Calls, o)
		}
	}
}
