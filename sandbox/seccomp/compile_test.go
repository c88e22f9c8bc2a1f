package seccomp

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCompileMatchesReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, g := range Groups() {
		for _, v := range Actions {
			agree(t, Filter{Rules: GroupRules(g), OnViolation: v}, rng)
		}
	}
	cases := map[string][]Rule{
		"nothing":                  nil,
		"only clone3":              {{Name: "clone3"}},
		"same rule twice":          {{Name: "read"}, {Name: "read"}},
		"wider after narrower":     {{Name: "socket", Args: []Arg{{Index: 0, Value: 1}}}, {Name: "socket"}},
		"soft with arguments":      {{Name: "close_range", Args: []Arg{{Index: 0, Value: 3}, {Index: 2, Value: 0}}}, {Name: "close_range", Args: []Arg{{Index: 2, Mask: 0xf, Value: 4}}}},
		"soft allowed":             {{Name: "openat2"}, {Name: "io_uring_setup"}},
		"unnamed by libseccomp":    {{Name: "mseal"}, {Name: "file_setattr"}, {Name: "lsm_set_self_attr", Args: []Arg{{Index: 1, Value: 7}}}},
		"alternatives with masks":  {{Name: "mmap", Args: []Arg{{Index: 2, Mask: 4, Value: 0}}}, {Name: "mmap", Args: []Arg{{Index: 2, Mask: 2, Value: 0}}}},
		"six arguments":            {{Name: "sendto", Args: []Arg{{Index: 5, Value: 5}, {Index: 4, Value: 4}, {Index: 3, Value: 3}, {Index: 2, Value: 2}, {Index: 1, Value: 1}, {Index: 0, Value: 0}}}},
		"different argument sets":  {{Name: "prctl", Args: []Arg{{Index: 0, Value: 4}, {Index: 1, Value: 0}}}, {Name: "prctl", Args: []Arg{{Index: 1, Value: 9}}}, {Name: "prctl", Args: []Arg{{Index: 0, Value: 3}}}},
		"highest bit of an int":    {{Name: "ioctl", Args: []Arg{{Index: 1, Value: 0x80045430}}}},
		"mask of one bit":          {{Name: "fcntl", Args: []Arg{{Index: 1, Mask: 1 << 31, Value: 1 << 31}}}},
		"prefix shared by several": {{Name: "setsockopt", Args: []Arg{{Index: 1, Value: 1}, {Index: 2, Value: 9}}}, {Name: "setsockopt", Args: []Arg{{Index: 1, Value: 1}, {Index: 2, Value: 10}}}, {Name: "setsockopt", Args: []Arg{{Index: 1, Value: 6}, {Index: 2, Value: 9}}}},
	}
	for name, rules := range cases {
		t.Run(name, func(t *testing.T) {
			agree(t, Filter{Rules: rules, OnViolation: Errno}, rng)
			agree(t, Filter{Rules: rules, OnViolation: Kill}, rng)
		})
	}
}

func TestCompileErrors(t *testing.T) {
	cases := []struct {
		f    Filter
		want string
	}{
		{Filter{OnViolation: "trap"}, `on_violation "trap"`},
		{Filter{}, `on_violation ""`},
		{Filter{Rules: []Rule{{Name: "opennat"}}, OnViolation: Errno}, `unknown system call "opennat"`},
		{Filter{Rules: []Rule{{Name: "fstatat"}}, OnViolation: Errno}, `unknown system call "fstatat"`},
		{Filter{Rules: []Rule{{Name: ""}}, OnViolation: Errno}, `unknown system call ""`},
		{Filter{Rules: []Rule{{Name: "@stdio"}}, OnViolation: Errno}, `unknown system call "@stdio"`},
		{Filter{Rules: []Rule{{Name: "ioctl", Args: []Arg{{Index: 6}}}}, OnViolation: Errno}, "arguments 0 to 5"},
		{Filter{Rules: []Rule{{Name: "ioctl", Args: []Arg{{Index: 1, Value: 1}, {Index: 1, Value: 2}}}}, OnViolation: Errno}, "compared twice"},
		{Filter{Rules: []Rule{{Name: "ioctl", Args: []Arg{{Index: 1, Mask: 2, Value: 5}}}}, OnViolation: Errno}, "never matches"},
		{Filter{Rules: many("ioctl", 5000), OnViolation: Errno}, "the kernel takes 4096"},
	}
	for _, c := range cases {
		prog, err := c.f.Compile()
		if err == nil || !strings.Contains(err.Error(), c.want) || prog != nil {
			t.Errorf("%d rules: got %v, want %q", len(c.f.Rules), err, c.want)
		}
	}
}

func many(name string, n int) []Rule {
	var out []Rule
	for i := range n {
		out = append(out, Rule{name, []Arg{{Index: 1, Value: uint32(i)}}})
	}
	return out
}

// TestStubFirst pins the first instructions, which nothing may come before.
func TestStubFirst(t *testing.T) {
	prog, err := Filter{OnViolation: Kill}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if op, k := binary.NativeEndian.Uint16(prog), binary.NativeEndian.Uint32(prog[4:]); op != opLoad || k != offArch {
		t.Errorf("first instruction %#x %#x, want the load of the architecture", op, k)
	}
}

