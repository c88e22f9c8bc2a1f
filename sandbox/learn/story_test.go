package learn

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// confinesOf is a profile with the rules of groups, on a host that has some paths.
func confinesOf(p sandbox.Profile, groups []string, host ...string) *Confines {
	rules, err := seccomp.Resolve(groups, nil)
	if err != nil {
		panic(err)
	}
	return &Confines{Profile: &p, Rules: rules, Exists: func(path string) bool { return slices.Contains(host, path) }}
}

// fact is a call with raw arguments that has failed, or with 0 has not.
func fact(call string, err syscall.Errno, path string, at int, raw ...uint64) Fact {
	var args [6]uint64
	copy(args[:], raw)
	return Fact{Call: call, Args: Args(call, args), Err: err, Path: path, PID: 1, First: at, Last: at, Count: 1}
}

func TestRemedy(t *testing.T) {
	c := confinesOf(sandbox.Profile{Files: sandbox.Files{Read: []string{"/srv/pub"}}}, []string{"@line"}, "/etc/motd", "/srv/data", "/usr/bin/id", "/tmp", "/tmp/page")
	const cloexec, create = 0o2000000, 0o100 | 0o1
	chrooted := fact("openat", syscall.ENOENT, "/motd", 1, 0, 0, cloexec)
	chrooted.Root = "/etc"
	at := func(call, addr, path string) Fact {
		f := fact(call, syscall.EPERM, path, 1)
		f.Addr = addr
		return f
	}
	for _, tt := range []struct {
		fact Fact
		want string
	}{
		{at("bind", "unix /srv/ctl", "/srv/ctl"), ownSocket},
		{at("bind", "unix @ctl", ""), ownSocket},
		{at("bind", "inet 127.0.0.1:0", ""), "widens = [\"network\"]\nbecause = \"...\"\nnetwork {\n  mode = \"host\"\n  bind = [\"any\"]\n}"},
		{at("bind", "inet 127.0.0.1:99", ""), "widens = [\"network\"]\nbecause = \"...\"\nnetwork {\n  mode = \"host\"\n  bind = [\"99\"]\n}"},
		{fact("openat", syscall.ENOENT, "/tmp/page", 1), "no attribute: no profile shows what the host has in /tmp: put it elsewhere, as below /srv, or have the program make it"},
		{fact("newfstatat", syscall.ENOENT, "/tmp", 1), `files { tmp = "16MiB" }`},
		{fact("openat", syscall.ENOENT, "/tmp/none", 1), `files { tmp = "16MiB" }`},
		{fact("openat", syscall.ENOENT, "/etc/motd", 1, 0, 0, cloexec), `files { read = ["/etc/motd"] }`},
		{chrooted, `files { read = ["/etc/motd"] }`},
		{fact("openat", syscall.ENOENT, "/etc/none", 1, 0, 0, cloexec), Nowhere},
		{fact("execve", syscall.ENOENT, "/usr/bin/id", 1), "widens = [\"files\"]\nfiles { exec = [\"/usr/bin/id\"] }"},
		{fact("openat", syscall.ENOENT, "/dev/urandom", 1), `files { dev = ["urandom"] }`},
		{fact("openat", syscall.ENOENT, "/dev/ptmx", 1), "widens = [\"files\"]\nfiles { pty = true }"},
		{fact("openat", syscall.ENOENT, "/proc/self/fd", 1), "widens = [\"files\"]\nfiles { proc = true } # if it is about its own processes"},
		{fact("openat", syscall.EROFS, "/srv/data/x", 1, 0, 0, create, 0o644), "widens = [\"files\"]\nfiles { write = [\"/srv/data\"] }"},
		{fact("openat", syscall.EPERM, "/srv/data/x", 1, 0, 0, create, 0o644), "widens = [\"syscalls\"]\nsyscalls { allow = [\"@file-write\"] }"},
		{fact("openat", syscall.EACCES, "/srv/pub/x", 1), "no attribute: its profile shows it, and the file's owner and mode on the host refuse it"},
		{fact("mkdir", syscall.EPERM, "/srv/data/x", 1), "widens = [\"syscalls\"]\nsyscalls { allow = [\"@file-write\"] }"},
		{fact("socket", syscall.EPERM, "", 1, 2, 1, 0), "widens = [\"network\"]\nbecause = \"...\"\nnetwork {\n  mode = \"host\"\n  sockets = [\"tcp\"]\n}"},
		{fact("socket", syscall.ENOSYS, "", 1, 1, 1, 0), "widens = [\"network\"]\nnetwork { sockets = [\"unix\"] }"},
		{fact("inotify_init1", syscall.EPERM, "", 1), "widens = [\"syscalls\"]\nsyscalls { allow = [\"@watch\"] }"},
		{fact("ioctl", syscall.EPERM, "", 1, 0, 0x5402), "widens = [\"syscalls\"]\nsyscalls { allow = [\"@tty\"] }"},
		{fact("ioctl", syscall.EPERM, "", 1, 0, 0x1234), "widens = [\"syscalls\"]\nsyscalls {\n  rule \"ioctl\" {\n    arg = 1\n    values = [\"0x1234\"]\n  }\n}"},
		{fact("setgroups", syscall.EPERM, "", 1), "widens = [\"capabilities\"]\nbecause = \"...\"\ncapabilities = [\"CAP_SETGID\"] # if it has to be"},
		{fact("openat", syscall.EMFILE, "/x", 1), "no attribute: it is the host's own limit"},
		{fact("mount", syscall.EPERM, "", 1), "widens = [\"syscalls\"]\nsyscalls { allow = [\"mount\"] }"},
		{fact("sethostname", syscall.EPERM, "", 1), "widens = [\"syscalls\"]\nsyscalls { allow = [\"sethostname\"] }"},
		{fact("reboot", syscall.EPERM, "", 1), "no attribute: no service can have it"},
	} {
		if got := c.Remedy(&tt.fact); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.fact.String(), tt.fact.Outcome(), got, tt.want)
		}
	}
}

