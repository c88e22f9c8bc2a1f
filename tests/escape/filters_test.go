package escape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/machine"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
	"casemate/tests/verdict"

	"golang.org/x/sys/unix"
)

// once are the shipped profiles under which a program executes nothing more.
var once = []string{"strict", "line", "files", "perl"}

// launched are the calls between a filter's installation and the exec of the program, which the program
// inherits, with the profiles that have them. $ctl and its like are descriptors that no service can make.
var launched = []struct {
	of    func(p *sandbox.Profile, c *sandbox.Command) bool
	calls string
}{
	{nil, "recvmsg 0=$ctl;sendmsg 0=$ctl;exit_group;close;getpid;setsid;dup3;fcntl 1=2;close_range;capset;capget;getuid;rt_sigprocmask;" + hangUpRule + ";" +
		"prctl 0=1 1=9;execveat 0=$exec 4&0xffffefff=0;landlock_restrict_self 0=$landlock 1=0;clone 0=$flags"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return c.Dynamic }, "setresuid 0&0xffff0000=0x70000000 1&0xffff0000=0x70000000 2&0xffff0000=0x70000000;" +
		"setresgid 0&0xffff0000=0x70000000 1&0xffff0000=0x70000000 2&0xffff0000=0x70000000"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return !c.Dynamic }, "setresuid 0=$uid 1=$uid 2=$uid"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return p.Files.Proc }, "mount 3=0xf"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return p.Files.Tmp+p.Files.Shm > 0 || c.Log }, "mount 3=0xe"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return p.Files.Pty }, "mount 3=0xa"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return ownMounts(p) }, "clone 0=$ahead;setns 0=$mntns 1=0x20000;write 0=$wake;prlimit64 0=0 1=7"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return c.Log }, "bind 0=$log;prlimit64 0=0 1=7;socket 0=1 1&0xf=2 2=0;connect;sendmsg"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return len(p.Capabilities) > 0 }, "prctl 0=47 1=2"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return p.Init }, "setns 0=$pidns 1=0x20000000;unshare 0=0x20000000;pipe2 1=0x80000;clone 0=0x4000111;" +
		"wait4 2=0;pidfd_open 0=2 1=0;ppoll 1=1"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool { return c.Listens }, "accept;accept4;getsockname;recvfrom;recvmsg"},
	{func(p *sandbox.Profile, c *sandbox.Command) bool {
		return c.Listens && p.Network.Mode != sandbox.NetworkNone
	}, "sendto;sendmsg"},
}

// ownMounts tells whether each connection has mounts of its own, in a namespace that was made ahead or is its own.
func ownMounts(p *sandbox.Profile) bool {
	f := &p.Files
	return f.Proc || f.Pty || f.Log || f.State || f.Tmp+f.Shm > 0
}

// written reads rules as "call index=value index&mask=value;call".
func written(t *testing.T, text string, names map[string]uint32) (rules []filter.Rule) {
	t.Helper()
	for _, one := range strings.Split(text, ";") {
		words := strings.Fields(one)
		nr, ok := seccomp.Number(words[0])
		if !ok {
			t.Fatalf("%q is no call", words[0])
		}
		r := filter.Rule{Call: nr}
		for _, w := range words[1:] {
			var a filter.Arg
			left, right, _ := strings.Cut(w, "=")
			if v, ok := names[right]; ok {
				a.Value = v
			} else if _, err := fmt.Sscan(right, &a.Value); err != nil {
				t.Fatalf("%q: %v", w, err)
			}
			index, mask, masked := strings.Cut(left, "&")
			if _, err := fmt.Sscan(index, &a.Index); err != nil {
				t.Fatalf("%q: %v", w, err)
			}
			if masked {
				if _, err := fmt.Sscan(mask, &a.Mask); err != nil {
					t.Fatalf("%q: %v", w, err)
				}
			}
			r.Args = append(r.Args, a)
		}
		rules = append(rules, r)
	}
	return rules
}