// TestAuditAnswer asks for what libaudit opens, in filters that have no rule for
// sockets, some of their own, or one that allows it, and for its neighbours.
func TestAuditAnswer(t *testing.T) {
	const none, gone, quiet = retErrno | uint32(unix.EPROTONOSUPPORT), uint32(retNamed), uint32(retErrno | errnoENOSYS)
	audit := [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT}
	for _, c := range []struct {
		allow []string
		rules []Rule
		args  [6]uint64
		want  uint32 // 0: a violation
	}{
		{[]string{"@strict"}, nil, audit, none},
		{[]string{"@login"}, nil, audit, none},
		{[]string{"@server", "@socket-server"}, nil, audit, none},
		{[]string{"@server", "@netlink-route"}, nil, audit, none},
		{[]string{"@server", "socket"}, nil, audit, retAllow},
		{[]string{"@server"}, all("socket", Arg{Index: 2, Value: 9}), audit, retAllow},
		{[]string{"@server"}, nil, [6]uint64{unix.AF_NETLINK | 1<<40, unix.SOCK_RAW, unix.NETLINK_AUDIT | 1<<40}, none}, // ints to the kernel
		{[]string{"@server"}, nil, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, 0},
		{[]string{"@server"}, nil, [6]uint64{unix.AF_INET, unix.SOCK_RAW, unix.NETLINK_AUDIT}, 0},
		{[]string{"@server"}, all("socket", Arg{Index: 0, Value: unix.AF_INET}), [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, gone},
		{[]string{"@strict"}, nil, [6]uint64{unix.AF_UNIX | 1<<40, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK | 1<<33}, gone},
		{[]string{"@strict"}, nil, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, quiet}, // nscd's
		{[]string{"@strict"}, nil, [6]uint64{unix.AF_UNIX, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, quiet},                       // syslog's
		{[]string{"@strict"}, nil, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, 1}, gone},
		{[]string{"@server"}, all("socket", Arg{Index: 0, Value: unix.AF_UNIX}, Arg{Index: 1, Value: unix.SOCK_DGRAM}), [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, gone},
		{[]string{"@server"}, all("socket", Arg{Index: 0, Value: unix.AF_UNIX}, Arg{Index: 1, Value: unix.SOCK_DGRAM}), [6]uint64{unix.AF_UNIX, unix.SOCK_SEQPACKET}, 0},
		{[]string{"@server"}, all("socket", Arg{Index: 0, Value: unix.AF_UNIX}, Arg{Index: 1, Value: unix.SOCK_DGRAM}), [6]uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, retAllow},
	} {
		rules, err := Resolve(c.allow, nil)
		if err != nil {
			t.Fatal(err)
		}
		for action, violation := range map[Action]uint32{Errno: retErrno | errnoEPERM, Kill: retKillProcess} {
			want := c.want
			if want == 0 {
				want = violation
			}
			vm := compile(t, Filter{Rules: append(slices.Clone(rules), c.rules...), OnViolation: action})
			if got := run(t, vm, data{nr: uint32(byName["socket"]), arch: archHere, args: c.args}); got != want {
				t.Errorf("%v %v %s: socket%#x answers %#x, want %#x", c.allow, c.rules, action, c.args, got, want)
			}
		}
	}
}

func TestCompileIsDeterministic(t *testing.T) {
	rules := GroupRules("@login")
	a, err := Filter{Rules: rules, OnViolation: Kill}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		shuffled := append([]Rule(nil), rules...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if b, err := (Filter{Rules: shuffled, OnViolation: Kill}).Compile(); err != nil || string(a) != string(b) {
			t.Fatalf("the order of the rules changes the program (%v)", err)
		}
	}
}

// TestProgramIsShort: how long it takes is BenchmarkCompile's.
func TestProgramIsShort(t *testing.T) {
	prog, err := (Filter{Rules: GroupRules("@login"), OnViolation: Errno}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(prog) / instructionSize; n > 800 {
		t.Errorf("%d instructions for @login", n)
	}
}

// FuzzCompile compares random filters with the reference over random calls.
func FuzzCompile(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed, uint8(seed*11))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		agree(t, randomFilter(rng, int(n)), rng)
	})
}

// randomFilter gives few calls many rules each, over few values, so that rules
// share prefixes, overlap and cover each other.
func randomFilter(rng *rand.Rand, n int) Filter {
	names := []string{"ioctl", "socket", "prctl", "clone", "close_range", "mseal", "clone3"}
	for range 1 + rng.IntN(20) {
		if name := table[rng.IntN(len(table))].name; !slices.Contains(withheldNames(), name) {
			names = append(names, name)
		}
	}
	f := Filter{OnViolation: Actions[rng.IntN(2)]}
	for range n {
		r := Rule{Name: names[rng.IntN(len(names))]}
		for _, index := range rng.Perm(6)[:rng.IntN(4)] {
			mask := []uint32{0, 0xffffffff, 4, 6, 0xf, 1 << 31, rng.Uint32() | 1}[rng.IntN(7)]
			a := Arg{Index: uint(index), Mask: mask}
			a.Value = []uint32{0, 1, 2, 4, 0x80000001, rng.Uint32()}[rng.IntN(6)] & a.Bits()
			r.Args = append(r.Args, a)
		}
		f.Rules = append(f.Rules, r)
	}
	return f
}

func BenchmarkCompile(b *testing.B) {
	f := Filter{Rules: GroupRules("@server"), OnViolation: Errno}
	for b.Loop() {
		if _, err := f.Compile(); err != nil {
			b.Fatal(err)
		}
	}
}