// TestPlacedRemedy: of memory below 4 GiB, which a program that executes once is refused, trace says what why does.
func TestPlacedRemedy(t *testing.T) {
	const want = "widens = [\"syscalls\"]\nsyscalls { allow = [\"execve\"] } # " + advise.OwnPlaces
	bounded := sandbox.Profile{Resources: sandbox.Resources{sandbox.AddressSpace: 1 << 30}}
	f := fact("mmap", syscall.EPERM, "", 1, 0, 4096, 3, 0x32)
	if got := confinesOf(bounded, []string{"@line", "@strict"}).Remedy(&f); got != want {
		t.Errorf("once: %s, want %s", got, want)
	}
	for _, groups := range [][]string{{"@server"}, {"@line", "@process"}} {
		if got := confinesOf(bounded, groups).Remedy(&f); strings.Contains(got, "{") {
			t.Errorf("%v, which may execute anyway: %s", groups, got)
		}
	}
}

// TestUnixServerRemedy: to a program that makes a unix server socket nobody offers the host's network,
// nor what its profile has.
func TestUnixServerRemedy(t *testing.T) {
	at := func(call, addr, path string) Fact {
		f := fact(call, syscall.EPERM, path, 1)
		f.Addr = addr
		return f
	}
	for _, tt := range []struct {
		mode sandbox.NetworkMode
		fact Fact
		want string
	}{
		{sandbox.NetworkNone, at("bind", "unix /opt/spool/ctl", "/opt/spool/ctl"), ownSocket},
		{sandbox.NetworkListener, at("bind", "unix @ctl", ""), ownSocket},
		{sandbox.NetworkNone, at("listen", "", ""), ownSocket},
		{sandbox.NetworkNone, at("connect", "unix /run/nscd/socket", "/run/nscd/socket"), Nowhere},
		{sandbox.NetworkNone, at("connect", "unix /run/there", "/run/there"), "no attribute: casemate grants no connect to a unix socket but /dev/log without the host's network"},
		{sandbox.NetworkNone, at("connect", "unix /dev/log", "/dev/log"), "widens = [\"files\"]\nfiles { log = true }"},
		{sandbox.NetworkHost, at("bind", "unix /opt/spool/ctl", "/opt/spool/ctl"), "widens = [\"syscalls\"]\nsyscalls { allow = [\"bind\"] }"},
		{sandbox.NetworkNone, at("bind", "inet 0.0.0.0:0", ""), "widens = [\"network\"]\nbecause = \"...\"\nnetwork {\n  mode = \"host\"\n  bind = [\"any\"]\n}"},
		{sandbox.NetworkNone, at("connect", "inet 192.0.2.1:53", ""), "widens = [\"network\"]\nbecause = \"...\"\nnetwork {\n  mode = \"host\"\n  connect = [\"53\"]\n}"},
	} {
		c := confinesOf(sandbox.Profile{Network: sandbox.Network{Mode: tt.mode}}, []string{"@server", "@socket-unix"}, "/run/there", "/opt/spool")
		if got := c.Remedy(&tt.fact); got != tt.want {
			t.Errorf("%s, mode %s: %s, want %s", tt.fact.String(), tt.mode, got, tt.want)
		}
	}
}

