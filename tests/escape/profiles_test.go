package escape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// everywhere are the attempts that no shipped profile may let through.
var everywhere = append([]attempt{
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
	{number: 51, line: "vsock", want: noSocket},
	{number: 54, line: "tcp 127.0.0.1 {tcp}", want: unreachable},
	{number: 55, line: "reaim 127.0.0.1 {tcp}", want: shut},
	{number: 56, line: "relisten", want: shut},
	{number: 57, line: "ifconf", want: shut},
	{number: 61, line: "unix-abstract {abstract}", want: noSocket + "|ECONNREFUSED"},
}, everywhereHere...)

// shippedUser is whom a shipped profile is for: root where it keeps capabilities, to become others by.
func shippedUser(p *sandbox.Profile) string {
	if len(p.Capabilities) > 0 {
		return "root"
	}
	return "dynamic"
}

// refusals are the errors of calls that are not there, not allowed, or of things that are not shown or not to change:
// which of them it is, is another matter in each profile.
const refusals = shut + "|EROFS|ENOENT|killed"

// granted tells whether a shipped profile lets an attempt through on purpose.
func granted(p *sandbox.Profile, a attempt, line string) bool {
	name, arg, _ := strings.Cut(line, " ")
	root, host := shippedUser(p) == "root", p.Network.Mode == sandbox.NetworkHost
	has := func(c string) bool { return slices.Contains(p.Capabilities, c) }
	calls := func(name string) bool {
		rules, err := seccomp.Resolve(p.Syscalls.Allow, p.Syscalls.Deny)
		return err == nil && seccomp.Cover(rules, seccomp.Rule{Name: name})
	}
	switch name {
	case "open-read": // it asks for passwords itself, or sees what inetd showed
		return slices.ContainsFunc(p.Files.Read, func(dir string) bool {
			return arg == dir || strings.HasPrefix(arg, dir+"/") && (root || !strings.HasPrefix(arg, "/etc/"))
		})
	case "setuid", "setgid", "setresuid", "setresgid", "setreuid":
		return root // which it is, with no right left but those that the profile names
	case "setfsuid", "neighbour":
		return has("CAP_SETUID")
	case "setgroups":
		return has("CAP_SETGID")
	case "chroot":
		return has("CAP_SYS_CHROOT") && calls("chroot")
	case "capset":
		return has("CAP_SYS_CHROOT") // which is the one that it raises
	case "forks", "threads":
		return root // RLIMIT_NPROC does not count root's: the service's cgroup does
	case "eat": // 512 MiB
		return p.Resources[sandbox.Data] > 512<<20 && p.Resources[sandbox.AddressSpace] > 512<<20
	case "untie": // from init, which is tied itself
		return slices.ContainsFunc(p.Syscalls.ByArgument, func(r sandbox.SyscallRule) bool {
			return r.Name == "prctl" && slices.Contains(r.Values, unix.PR_SET_PDEATHSIG)
		})
	case "accept", "rebind":
		return calls(map[string]string{"accept": "accept4", "rebind": "bind"}[name])
	case "listen":
		return host && slices.Equal(p.Network.Bind, []uint16{0})
	case "udp":
		return host && (p.Name == "tftpd" || p.Name == "classic_tftpd") // whose answers go to any client
	case "list-pids":
		return root && p.Files.Proc // those of its own namespace, with the init, which is root's too
	case "ambient":
		return has("CAP_NET_BIND_SERVICE") // which is the one that it raises
	}
	return a.number == 36 && slices.Contains(p.Syscalls.Allow, "@jit")
}

// TestEveryShippedProfile makes every attempt of the tables under each profile as it is shipped. A
// profile that kills where another answers an error denies as well, and what a profile does not show is
// not there. What a profile grants is written down in granted.
func TestEveryShippedProfile(t *testing.T) {
	rig.Root(t)
	restingUser(t)
	victim, c, reached := compileVictim(t), plant(t), plant(t)
	profiles := lang.ShippedProfiles()
	ports := map[string]string{}
	var s strings.Builder
	s.WriteString("policy { edition = 1 }\nlimit \"wide\" { concurrent = 1000 }\n" +
		"profile \"relay_c\" {\n  base = profile.relay\n  widens = [\"syscalls\"]\n  syscalls {\n    allow = [\"newfstatat\", \"readlink\"]\n  }\n}\n")
	for _, p := range profiles {
		profile := p.Name
		if profile == "relay" { // made for a program of Go: a start of C asks for files
			profile = "relay_c"
		}
		ports[p.Name] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = %q\n"+
			"  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[5]s\n}\n", p.Name, ports[p.Name], victim, shippedUser(&p), profile)
	}
	rig.Serve(t, s.String())
	values := c.values(victim, rig.Port(t))
	free := reached.values(victim, rig.Port(t))
	t.Run("profiles", func(t *testing.T) {
		for _, p := range profiles {
			t.Run(p.Name, func(t *testing.T) {
				t.Parallel()
				lost := func(right string) bool { return strings.HasPrefix(right, "landlock") }
				if abi := landlock.ABI(); abi < landlock.ABIScopes && slices.ContainsFunc(p.BestEffort, lost) {
					need.Kernel(t, "it has Landlock ABI %d, and the profile does without the rest (%v)", abi, p.BestEffort)
				}
				everyAttempt(t, &p, ports[p.Name], values, free)
			})
		}
	})
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
}

// everyAttempt makes those of the tables on canaries that nobody may reach, but those that the profile grants.
func everyAttempt(t *testing.T, p *sandbox.Profile, port string, values, free map[string]string) {
	if o := inside(t, port, "limits"); o.result != "ok" {
		t.Fatalf("the victim does not run: %s", o)
	}
	var lines []string
	var of []attempt
	for _, a := range everything() {
		line := fill(t, a.line, values)
		if !granted(p, a, line) {
			lines, of = append(lines, line), append(of, a)
			continue
		}
		line = fill(t, a.line, free)
		if name, _, _ := strings.Cut(line, " "); slices.Contains(spends, name) {
			continue // which costs time and proves nothing where it works
		}
		if o := inside(t, port, line); !denied(a.want+"|ok", o) {
			t.Errorf("#%d %s: %s, want %s", a.number, line, o, a.want)
		}
	}
	outcomes := insideAll(t, port, lines)
	for i, a := range of {
		if o := outcomes[i]; !denied(a.want+"|"+refusals, o) {
			t.Errorf("#%d %s: %s, want %s", a.number, lines[i], o, a.want)
		}
	}
}
