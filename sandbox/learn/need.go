package learn

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/rootfs/nodes"
	"casemate/sandbox/seccomp"
)

// Evidence is why something is needed.
type Evidence struct {
	Count   int
	First   time.Time
	Example string // the first call, with its arguments
	Program string
	// Without is what went wrong in a replay without it, "" where that was not tried.
	Without string
	// Looked says that of a path the attributes were asked for, and no content.
	Looked bool
	// Stays says that a replay without it went well and that it is there all the same, as Counts says.
	Stays bool
}

func (e *Evidence) add(f *Fact) {
	if e.Count == 0 || f.At.Before(e.First) {
		e.First, e.Example, e.Program = f.At, f.String(), f.Program
	}
	e.Count += f.Count
}

func (e *Evidence) merge(o Evidence) {
	if e.Count == 0 || o.Count > 0 && o.First.Before(e.First) {
		e.First, e.Example, e.Program = o.First, o.Example, o.Program
	}
	e.Count += o.Count
}

// The attributes that a learnt profile may write, by their place in it.
const (
	AttrInit       = "init"
	AttrCapability = "capabilities"
	AttrMode       = "network.mode"
	AttrConnect    = "network.connect"
	AttrBind       = "network.bind"
	AttrSockets    = "network.sockets"
	AttrRead       = "files.read"
	AttrExec       = "files.exec"
	AttrWrite      = "files.write"
	AttrDev        = "files.dev"
	AttrTmp        = "files.tmp"
	AttrShm        = "files.shm"
	AttrProc       = "files.proc"
	AttrPty        = "files.pty"
	AttrLog        = "files.log"
	AttrState      = "files.state"
	AttrAllow      = "syscalls.allow"
	AttrRule       = "syscalls.rule"
)

// Need is one value of one attribute that sessions were seen to need.
type Need struct {
	Attr, Value string
	Rule        sandbox.SyscallRule // of AttrRule
	Evidence
}

// usual are files that the C library and its like read in every program, or secrets, and what a client that
// is served without does not miss.
var usual = []string{"/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf",
	"/etc/gai.conf", "/etc/gss", "/etc/services", "/etc/protocols", "/etc/locale.alias", "/etc/issue", "/etc/issue.net", "/etc/motd", "/usr/share/locale", "/usr/lib/locale",
	"/run/utmp", "/var/run/utmp", "/var/log/wtmp", "/var/log/lastlog"}

// Counts tells whether a file was read of which a client that is served without does not tell what it is
// for: who may do what stands in such files, and a program that does not find its own takes its defaults.
func (n *Need) Counts() bool { return n.Attr == AttrRead && !n.Looked && !inAny(usual, n.Value) }

// Needs are what sessions need, whatever profile is to have it.
type Needs struct {
	Calls []CallNeed
	Other []Need // sorted by attribute and value
	// Never are paths that were used and that no profile is given, with the reason.
	Never []Need
}

// CallNeed is one call with arguments.
type CallNeed struct {
	Rule seccomp.Rule
	Evidence
}

// Host is what is asked about the host's files.
type Host struct {
	// Real is a path without links and "..", the path itself where there is none.
	Real func(path string) string
	// Dir tells whether a path is a directory.
	Dir func(path string) bool
	// Loads are the files that the kernel maps or runs with a program: its loader, its interpreter and that one's.
	Loads func(program string) []string
	// Loose tells whether others than root and a file's owner can put something else into a
	// directory: what lies in it cannot be shown by itself.
	Loose func(path string) bool
}

// deepest is how many directories down a path may lie that is learnt: a program can make
// some thousands of them, and each is asked about.
const deepest = 64

func deep(p string) bool { return strings.Count(p, "/") > deepest }

// above is the directory of a deep path that is not deep.
func above(p string) string {
	for range strings.Count(p, "/") - deepest {
		p = p[:strings.LastIndexByte(p, '/')]
	}
	return p
}

// place is the nearest path above p, or p, that can be shown.
func (h *Host) place(p string) string {
	for at := p; len(at) > 1; at = path.Dir(at) {
		if h.Loose(path.Dir(at)) {
			p = path.Dir(at)
		}
	}
	return p
}