// shippedFilter is the filter of a service under a shipped profile as its zygote installs it, and what it is to enforce.
func shippedFilter(t *testing.T, doc *policy.Document, p *sandbox.Profile, c sandbox.Command) (*verdict.Machine, *verdict.Policy) {
	t.Helper()
	const high, uid = 4321, 1234
	c.Service, c.Path, c.Argv, c.Sockets = p.Name, "/bin/true", []string{"true"}, 1
	c.UID, c.GID, c.Log = uid, uid, p.Files.Log
	compiled := *doc.Policy.Profile(p.Name)
	plan, err := sandbox.NewPlan(compiled, c)
	if err != nil {
		t.Fatal(err)
	}
	const abi = 7
	f := launch.Compile(plan.Shape(abi))
	if f.Error != "" {
		t.Fatalf("%s: %s", p.Name, f.Error)
	}
	prog, _, err := f.Fill(high, uid)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}

	// And the same in words.
	names, err := seccomp.Resolve(p.Syscalls.Allow, p.Syscalls.Deny)
	if err != nil {
		t.Fatal(err)
	}
	of := &verdict.Policy{OnViolation: p.Syscalls.OnViolation, Once: slices.Contains(once, p.Name), Init: p.Init}
	flags := uint32(unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | unix.SIGCHLD | unix.CLONE_VM | unix.CLONE_VFORK)
	if p.Init {
		flags |= unix.CLONE_NEWUTS
	} else {
		flags |= unix.CLONE_NEWPID
	}
	for _, r := range names {
		nr, _ := seccomp.Number(r.Name)
		of.Rules = append(of.Rules, filter.Rule{Call: nr, Args: r.Args})
		if slices.Contains([]string{"shmget", "semget", "msgget", "mq_open"}, r.Name) {
			flags |= unix.CLONE_NEWIPC
		}
	}
	ahead := flags
	if ownMounts(p) {
		flags |= unix.CLONE_NEWNS
	}
	for _, r := range p.Syscalls.ByArgument {
		nr, _ := seccomp.Number(r.Name)
		for _, v := range r.Values {
			of.Rules = append(of.Rules, filter.Rule{Call: nr, Args: []filter.Arg{{Index: r.Arg, Mask: r.Mask, Value: v}}})
		}
	}
	for _, l := range launched {
		if l.of == nil || l.of(p, &c) {
			of.Rules = append(of.Rules, written(t, l.calls, map[string]uint32{"$ctl": high, "$landlock": high + 1, "$exec": high + 2, "$pidns": high + 3, "$log": high + 4, "$mntns": high + 5, "$wake": high + 6,
				"$uid": uid, "$flags": flags, "$ahead": ahead})...)
		}
	}
	return verdict.Load(t, prog), of
}

// TestShippedFilters asks the filter of every shipped profile, as a zygote installs it, for every system call by number, on
// each entry of the kernel, and for all that rules compare: its answer is what the lists of the profile and the launch say.
func TestShippedFilters(t *testing.T) {
	var text strings.Builder
	text.WriteString("policy { edition = 1 }\n")
	profiles := lang.ShippedProfiles()
	for _, p := range profiles {
		fmt.Fprintf(&text, "service %q {\n  listen = [\"unix:/run/%s\"]\n  command = [\"/bin/true\"]\n  user = \"root\"\n  because = \"a test\"\n  acl = acl.anyone\n  profile = profile.%[1]s\n}\n", p.Name, p.Name)
	}
	doc, diags := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text.String())}})
	if doc == nil {
		t.Fatalf("compile: %v", diags)
	}
	for _, p := range profiles {
		for kind, c := range map[string]sandbox.Command{"fixed": {}, "dynamic": {Dynamic: true}, "wait": {Dynamic: true, Listens: true}} {
			t.Run(p.Name+"/"+kind, func(t *testing.T) {
				vm, of := shippedFilter(t, doc, &p, c)
				asked, wrong := 0, 0
				ask := func(c verdict.Call) {
					asked++
					if got, want := vm.Run(t, c), of.Says(c); got != want && wrong < 10 {
						wrong++
						t.Errorf("%s (call %d of %#x from %#x) %#x: %#x, want %#x", seccomp.Name(int(c.Nr)), c.Nr, c.Arch, c.IP, c.Args, got, want)
					}
				}
				numbers(ask)
				compared(of, ask)
				if kind == "fixed" {
					lists(of, ask)
				}
				t.Logf("%d calls", asked)
			})
		}
	}
}

// ones is every bit of an argument.
const ones = ^uint64(0)

