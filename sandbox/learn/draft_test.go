package learn

import (
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
)

// ok is a fact that has succeeded.
func ok(call, at string, raw ...uint64) Fact {
	f := fact(call, 0, at, 1, raw...)
	f.At = time.Unix(1, 0)
	return f
}

// bare is a host without links, on which what has no dot in its last name is a directory.
var bare = Host{Real: path.Clean, Dir: func(p string) bool { return !strings.Contains(path.Base(p), ".") }, Loads: func(p string) []string { return map[string][]string{"/usr/bin/dash.x": {"/lib64/ld.so"}}[p] }, Loose: func(p string) bool { return p == "/var/mail" }}

// everything is a profile whose filter allows all that groups have.
var everything = confinesOf(sandbox.Profile{}, append(Leaves(), "chroot"))

func found(n *Needs) []string {
	var out []string
	for _, o := range n.Other {
		out = append(out, o.Attr+" "+o.Value)
	}
	return out
}

func TestFind(t *testing.T) {
	const create, rdwr, dir = 0o102, 0o2, 0o200000
	open := func(p string, flags uint64) Fact { return ok("openat", p, 0, 0, flags, 0o644) }
	socket := func(family, kind uint64) Fact { return ok("socket", "", family, kind, 0) }
	connect := ok("connect", "")
	connect.Addr = "inet 192.0.2.1:443"
	chrooted := open("/motd.txt", 0)
	chrooted.Root = "/srv/jail"
	jail := ok("newfstatat", "/")
	jail.Root = "/srv/jail"
	missing := open("/srv/none.txt", 0)
	missing.Err = syscall.ENOENT
	rename := ok("rename", "/srv/data/a.new")
	rename.To = "/srv/data/a.txt"
	for name, tt := range map[string]struct {
		facts []Fact
		want  []string
		never []string
	}{
		"what is opened and what is only missing": {[]Fact{open("/etc/x.conf", 0), missing}, []string{"files.read /etc/x.conf"}, nil},
		"the way to a file is there with it":      {[]Fact{open("/srv/pub/x.txt", 0), ok("newfstatat", "/srv/pub"), open("/srv", dir), open("/srv/pub", 0)}, []string{"files.read /srv/pub/x.txt"}, nil},
		"a directory that is listed":              {[]Fact{open("/srv/pub/x.txt", 0), ok("getdents64", "/srv/pub")}, []string{"files.read /srv/pub"}, nil},
		"what is looked at alone":                 {[]Fact{ok("newfstatat", "/srv/flag.on")}, []string{"files.read /srv/flag.on"}, nil},
		"files of one directory": {[]Fact{open("/srv/p/a.txt", 0), open("/srv/p/b.txt", 0), open("/srv/p/c.txt", 0), open("/srv/p/d.txt", 0)},
			[]string{"files.read /srv/p"}, nil},
		"never /etc, however many of its files": {[]Fact{open("/etc/a.c", 0), open("/etc/b.c", 0), open("/etc/c.c", 0), open("/etc/d.c", 0)},
			[]string{"files.read /etc/a.c", "files.read /etc/b.c", "files.read /etc/c.c", "files.read /etc/d.c"}, nil},
		"never a home of all":   {[]Fact{ok("getdents64", "/home")}, nil, []string{"/home"}},
		"what is made":          {[]Fact{open("/srv/data/new.txt", create), ok("unlinkat", "/srv/data/old.txt"), rename}, []string{"files.write /srv/data"}, nil},
		"never made in /etc":    {[]Fact{open("/etc/new.txt", create)}, nil, []string{"/etc"}},
		"what is changed":       {[]Fact{open("/srv/data/log.txt", rdwr), open("/srv/data/log.txt", 0)}, []string{"files.write /srv/data/log.txt"}, nil},
		"where others may move": {[]Fact{open("/var/mail/joe.box", rdwr)}, []string{"files.write /var/mail"}, nil},
		"a root of its own":     {[]Fact{chrooted}, []string{"files.read /srv/jail/motd.txt"}, nil},
		"the root itself":       {[]Fact{jail}, []string{"files.read /srv/jail"}, nil},
		"its state directory":   {[]Fact{open("/state/x", create), open("/private/state/x", rdwr)}, []string{"files.state true"}, nil},
		"its own places": {[]Fact{open("/tmp/x", create), open("/proc/self/fd", dir), open("/dev/null", rdwr), open("/dev/ptmx", rdwr), open("/dev/shm/x", create)},
			[]string{"files.dev null", "files.proc true", "files.pty true", "files.shm 16MiB", "files.tmp 16MiB"}, nil},
		"programs and libraries": {[]Fact{ok("execve", "/usr/bin/id.x"), ok("mmap", "/usr/lib/libz.so", 0, 0, 5)}, []string{"files.exec /usr/bin/id.x", "files.exec /usr/lib"}, nil},
		"tcp":                    {[]Fact{socket(2, 1), connect}, []string{"network.connect 443", "network.sockets tcp"}, nil},
		"udp has no ports":       {[]Fact{socket(2, 2), connect}, []string{"network.sockets udp"}, nil},
		"up and down":            {[]Fact{open("/srv/pub/../data/x.txt", 0)}, []string{"files.read /srv/data/x.txt"}, nil},
	} {
		n := Find([]*Session{{Processes: 1, Facts: tt.facts}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
		var never []string
		for _, o := range n.Never {
			never = append(never, o.Value)
		}
		if got := found(n); !slices.Equal(got, tt.want) || !slices.Equal(never, tt.never) {
			t.Errorf("%s: %v, never %v; want %v, %v", name, got, never, tt.want, tt.never)
		}
	}
	n := Find([]*Session{{Processes: 3, Ends: []End{{Signal: syscall.SIGALRM}}}}, everything, bare, Extras{Mode: sandbox.NetworkHost, Capabilities: []string{"CAP_SETUID"}})
	if got, want := found(n), []string{"capabilities CAP_SETUID", "init true", "network.mode host"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// basesOf are profiles made of groups, each with the files of the one before it.
func basesOf(t *testing.T, groups ...string) []Base {
	var out []Base
	for i, g := range groups {
		rules, err := seccomp.Resolve([]string{g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &sandbox.Profile{Name: g, Network: sandbox.Network{Mode: sandbox.NetworkNone}}
		if i > 0 {
			p.Files.Exec, p.Files.Dev = []string{"/usr/lib"}, []string{"null"}
		}
		out = append(out, Base{Profile: p, Rules: rules, Rank: i})
	}
	return out
}

func TestDrafts(t *testing.T) {
	bases := basesOf(t, "@strict", "@line", "@files", "@server", "@login")
	lib, file := ok("mmap", "/usr/lib/libc.so", 0, 0, 5), ok("openat", "/srv/a.txt", 0, 0, 0)
	listed, threads := ok("getdents64", "/srv/pub"), ok("sched_yield", "")
	for name, tt := range map[string]struct {
		facts []Fact
		base  string
		want  []string
	}{
		"nothing":             {[]Fact{ok("read", "")}, "@strict", nil},
		"a listing":           {[]Fact{lib, file, listed, ok("epoll_wait", ""), ok("futex", "")}, "@line", []string{"files.read /srv/a.txt", "files.read /srv/pub"}},
		"groups before calls": {[]Fact{lib, file, listed, threads, ok("fork", ""), ok("wait4", "")}, "@line", []string{"files.read /srv/a.txt", "files.read /srv/pub", "syscalls.allow @process"}},
		"one call alone":      {[]Fact{lib, file, threads, ok("chroot", "/srv/pub")}, "@line", []string{"files.read /srv/a.txt", "files.read /srv/pub", "syscalls.allow chroot"}},
		"an argument":         {[]Fact{lib, file, listed, threads, ok("ioctl", "", 0, 0x5402)}, "@line", []string{"files.read /srv/a.txt", "files.read /srv/pub", "syscalls.rule ioctl 0x5402"}},
		"what a word brings":  {[]Fact{lib, file, listed, threads, ok("socket", "", 2, 2, 0), ok("connect", "")}, "@line", []string{"files.read /srv/a.txt", "files.read /srv/pub", "network.sockets udp"}},
		"a static program":    {[]Fact{ok("read", ""), ok("openat", "/dev/null", 0, 0, 2), ok("chroot", "/srv/pub")}, "@strict", []string{"files.dev null", "files.read /srv/pub", "syscalls.allow chroot"}},
	} {
		n := Find([]*Session{{Processes: 1, Facts: tt.facts}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
		of := bases[1:] // for a program that loads libraries
		if tt.base == "@strict" {
			of = bases
		}
		d := Drafts(n, of, bare)[0]
		var got []string
		for _, l := range d.Lines {
			got = append(got, l.Attr+" "+l.Value)
			if l.Count == 0 || l.Example == "" {
				t.Errorf("%s: %s %s has no evidence", name, l.Attr, l.Value)
			}
		}
		if d.Base.Profile.Name != tt.base || !slices.Equal(got, tt.want) {
			t.Errorf("%s: on %s %v, want on %s %v", name, d.Base.Profile.Name, got, tt.base, tt.want)
		}
	}
}

// TestDraftsTakeTheNarrowest: the order is that of the bases' width, whatever has to be added; only of those of
// one rank the one with the fewest lines comes first.
func TestDraftsTakeTheNarrowest(t *testing.T) {
	bases := basesOf(t, "@strict", "@line", "@files", "@server", "@login")
	bases[0].Rank = 1 // no wider than @line
	n := Find([]*Session{{Processes: 2, Facts: []Fact{ok("fork", ""), ok("wait4", ""), ok("setuid", ""), ok("sched_yield", ""), ok("futex", "")}}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
	var got []string
	for _, d := range Drafts(n, bases, bare) {
		got = append(got, d.Base.Profile.Name)
	}
	if !slices.Equal(got, []string{"@line", "@strict", "@files", "@server", "@login"}) {
		t.Errorf("in the order %v", got)
	}
}

// TestDraftsReach: a call that reaches the socket that the program is handed takes the mode for it, on a base
// that does not have it by another way.
func TestDraftsReach(t *testing.T) {
	passed := ok("sendmsg", "")
	passed.Args = []seccomp.Arg{{Index: 2}}
	n := Find([]*Session{{Processes: 1, Facts: []Fact{passed}}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
	d := Drafts(n, basesOf(t, "@line"), bare)[0]
	if len(d.Lines) != 2 || d.Lines[0].Attr != AttrMode || d.Lines[0].Value != "listener" || d.Lines[0].Count != 1 || d.Lines[1].Value != "@fd-passing" {
		t.Errorf("it adds %+v", d.Lines)
	}
}

// TestPortsThatChange: ports that are others in each session are any, with all others; else they are themselves.
func TestPortsThatChange(t *testing.T) {
	session := func(ports ...string) *Session {
		s := &Session{Processes: 1, Facts: []Fact{ok("socket", "", 2, 1, 0)}}
		for _, p := range ports {
			f := ok("bind", "")
			f.Addr = "inet 127.0.0.1:" + p
			s.Facts = append(s.Facts, f)
		}
		return s
	}
	for _, tt := range []struct {
		sessions []*Session
		want     string
	}{
		{[]*Session{session("47100"), session("47107")}, "any"},
		{[]*Session{session("8080", "47100"), session("8080", "47107")}, "any"},
		{[]*Session{session("8080", "8081"), session("8080", "8081")}, "8080 8081"},
		{[]*Session{session("8080", "8081")}, "8080 8081"},
		{[]*Session{session("80"), session("443")}, "443 80"},
		{[]*Session{session("8080"), session("8080"), session("8080", "8081")}, "8080 8081"},
	} {
		var got []string
		for _, o := range Find(tt.sessions, everything, bare, Extras{Mode: sandbox.NetworkNone}).Other {
			if o.Attr == AttrBind {
				got = append(got, o.Value)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v, want %s", got, tt.want)
		}
	}
	if any := (&Need{Attr: AttrBind, Value: AnyPort}); !any.has(&Need{Attr: AttrBind, Value: "47100"}) || any.has(&Need{Attr: AttrConnect, Value: "47100"}) {
		t.Error("any has other than all ports of its list")
	}
}

// TestLessSockets: sockets that came along for socketpair(2) can go, and it stays.
func TestLessSockets(t *testing.T) {
	n := Find([]*Session{{Processes: 1, Facts: []Fact{ok("socket", "", 1, 1, 0), ok("socketpair", "", 1, 1, 0)}}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
	d := Drafts(n, basesOf(t, "@line"), bare)[0]
	if len(d.Lines) != 1 || d.Lines[0].Attr != AttrSockets {
		t.Fatalf("it adds %+v", d.Lines)
	}
	less := d.Less(0)
	if len(less) != 2 || len(less[0].Lines) != 0 || len(less[1].Lines) != 1 || less[1].Lines[0].Attr != AttrRule || less[1].Lines[0].Value != "socketpair 0x1" || less[1].Lines[0].Count != 1 {
		t.Errorf("less than sockets is %+v", less)
	}
}

// TestTakenAwayStaysAway: a call without which the clients were served does not come back with the calls that take
// the place of sockets.
func TestTakenAwayStaysAway(t *testing.T) {
	facts := []Fact{ok("socket", "", 1, 1, 0), ok("socketpair", "", 1, 1, 0), ok("openat2", "/srv/a", 1)}
	c := confinesOf(sandbox.Profile{}, append(Leaves(), "openat2"))
	d := &Drafts(Find([]*Session{{Processes: 1, Facts: facts}}, c, bare, Extras{Mode: sandbox.NetworkNone}), basesOf(t, "@line"), bare)[0]
	values := func(d *Draft) (out []string) {
		for _, n := range d.Lines {
			out = append(out, n.Value)
		}
		return out
	}
	at := slices.Index(values(d), "openat2")
	if at < 0 {
		t.Fatalf("it adds %q", values(d))
	}
	d = d.Less(at)[0]
	sockets := slices.IndexFunc(d.Lines, func(n Need) bool { return n.Attr == AttrSockets })
	less := d.Less(sockets)
	if got := values(less[len(less)-1]); len(less) != 2 || slices.Contains(got, "openat2") || !slices.Contains(got, "socketpair 0x1") {
		t.Errorf("in place of sockets it has %q", got)
	}
}

// TestDraftsHaveAll: whatever calls were seen, each draft's lines and base allow all of them
// that can be allowed without the network.
func TestDraftsHaveAll(t *testing.T) {
	bases := basesOf(t, "@strict", "@line", "@files", "@server", "@login")
	var facts []Fact
	for _, g := range Leaves() {
		if !within(sandbox.NetworkNone, g) {
			continue
		}
		for _, r := range seccomp.GroupRules(g) {
			f := Fact{Call: r.Name, Count: 1, PID: 1}
			for _, a := range r.Args {
				f.Args = append(f.Args, seccomp.Arg{Index: a.Index, Value: a.Value})
			}
			facts = append(facts, f)
		}
	}
	n := Find([]*Session{{Processes: 1, Facts: facts}}, everything, bare, Extras{Mode: sandbox.NetworkNone})
	if len(n.Calls) < 200 {
		t.Fatalf("%d calls", len(n.Calls))
	}
	for _, d := range Drafts(n, bases, bare) {
		allowed := slices.Clone(d.Base.Rules)
		for i := range d.Lines {
			switch {
			case strings.HasPrefix(d.Lines[i].Attr, "syscalls."):
				allowed = append(allowed, rulesOf(&d.Lines[i])...)
			case d.Lines[i].Attr == AttrSockets:
				allowed = append(allowed, seccomp.GroupRules(SocketGroups[d.Lines[i].Value])...)
			}
		}
		allowed, err := seccomp.Normalize(allowed)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range n.Calls {
			if !seccomp.Cover(allowed, c.Rule) {
				t.Errorf("on %s nothing allows %s", d.Base.Profile.Name, c.Rule)
			}
		}
	}
}

func TestLess(t *testing.T) {
	d := &Draft{Lines: []Need{{Attr: AttrRead, Value: "/a"}, {Attr: AttrWrite, Value: "/b"}}}
	if got := d.Less(0); len(got) != 1 || len(got[0].Lines) != 1 || got[0].Lines[0].Value != "/b" {
		t.Errorf("got %v", got)
	}
	got := d.Less(1)
	if len(got) != 2 || len(got[0].Lines) != 1 || got[1].Lines[1].Attr != AttrRead || got[1].Lines[1].Value != "/b" {
		t.Errorf("got %v", got)
	}
	if d.Lines[1].Attr != AttrWrite {
		t.Error("the draft itself has changed")
	}
}

// TestWiden: what is refused is granted next time, but for places that are nobody's and
// the sandbox's own.
func TestWiden(t *testing.T) {
	c := confinesOf(sandbox.Profile{}, []string{"@server"}, "/root/key.pem", "/dev/log")
	c.Rules = append(c.Rules, seccomp.Rule{Name: "setuid"})
	w := &Wide{Exec: []string{"/usr/bin"}, Mode: sandbox.NetworkNone}
	s := &Session{Facts: []Fact{
		fact("openat", syscall.EROFS, "/srv/data/x.txt", 1, 0, 0, 0o102, 0o644),
		fact("openat", syscall.EROFS, "/etc/x.txt", 1, 0, 0, 0o102, 0o644),
		fact("openat", syscall.EROFS, "/usr/bin/x", 1, 0, 0, 0o102, 0o644),
		fact("openat", syscall.ENOENT, "/root/key.pem", 1),
		fact("openat", syscall.ENOENT, "/dev/log", 1),
		fact("openat", syscall.EROFS, "/var/mail/joe", 1, 0, 0, 2),
		fact("setuid", syscall.EPERM, "", 1),
		fact("chroot", syscall.EPERM, "/srv", 1),
		fact("ioctl", syscall.EPERM, "", 1, 0, 0x5402),
		fact("ioctl", syscall.EPERM, "", 1, 0, 0x8912),
		fact("socket", syscall.EPROTONOSUPPORT, "", 1, 16, 3, 9),
		fact("clone3", syscall.ENOSYS, "", 1),
	}}
	if !w.Widen([]*Session{s}, c, bare) {
		t.Error("nothing is new")
	}
	if w.Widen([]*Session{s}, c, bare) {
		t.Error("the same is new again")
	}
	if !slices.Equal(w.Write, []string{"/srv/data", "/var/mail"}) || !slices.Equal(w.Read, []string{"/root/key.pem"}) ||
		!slices.Equal(w.Capabilities, []string{"CAP_SETUID"}) || !slices.Contains(w.Calls, "chroot") || slices.Contains(w.Calls, "socket") || w.Mode != sandbox.NetworkNone {
		t.Errorf("got %+v", w)
	}
	w.Widen([]*Session{{Facts: []Fact{fact("socket", syscall.EPERM, "", 1, 2, 1, 0)}}}, c, bare)
	if w.Mode != sandbox.NetworkHost || !slices.Equal(w.Sockets, []string{"tcp"}) {
		t.Errorf("got %+v", w)
	}
}

// notUsed is all that a profile grants and sessions did not use.
func notUsed(p *sandbox.Profile, rules []seccomp.Rule, sessions ...*Session) []Need {
	n := usedOf(p, rules, sessions, bare)
	return append(unused(p, n, bare), deniable(p, rules, n)...)
}

// TestUnused: what a profile grants and nobody used is named, and what was used is not.
func TestUnused(t *testing.T) {
	p := sandbox.Profile{
		Network:      sandbox.Network{Mode: sandbox.NetworkHost, Connect: []uint16{80, 443}},
		Capabilities: []string{"CAP_SETGID", "CAP_SETUID"}, Init: true,
		Files: sandbox.Files{Read: []string{"/srv/pub", "/srv/old"}, Exec: []string{"/usr/lib", "/usr/bin"}, Write: []string{"/srv/data", "/srv/queue", "/srv/spool"},
			Dev: []string{"null", "zero"}, Tmp: 1, Proc: true, Pty: true, State: true},
		Syscalls: sandbox.Syscalls{Allow: []string{"@server", "@watch", "@socket-tcp", "connect"}},
	}
	rules, err := seccomp.Resolve(p.Syscalls.Allow, nil)
	if err != nil {
		t.Fatal(err)
	}
	connect := ok("connect", "")
	connect.Addr = "inet 192.0.2.1:443"
	s := &Session{Processes: 2, Facts: []Fact{
		ok("openat", "/srv/pub/x.txt", 0, 0, 0), ok("mmap", "/usr/lib/libc.so", 0, 0, 5), ok("openat", "/srv/data/y.txt", 0, 0, 0o102, 0o644), ok("openat", "/srv/spool/z.txt", 0, 0, 0),
		ok("setuid", "", 0), ok("openat", "/dev/null", 0, 0, 2), ok("socket", "", 2, 1, 0), connect, ok("openat", "/tmp/a", 0, 0, 0o102, 0o600), ok("fork", ""),
	}}
	var got []string
	for _, n := range notUsed(&p, rules, s) {
		got = append(got, n.Attr+" "+n.Value)
	}
	for _, want := range []string{"capabilities CAP_SETGID", "files.read /srv/old", "files.exec /usr/bin", "files.write /srv/queue", "files.read /srv/spool", "files.dev zero",
		"files.proc false", "files.pty false", "files.state false", "network.connect 80", "syscalls.deny @watch", "syscalls.deny @event"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not named", want)
		}
	}
	for _, wrong := range []string{"capabilities CAP_SETUID", "files.read /srv/pub", "files.exec /usr/lib", "files.write /srv/data", "files.write /srv/spool", "files.dev null", "files.tmp none",
		"init false", "network.connect 443", "network.mode none", "syscalls.deny @process", "syscalls.deny @file-write", "syscalls.deny @signal"} {
		if slices.Contains(got, wrong) {
			t.Errorf("%s is named", wrong)
		}
	}
	var deny []string
	for _, n := range notUsed(&p, rules, s) {
		if n.Attr == AttrDeny {
			deny = append(deny, n.Value)
		}
	}
	if _, err := seccomp.Resolve(p.Syscalls.Allow, deny); err != nil {
		t.Errorf("what may be denied cannot be: %v", err)
	}
}

func TestBeyond(t *testing.T) {
	d := &Draft{Lines: []Need{{Attr: AttrWrite, Value: "/srv/data"}, {Attr: AttrAllow, Value: "@process"}, {Attr: AttrTmp, Value: "16MiB"}}}
	o := &Draft{Lines: []Need{{Attr: AttrRead, Value: "/srv/data/x"}, {Attr: AttrRead, Value: "/srv/database"}, {Attr: AttrWrite, Value: "/srv"}, {Attr: AttrAllow, Value: "fork"},
		{Attr: AttrAllow, Value: "chroot"}, {Attr: AttrTmp, Value: "16MiB"}, {Attr: AttrProc, Value: "true"}}}
	var got []string
	for _, n := range o.Beyond(d) {
		got = append(got, n.Attr+" "+n.Value)
	}
	if want := []string{"files.read /srv/database", "files.write /srv", "syscalls.allow chroot", "files.proc true"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestStands: a profile made to show most of the host is no base.
func TestStands(t *testing.T) {
	for dir, want := range map[string]bool{"/usr/share": true, "/lib": true, "/etc": false, "/var": false, "/home": false} {
		if got := Stands(&sandbox.Profile{Files: sandbox.Files{Read: []string{dir}}}); got != want {
			t.Errorf("%s: %t", dir, got)
		}
	}
}

// TestUnusedCountsTheLoader: the program and what the kernel maps for it are used, though no
// call of a session names them.
func TestUnusedCountsTheLoader(t *testing.T) {
	p := sandbox.Profile{Files: sandbox.Files{Exec: []string{"/lib64", "/usr/bin", "/usr/sbin"}}}
	for name, s := range map[string]*Session{
		"by itself":     {PID: 1, Program: "/usr/bin/dash.x"},
		"from a helper": {PID: 1, Facts: []Fact{ok("execve", "/usr/bin/dash.x")}},
		"by its end":    {PID: 1, Ends: []End{{PID: 1, Program: "/usr/bin/dash.x"}}},
	} {
		var got []string
		for _, n := range notUsed(&p, nil, s) {
			got = append(got, n.Attr+" "+n.Value)
		}
		if want := []string{"files.exec /usr/sbin"}; !slices.Equal(got, want) {
			t.Errorf("%s: never used: %v, want %v", name, got, want)
		}
	}
}

// TestUngranted: a socket that the program would serve itself widens nothing, is no need, and is
// told with the way out; one that it only calls is a word.
func TestUngranted(t *testing.T) {
	bind := fact("bind", syscall.EPERM, "/srv/ctl", 3)
	bind.Addr = "unix /srv/ctl"
	s := &Session{PID: 1, Facts: []Fact{bind}, Complaints: []Complaint{{PID: 1, Call: 5, Text: "Traceback"}}}
	c := confinesOf(sandbox.Profile{Network: sandbox.Network{Mode: sandbox.NetworkNone}}, []string{"@server"})
	w := &Wide{Mode: sandbox.NetworkNone}
	if w.Widen([]*Session{s}, c, bare) {
		t.Errorf("it is observed again with %+v", w)
	}
	n := new(Needs)
	if n.Miss([]*Session{s}, c, bare); len(n.Calls)+len(n.Other) > 0 {
		t.Errorf("it is a need: %+v", n)
	}
	got := Ungranted([]*Session{s}, c)
	if len(got) != 1 || got[0].Remedy != ownSocket || got[0].Before == "" {
		t.Errorf("got %+v", got)
	}
	s.Facts[0].Call = "connect"
	if w.Widen([]*Session{s}, c, bare); !slices.Equal(w.Sockets, []string{"unix"}) || w.Mode != sandbox.NetworkNone || len(w.Calls) > 0 {
		t.Errorf("to connect to one: %+v", w)
	}
	if got := Ungranted([]*Session{s}, c); len(got) > 0 {
		t.Errorf("to connect to one is granted by nothing: %+v", got)
	}
}

// TestFailed: a session whose program ends with an error has failed, unless its status is normal,
// and one of whose helpers did after it was refused something; a client that hung up is no error.
func TestFailed(t *testing.T) {
	c := confinesOf(sandbox.Profile{}, []string{"@line", "@file-write"}, "/srv/x")
	refused := fact("openat", syscall.EROFS, "/srv/data/x", 3, 0, 0, 0o102, 0o644)
	for name, tt := range map[string]struct {
		ends    []End
		facts   []Fact
		normal  []int
		failed  bool
		refused int
	}{
		"well":                    {ends: []End{{PID: 1, Calls: 9}}, facts: []Fact{refused}},
		"a status":                {ends: []End{{PID: 1, Calls: 9, Status: 1}}, failed: true},
		"a status and a refusal":  {ends: []End{{PID: 1, Calls: 9, Status: 1}}, facts: []Fact{refused}, failed: true, refused: 1},
		"a normal one":            {ends: []End{{PID: 1, Calls: 9, Status: 1}}, facts: []Fact{refused}, normal: []int{1}},
		"another than the normal": {ends: []End{{PID: 1, Calls: 9, Status: 2}}, normal: []int{1}, failed: true},
		"a crash":                 {ends: []End{{PID: 1, Calls: 9, Signal: syscall.SIGSEGV}}, normal: []int{0, 1}, failed: true},
		"the filter":              {ends: []End{{PID: 1, Calls: 9, Signal: syscall.SIGSYS}}, failed: true},
		"its client has gone":     {ends: []End{{PID: 1, Calls: 9, Signal: syscall.SIGPIPE}}},
		"casemate ended it":       {ends: []End{{PID: 1, Calls: 9, Signal: syscall.SIGKILL}}},
		"another program first":   {ends: []End{{PID: 1, Calls: 5, Status: 1, Exec: true}, {PID: 1, Calls: 9}}},
		"a helper's no":           {ends: []End{{PID: 2, Calls: 9, Status: 1}, {PID: 1, Calls: 9}}, facts: []Fact{refused}},
		"a helper that is refused": {ends: []End{{PID: 2, Calls: 9, Status: 1}, {PID: 1, Calls: 9}},
			facts: []Fact{func() Fact { f := refused; f.PID = 2; return f }()}, failed: true, refused: 1},
	} {
		got := Failed([]*Session{{PID: 1, Ends: tt.ends, Facts: tt.facts}}, c, tt.normal)
		if len(got) > 0 != tt.failed || len(got) > 0 && len(got[0].Refused) != tt.refused {
			t.Errorf("%s: %+v, want failed %t with %d refusals", name, got, tt.failed, tt.refused)
		}
	}
}