// never are places that no profile is given as a whole, with the reason. What lies in
// them can be named itself.
var never = map[string]string{
	"/": "it is everything", "/etc": "it holds keys and passwords", "/home": "it holds all users' files", "/root": "it holds root's files",
	"/proc": "proc = true shows the program's own", "/sys": "it is the kernel's", "/dev": "dev and devices name nodes one by one",
	"/var": "it holds all services' data", "/var/lib": "it holds all services' data", "/var/log": "it holds all services' logs", "/var/spool": "it holds all services' queues",
	"/var/tmp": "everybody writes there", "/tmp": "tmp gives the program its own", "/run": "it holds sockets of other services", "/var/run": "it holds sockets of other services",
	"/srv": "it holds all services' data", "/boot": "it is the kernel's", "/opt": "it holds all vendors' files", "/mnt": "anything may be there", "/media": "anything may be there",
}

// never says why no profile is given a path as a whole, by whatever name: as it is written,
// or as the links lead, of the places too. "" is none.
func (h *Host) never(p string) string {
	if why := never[p]; why != "" || !path.IsAbs(p) {
		return why
	}
	real := h.Real(p)
	if why := never[real]; why != "" {
		return why
	}
	for place, why := range never {
		if h.Real(place) == real {
			return why
		}
	}
	return ""
}

// libraries are where shared libraries lie, which are granted together.
var libraries = []string{"/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32"}

// siblings is from how many files of one directory on the directory is granted in their place.
const siblings = 4

// Extras are what the profile that was observed under had beyond what Needs finds by
// itself: they are lines too.
type Extras struct {
	Capabilities []string
	Mode         sandbox.NetworkMode
}

// Used are the extras of which there is a sign among the needs.
func (x Extras) Used(n *Needs) Extras {
	x.Capabilities = slices.DeleteFunc(slices.Clone(x.Capabilities), func(c string) bool { return !calls(n, c) })
	switch x.Mode {
	case sandbox.NetworkHost:
		if !slices.ContainsFunc(n.Other, func(o Need) bool {
			return o.Attr == AttrConnect || o.Attr == AttrBind || o.Attr == AttrSockets && o.Value != "unix"
		}) {
			x.Mode = sandbox.NetworkNone
		}
	case sandbox.NetworkPrivate:
		if !n.inside() {
			x.Mode = sandbox.NetworkNone
		}
	}
	return x
}

// inside tells whether sessions used a network of their own: sockets of it, or one unix socket by another.
func (n *Needs) inside() bool {
	return slices.ContainsFunc(n.Other, func(o Need) bool { return o.Attr == AttrSockets && o.Value != "unix" }) ||
		slices.ContainsFunc(n.Calls, func(c CallNeed) bool { return c.Rule.Name == "bind" || c.Rule.Name == "listen" })
}

// Find gives what the sessions need: all that they did with success, as far as c allowed it.
func Find(sessions []*Session, c *Confines, h Host, x Extras) *Needs {
	f := finder{h: h, calls: map[string]*CallNeed{}, other: map[[2]string]*Need{}, paths: map[string]map[string]*Evidence{AttrRead: {}, AttrExec: {}, AttrWrite: {}}, looked: map[string]*Evidence{}, ports: map[[2]string]int{}, sessions: map[string]int{}}
	for _, s := range sessions {
		f.here = map[[2]string]bool{}
		for i := range s.Facts {
			f.take(&s.Facts[i], c)
		}
		f.process(s)
		had := map[string]bool{}
		for key := range f.here {
			f.ports[key]++
			if !had[key[0]] {
				had[key[0]] = true
				f.sessions[key[0]]++
			}
		}
	}
	for _, name := range x.Capabilities {
		f.need(AttrCapability, name, nil)
	}
	if x.Mode != sandbox.NetworkNone {
		f.need(AttrMode, string(x.Mode), nil)
		for key, n := range f.other { // what it is for
			if slices.Contains([]string{AttrSockets, AttrConnect, AttrBind}, key[0]) {
				f.other[[2]string{AttrMode, string(x.Mode)}].merge(n.Evidence)
			}
		}
	}
	return f.result()
}