// TestTell: a failure is a cause where its process complains or ends badly soon after, and
// a probe where it finds the file elsewhere, or goes on.
func TestTell(t *testing.T) {
	c := confinesOf(sandbox.Profile{}, []string{"@line"})
	open := func(path string, err syscall.Errno, at int) Fact {
		return fact("openat", err, path, at, 0, 0, 0o2000000)
	}
	s := &Session{PID: 1, Facts: []Fact{
		open("/etc/early", syscall.ENOENT, 2),
		open("/opt/lib/tls/libz.so", syscall.ENOENT, 5),
		fact("newfstatat", syscall.ENOENT, "/opt/lib/tls", 6),
		open("/usr/lib/libz.so", 0, 7),
		open("/etc/config", syscall.ENOENT, 400),
		open("/etc/ld.so.preload", syscall.ENOENT, 401),
		open("/etc/after", syscall.ENOENT, 420),
		fact("read", syscall.EAGAIN, "", 421),
	}}
	before := func() map[string]string {
		m := map[string]string{}
		for _, f := range Tell(s, c) {
			m[f.Path] = f.Before
			if f.Found != "" {
				m[f.Path] = "found " + f.Found
			}
		}
		return m
	}
	for path, why := range before() {
		if why != "" && !strings.HasPrefix(why, "found ") {
			t.Errorf("%s is a cause of %q without any trouble", path, why)
		}
	}
	s.Complaints = []Complaint{{PID: 1, Call: 410, Text: "no config\n"}}
	s.Ends = []End{{PID: 1, Calls: 900, Status: 1}}
	got := before()
	want := map[string]string{"/etc/early": "", "/opt/lib/tls/libz.so": "found /usr/lib/libz.so", "/opt/lib/tls": "found /usr/lib/libz.so",
		"/etc/config": `it wrote "no config"`, "/etc/ld.so.preload": "", "/etc/after": ""}
	for path, why := range want {
		if got[path] != why {
			t.Errorf("%s: %q, want %q", path, got[path], why)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	s.Ends[0].Calls = 500
	if got := before(); got["/etc/after"] != "it exited with status 1" {
		t.Errorf("what went before the end is told as %q", got["/etc/after"])
	}
	s.Ends[0] = End{PID: 1, Calls: 500, Signal: syscall.SIGTERM}
	if got := before(); got["/etc/after"] != "" {
		t.Errorf("an end that was asked for has the cause %q", got["/etc/after"])
	}
}

// TestTellNoise: what an interpreter looks for by several names and finds is no cause, and what the host does
// not have either takes no place of what a profile would show.
func TestTellNoise(t *testing.T) {
	c := confinesOf(sandbox.Profile{}, []string{"@line"}, "/etc/app", "/etc/app2")
	open := func(path string, err syscall.Errno, at int) Fact {
		return fact("openat", err, path, at, 0, 0, 0o2000000)
	}
	s := &Session{PID: 1, Complaints: []Complaint{{PID: 1, Call: 100, Text: "no"}}, Facts: []Fact{
		open("/etc/app", syscall.ENOENT, 1),
		open("/etc/app2", syscall.ENOENT, 2),
		open("/lib/re/__init__.cpython-311-x86_64-linux-gnu.so", syscall.ENOENT, 10),
		open("/lib/re/__init__.so", syscall.ENOENT, 11),
		open("/lib/re/__init__.py", 0, 12),
		open("/a", syscall.ENOENT, 20), open("/b", syscall.ENOENT, 21), open("/c", syscall.ENOENT, 22), open("/d", syscall.ENOENT, 23),
	}}
	var blamed []string
	for _, f := range Tell(s, c) {
		if f.Before != "" {
			blamed = append(blamed, f.Path)
		}
		if strings.HasSuffix(f.Path, ".so") && f.Found != "/lib/re/__init__.py" {
			t.Errorf("%s was found as %q", f.Path, f.Found)
		}
	}
	if want := []string{"/etc/app", "/etc/app2", "/d"}; !slices.Equal(blamed, want) {
		t.Errorf("the causes are %v, want %v", blamed, want)
	}
}

// TestAccess: every call of the table is one, and what it opens by its flags is told apart.
func TestAccess(t *testing.T) {
	for call, a := range access {
		if _, ok := seccomp.Number(call); !ok {
			t.Errorf("%s is no call", call)
		}
		if a.use == "" {
			t.Errorf("%s has no use", call)
		}
	}
	for flags, want := range map[uint64]Use{0: Read, 0o2000000: Read, 1: Write, 2: Write, 0o1001: Write, 0o102: Make, 0o20200002: Make} {
		f := fact("openat", 0, "/x", 1, 0, 0, flags)
		if got := f.Use(); got != want {
			t.Errorf("openat with %#o: %s, want %s", flags, got, want)
		}
	}
	f := fact("open", 0, "/x", 1, 0, 0o102)
	if f.Use() != Make {
		t.Errorf("open to create: %s", f.Use())
	}
	if g := fact("open", 0, "/x", 1, 0, 0, 0o777); len(g.Args) != 1 {
		t.Errorf("a mode that the kernel does not look at is kept: %v", g.Args)
	}
}
