package sandbox

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/filter"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestListenerRules: what comes with a listening socket beside the profile's own
// calls: no send to an address without a network that grants it, and nothing
// that the profile denies.
func TestListenerRules(t *testing.T) {
	for _, c := range []struct {
		network NetworkMode
		deny    []string
		want    bool // a send to any address
	}{
		{"none", nil, false}, {"listener", nil, true}, {"host", nil, true}, {"listener", []string{"sendto", "sendmsg"}, false},
	} {
		p := Profile{Network: Network{Mode: c.network}, Syscalls: Syscalls{Allow: []string{"@strict"}, Deny: c.deny, OnViolation: "kill"}}
		for _, listens := range []bool{false, true} {
			p.Syscalls.Rules = worded(t, p.Syscalls)
			rules, err := filter.Normalize(profileRules(p, Command{Listens: listens}))
			if err != nil {
				t.Fatal(err)
			}
			reach := advise.Reach(seccomp.Named(rules))
			sends := slices.ContainsFunc(reach, func(r string) bool { return r != "accept" && r != "accept4" })
			if accepts := slices.Contains(reach, "accept"); accepts != listens || sends != (c.want && listens) {
				t.Errorf("network %s deny %v, listening %v: reaches %v", c.network, c.deny, listens, reach)
			}
		}
	}
}

// TestSameFilterCompiledOnce: equal rules come to the same program, not only to an equal
// one, also where they are asked for at once; others do not wait for it.
func TestSameFilterCompiledOnce(t *testing.T) {
	program := func(p Profile, c Command) []byte {
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Error(err)
			return []byte{0}
		}
		prog, _, err := pl.filter(true, true)
		if err != nil {
			t.Error(err)
			return []byte{0}
		}
		return prog
	}
	listens := shell("")
	listens.Listens = true
	other := realistic()
	other.Syscalls.Deny = []string{"flock"}
	want, different := program(realistic(), listens), program(other, listens)
	if &want[0] == &different[0] {
		t.Error("different filters are one program")
	}
	same := make(chan *byte)
	for range 16 {
		go func() { same <- &program(realistic(), listens)[0] }()
	}
	for range 16 {
		if got := <-same; got != &want[0] {
			t.Fatal("a filter was compiled again")
		}
	}
}

// TestFilledFilters: a program whose blanks were filled in is the one that is compiled of
// the same rules, and for services that differ in descriptors and users alone libseccomp works
// once.
func TestFilledFilters(t *testing.T) {
	for name, change := range map[string]func(*Profile, *Command){
		"plain":   func(*Profile, *Command) {},
		"kill":    func(p *Profile, _ *Command) { p.Syscalls.OnViolation = "kill" },
		"seal":    func(p *Profile, _ *Command) { p.Syscalls.Seal = true },
		"pty":     func(p *Profile, _ *Command) { p.Files.Pty = true },
		"init":    func(p *Profile, _ *Command) { p.Init = true },
		"dynamic": func(_ *Profile, c *Command) { c.Dynamic = true },
		"login":   func(p *Profile, _ *Command) { p.Syscalls.Allow = []string{"@server", "@identity", "@process"} },
		"once":    func(p *Profile, _ *Command) { p.Syscalls.Allow = []string{"@strict"} },
	} {
		var form []byte
		for _, n := range []int64{16, 17, 63, 64, 255, 1000, 1024, 65536, 1 << 20} {
			p, c := realistic(), Command{Path: "/bin/cat", Argv: []string{"cat"}, UID: uint32(n * 3), GID: 7, Sockets: 1}
			change(&p, &c)
			p.Resources[OpenFiles] = n
			pl, err := planOf(t, p, c)
			if err != nil {
				t.Fatal(err)
			}
			known := len(programs.known)
			program, seal, err := pl.filter(true, true)
			if err != nil {
				t.Fatal(err)
			}
			if form != nil && len(programs.known) != known {
				t.Errorf("%s, open_files %d: compiled again", name, n)
			}
			own := filter.Filter{Rules: append(pl.launchRules(true, true), pl.rules...), OnViolation: p.Syscalls.OnViolation, Once: pl.Profile.ExecsOnce()}
			want, err := own.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(program, want) {
				t.Errorf("%s, open_files %d: the filled program is another one", name, n)
			}
			if seal != nil {
				own.Rules = append([]filter.Rule{call(unix.SYS_RT_SIGPROCMASK), call(unix.SYS_EXIT_GROUP), pl.execRule(true)}, pl.rules...)
				sealed, err := own.Compile()
				if err != nil {
					t.Fatal(err)
				}
				sameAnswers(t, [][]byte{program, seal}, sealed, append(pl.launchRules(true, true), own.Rules...))
			}
			if form == nil {
				form = program
			} else if bytes.Equal(form, program) {
				t.Errorf("%s, open_files %d: the program is that of another number", name, n)
			}
		}
	}
}

// sameAnswers holds what filters on top of one another say to what one says, for every call by
// number and for those that rules describe, with the arguments that they compare and others.
func sameAnswers(t *testing.T, stack [][]byte, one []byte, rules []filter.Rule) {
	t.Helper()
	machine := func(prog []byte) *bpf.VM {
		t.Helper()
		var ins []bpf.Instruction
		for ; len(prog) > 0; prog = prog[8:] {
			ins = append(ins, bpf.RawInstruction{Op: binary.NativeEndian.Uint16(prog), Jt: prog[2], Jf: prog[3], K: binary.NativeEndian.Uint32(prog[4:])}.Disassemble())
		}
		vm, err := bpf.NewVM(ins)
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
	var machines []*bpf.VM
	for _, prog := range append(stack, one) {
		machines = append(machines, machine(prog))
	}
	answer := func(m *bpf.VM, nr int, args [6]uint32) int32 {
		words := []uint32{uint32(nr), 0xc000003e, 0, 0}
		for _, a := range args {
			words = append(words, a, 0)
		}
		var text []byte
		for _, w := range words {
			text = binary.BigEndian.AppendUint32(text, w) // as the machine loads it
		}
		out, err := m.Run(text)
		if err != nil {
			t.Fatal(err)
		}
		return int32(out)
	}
	try := func(nr int, args [6]uint32) {
		got := int32(0x7fff0000)
		for _, m := range machines[:len(stack)] {
			got = min(got, answer(m, nr, args)) // as the kernel ranks them, seccomp(2)
		}
		if want := answer(machines[len(stack)], nr, args); got != want {
			t.Errorf("call %d%v: %#x, want %#x", nr, args, uint32(got), uint32(want))
		}
	}
	for nr := range 600 {
		try(nr, [6]uint32{})
		try(nr, [6]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)})
	}
	for _, r := range rules {
		for _, rest := range []uint32{0, 1, ^uint32(0)} {
			args := [6]uint32{rest, rest, rest, rest, rest, rest}
			for _, a := range r.Args {
				args[a.Index] = a.Value | rest&^a.Bits()
			}
			try(r.Call, args)
			for _, a := range r.Args {
				other := args
				other[a.Index]++
				try(r.Call, other)
			}
		}
	}
}