type finder struct {
	h        Host
	calls    map[string]*CallNeed
	other    map[[2]string]*Need
	paths    map[string]map[string]*Evidence // by attribute
	looked   map[string]*Evidence            // attributes were asked for and nothing else
	never    []Need
	tooDeep  *Need              // the first that lies deeper than deepest, for all
	ports    map[[2]string]int  // in how many sessions, by attribute and port
	here     map[[2]string]bool // in the session that is looked at
	sessions map[string]int     // that had ports, by attribute
	ways     map[string]bool    // the directories that lead to what other has
}

func (f *finder) need(attr, value string, from *Fact) {
	key := [2]string{attr, value}
	if f.other[key] == nil {
		f.other[key] = &Need{Attr: attr, Value: value}
	}
	if from != nil {
		f.other[key].add(from)
	}
}

// process finds what says that the session is more than one process that ends by itself.
func (f *finder) process(s *Session) {
	for _, e := range s.Ends {
		switch {
		case e.Signal == syscall.SIGALRM, e.Signal == syscall.SIGPIPE:
			f.need(AttrInit, "true", &Fact{Call: "died of " + signalName(e.Signal), Program: e.Program, At: s.Started, Count: 1})
		}
	}
	if s.Processes > 1 {
		f.need(AttrInit, "true", &Fact{Call: "fork", Program: s.Program, At: s.Started, Count: s.Processes - 1})
	}
}

// take looks at one fact.
func (f *finder) take(one *Fact, c *Confines) {
	r := one.Rule()
	if one.Killed || !c.Allows(one) {
		return // it did without
	}
	if _, err := seccomp.Resolve([]string{r.Name}, nil); err != nil {
		return
	}
	key := r.String()
	if f.calls[key] == nil {
		f.calls[key] = &CallNeed{Rule: r}
	}
	f.calls[key].add(one)
	if one.Err != 0 && one.Err != syscall.EINPROGRESS && one.Err != syscall.EEXIST {
		return
	}
	if word := SocketWord(one); word != "" {
		f.need(AttrSockets, word, one)
	}
	if c.Profile.Network.Mode != sandbox.NetworkPrivate { // all of whose ports are its own
		f.port(one)
	}
	for _, p := range []string{one.Path, one.To} {
		if p != "" {
			f.path(one, one.Host(p))
		}
	}
}

// port finds the tcp ports of connect and bind.
func (f *finder) port(one *Fact) {
	attr := map[string]string{"connect": AttrConnect, "bind": AttrBind}[one.Call]
	kind, at, _ := strings.Cut(one.Addr, " ")
	if attr == "" || kind != "inet" && kind != "inet6" {
		return
	}
	if port := at[strings.LastIndexByte(at, ':')+1:]; port != "0" {
		f.need(attr, port, one)
		if f.here != nil {
			f.here[[2]string{attr, port}] = true
		}
	}
}

// path finds what shows a path.
func (f *finder) path(one *Fact, p string) {
	if strings.Contains(p, "/..") {
		p = f.h.Real(p)
	}
	switch name := strings.TrimPrefix(p, "/dev/"); {
	case p == "/" || p == "/dev":
	case p == "/dev/log":
		f.need(AttrLog, "true", one)
	case under(p, "/dev/shm"):
		f.need(AttrShm, "16MiB", one)
	case p == "/dev/ptmx" || p == "/dev/tty" || under(p, "/dev/pts"):
		f.need(AttrPty, "true", one)
	case name != p:
		if slices.Contains(nodes.Names, name) {
			f.need(AttrDev, name, one)
		}
	case under(p, "/proc"):
		f.need(AttrProc, "true", one)
	case inState(p):
		f.need(AttrState, "true", one)
	case under(p, "/tmp") || under(p, "/private"):
		f.need(AttrTmp, "16MiB", one)
	default:
		f.file(one, p)
	}
}

// inState tells whether a path lies in the state directory, by either name.
func inState(p string) bool { return under(p, sandbox.StateInside) || under(p, "/private/state") }

