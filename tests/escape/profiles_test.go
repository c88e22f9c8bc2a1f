package escape

import (
	"fmt"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// everywhere are the attempts that no shipped profile may let through.
var everywhere = []attempt{
	{number: 1, line: "open-read /etc/shadow", want: unseen},
	{number: 2, line: "create /new", want: readonly},
	{number: 12, line: "mount-tmpfs /dev 14", want: shut + "|ENOENT"},
	{number: 12, line: "chroot", want: shut},
	{number: 18, line: "core", want: "EPERM"},
	{number: 19, line: "ptrace {sleeper}", want: nobodyIs},
	{number: 21, line: "kill {sleeper}", want: nobodyIs},
	{number: 26, line: "raw-threads 20", want: shut},
	{number: 26, line: "vforks 20", want: shut},
	{number: 26, line: "shm-hoard", want: shut},
	{number: 26, line: "sem-hoard", want: shut},
	{number: 26, line: "msg-hoard", want: shut},
	{number: 26, line: "mqueue", want: shut},
	{number: 26, line: "watches", want: shut},
	{number: 31, line: "untie 0", want: shut},
	{number: 31, line: "untie 15", want: shut},
	{number: 32, line: "unshare 0x10000000", want: shut},
	{number: 32, line: "unshare 0x40000000", want: shut},
	{number: 36, line: "map-wx", want: shut},
	{number: 38, line: "setuid", want: shut},
	{number: 38, line: "setgroups", want: shut},
	{number: 39, line: "capset", want: shut},
	{number: 43, line: "tiocsti-high", want: shut + "|ENOTTY"},
	{number: 44, line: "uring-setup", want: shut},
	{number: 45, line: "bpf", want: shut},
	{number: 47, line: "int80", want: "killed"},
	{number: 51, line: "vsock", want: noSocket},
	{number: 54, line: "tcp 127.0.0.1 {tcp}", want: unreachable},
	{number: 55, line: "reaim 127.0.0.1 {tcp}", want: shut},
	{number: 56, line: "relisten", want: shut},
	{number: 57, line: "ifconf", want: shut},
	{number: 61, line: "unix-abstract {abstract}", want: noSocket + "|ECONNREFUSED"},
}

// TestEveryShippedProfile makes them under each profile as it is shipped. A
// profile that kills where another answers an error denies as well.
func TestEveryShippedProfile(t *testing.T) {
	rig.Root(t)
	victim, c := compileVictim(t), plant(t)
	names := []string{"strict", "line", "files", "server", "login", "go", "perl", "python", "shell", "git", "node", "classic"}
	ports := map[string]string{}
	var s strings.Builder
	s.WriteString("policy { edition = 1 }\nlimit \"wide\" { concurrent = 1000 }\n")
	for _, n := range names {
		ports[n] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"nobody\"\n"+
			"  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[1]s\n}\n", n, ports[n], victim)
	}
	rig.Serve(t, s.String())
	values := c.values(victim, rig.Port(t))
	for _, n := range names {
		if o := inside(t, ports[n], "limits"); o.result != "ok" {
			t.Errorf("%s: the victim does not run: %s", n, o)
		}
		for _, a := range everywhere {
			line, want := fill(t, a.line, values), a.want+"|killed"
			if n == "node" && a.number == 36 {
				continue // what @jit is for
			}
			if n == "classic" && a.number == 1 {
				want += "|EACCES" // it shows /etc, with the modes of its files
			}
			if o := inside(t, ports[n], line); !denied(want, o) {
				t.Errorf("%s: #%d %s: %s, want %s", n, a.number, line, o, a.want)
			}
		}
	}
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
}