// numbers asks for every number on every entry, with arguments that mean nothing.
func numbers(ask func(verdict.Call)) {
	for _, args := range [][6]uint64{{}, {ones, ones, ones, ones, ones, ones}, {1, 2, 3, 4, 5, 6}, {0, 1 << 40, 1 << 33, 1 << 63, 1 << 50, 1 << 32}} {
		for nr := range uint32(601) {
			for _, arch := range []uint32{verdict.Here, verdict.I386, 0, verdict.Here ^ 0xc000003e ^ 0xc00000b7 /* arm64, or x86-64 */, verdict.Here &^ (1 << 30)} {
				ask(verdict.Call{Nr: nr, Arch: arch, Args: args})
			}
			ask(verdict.Call{Nr: nr | verdict.X32, Arch: verdict.Here, Args: args})
			ask(verdict.Call{Nr: nr | verdict.X32, Arch: verdict.I386, Args: args})
			ask(verdict.Call{Nr: nr, Arch: verdict.Here, IP: machine.Gate, Args: args})
			ask(verdict.Call{Nr: nr | 1<<31, Arch: verdict.Here, Args: args})
		}
		for _, nr := range []uint32{^uint32(0), 10000, 1 << 16, 1<<31 - 1} {
			ask(verdict.Call{Nr: nr, Arch: verdict.Here, Args: args})
		}
	}
}

// compared asks for what each rule allows, for each bit of it that is otherwise, and for all of that with the high
// bits that the kernel does not see.
func compared(of *verdict.Policy, ask func(verdict.Call)) {
	for _, r := range of.Rules {
		for _, rest := range []uint64{0, ones >> 32} {
			c := verdict.Call{Nr: uint32(r.Call), Arch: verdict.Here, Args: [6]uint64{rest, rest, rest, rest, rest, rest}}
			for _, a := range r.Args {
				c.Args[a.Index] = uint64(a.Value) | rest&^uint64(a.Bits())
			}
			ask(c)
			for i := range c.Args {
				for _, high := range []uint64{1 << 32, 1 << 63, ones &^ (1<<32 - 1)} {
					with := c
					with.Args[i] |= high
					ask(with)
				}
			}
			for _, a := range r.Args {
				for bit := range 64 {
					other := c
					other.Args[a.Index] ^= 1 << bit
					ask(other)
				}
			}
		}
	}
}

// lists asks for what filters know by lists: every family, type and protocol of sockets, requests of
// ioctl, options of prctl, flags of clone.
func lists(of *verdict.Policy, ask func(verdict.Call)) {
	call := func(nr uint32, args ...uint64) {
		c := verdict.Call{Nr: nr, Arch: verdict.Here}
		copy(c.Args[:], args)
		ask(c)
	}
	for _, high := range []uint64{0, 1 << 32, ones &^ (1<<32 - 1)} {
		for family := range uint64(48) {
			for kind := range uint64(16) {
				for _, proto := range []uint64{0, 1, 6, 9, 15, 16, 17, 33, 58, 132, 136, 255, 256, 262, 263, ones >> 32} {
					call(unix.SYS_SOCKET, family|high, kind|high, proto|high)
				}
				call(unix.SYS_SOCKET, family|high, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK|high, high)
				call(unix.SYS_SOCKETPAIR, family|high, kind|high, high)
			}
		}
		for proto := range uint64(300) {
			for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK} {
				call(unix.SYS_SOCKET, family, unix.SOCK_STREAM, proto|high)
				call(unix.SYS_SOCKET, family, unix.SOCK_DGRAM, proto|high)
				call(unix.SYS_SOCKET, family, unix.SOCK_RAW, proto|high)
			}
		}
		for _, kind := range []uint64{0, 0x4b00, 0x5400, 0x8900, 0x8a00, 0x8b00, 0x9400, 0xb700} {
			for request := kind; request < kind+256; request++ {
				call(unix.SYS_IOCTL, 0, request|high)
			}
		}
		for _, option := range append([]uint64{unix.PR_SET_VMA, unix.PR_SET_PTRACER, unix.PR_SET_MDWE}, count(90)...) {
			for value := range uint64(70) {
				call(unix.SYS_PRCTL, option|high, value|high)
			}
		}
	}
	for _, r := range of.Rules {
		if r.Call != unix.SYS_CLONE {
			continue
		}
		for one := range 64 {
			for other := range 64 {
				call(unix.SYS_CLONE, uint64(r.Args[0].Value)^1<<one^1<<other)
			}
		}
	}
	for bit := range 64 {
		call(unix.SYS_CLONE, 1<<bit)
		call(unix.SYS_CLONE, 1<<bit|uint64(unix.SIGCHLD))
	}
}

func count(n uint64) (out []uint64) {
	for i := range n {
		out = append(out, i)
	}
	return out
}