// file finds what shows a file of the host.
func (f *finder) file(one *Fact, p string) {
	if deep(p) {
		if f.tooDeep == nil {
			f.tooDeep = &Need{Attr: AttrRead, Value: above(p)}
		}
		f.tooDeep.add(one)
		return
	}
	attr := AttrRead
	use := one.Use()
	if use == Read && strings.HasPrefix(one.Call, "open") && f.h.Dir(p) {
		use = Look
	}
	switch use {
	case Look:
		if f.looked[p] == nil {
			f.looked[p] = new(Evidence)
		}
		f.looked[p].add(one)
		return
	case Exec:
		attr = AttrExec
		if one.Call == "mmap" { // one upgrade later it is another file
			if i := slices.IndexFunc(libraries, func(dir string) bool { return under(p, dir) }); i >= 0 {
				p = libraries[i]
			}
		}
	case Make, Listen:
		attr, p = AttrWrite, path.Dir(p)
	case Write:
		attr = AttrWrite
	}
	p = f.h.place(p)
	e := f.paths[attr][p]
	if e == nil {
		e = new(Evidence)
		f.paths[attr][p] = e
	}
	e.add(one)
}

func (f *finder) result() *Needs {
	for attr, paths := range f.paths {
		f.fold(attr, paths)
	}
	f.ways = map[string]bool{}
	for key := range f.other {
		f.leadTo(key[1])
	}
	for _, p := range sortedKeys(f.looked) { // what lies on the way to others is there with them
		if e := f.looked[p]; !f.shown(p) && !f.ways[p] {
			n := &Need{Attr: AttrRead, Value: p, Evidence: *e}
			if n.Looked = true; f.refuse(n) {
				continue
			}
			f.other[[2]string{AttrRead, p}] = n
			f.leadTo(p)
		}
	}
	for key, n := range f.other { // what may be written or executed may be read
		for _, wider := range []string{AttrWrite, AttrExec} {
			if in := f.inside(wider, n.Value); in != nil && key[0] == AttrRead {
				in.merge(n.Evidence)
				delete(f.other, key)
				break
			}
		}
	}
	out := &Needs{Never: f.never}
	if n := f.tooDeep; n != nil {
		n.Example = fmt.Sprintf("%s: it lies deeper than %d directories", n.Example, deepest)
		out.Never = append(out.Never, *n)
	}
	f.changing()
	tcp := f.other[[2]string{AttrSockets, "tcp"}] != nil
	for _, n := range f.other {
		if !tcp && (n.Attr == AttrConnect || n.Attr == AttrBind) {
			continue // of datagrams, for which the lists of ports are not
		}
		out.Other = append(out.Other, *n)
	}
	slices.SortFunc(out.Other, func(a, b Need) int { return cmp.Or(cmp.Compare(a.Attr, b.Attr), cmp.Compare(a.Value, b.Value)) })
	slices.SortFunc(out.Never, func(a, b Need) int { return cmp.Compare(a.Value, b.Value) })
	for _, c := range f.calls {
		out.Calls = append(out.Calls, *c)
	}
	slices.SortFunc(out.Calls, func(a, b CallNeed) int { return cmp.Compare(a.Rule.String(), b.Rule.String()) })
	return out
}

// changing makes one need of ports that are others in each session, as those of FTP's data connections: two
// of which one session each had one were not chosen by whoever wrote them down. Ports below 1024 were.
func (f *finder) changing() {
	for _, attr := range []string{AttrConnect, AttrBind} {
		var once []string
		for key, n := range f.ports {
			if port, err := strconv.Atoi(key[1]); key[0] == attr && n == 1 && err == nil && port >= 1024 {
				once = append(once, key[1])
			}
		}
		if f.sessions[attr] < 2 || len(once) < f.sessions[attr] {
			continue
		}
		any := &Need{Attr: attr, Value: AnyPort}
		for key := range f.ports { // the others lie in it
			if key[0] == attr {
				any.merge(f.other[key].Evidence)
				delete(f.other, key)
			}
		}
		f.other[[2]string{attr, AnyPort}] = any
	}
}

// AnyPort is the word of network { connect, bind } for all ports.
const AnyPort = "any"

// word32 writes a value of a rule.
func word32(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) }
