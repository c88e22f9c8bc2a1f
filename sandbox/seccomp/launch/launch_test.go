package launch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"
	"casemate/tests/verdict"

	"golang.org/x/sys/unix"
)

// TestListenerRules: what comes with a listening socket beside the profile's own
// calls: no send to an address without a network that grants it, and nothing
// that the profile denies.
func TestListenerRules(t *testing.T) {
	for _, c := range []struct {
		sends bool
		deny  []string
		want  bool // a send to any address
	}{
		{false, nil, false}, {true, nil, true}, {true, []string{"sendto", "sendmsg"}, false},
	} {
		for _, listens := range []bool{false, true} {
			s, err := read(program.Shape{Names: []string{"@strict"}, Deny: c.deny, Sends: c.sends, Listens: listens})
			if err != nil {
				t.Fatal(err)
			}
			rules, err := filter.Normalize(s.rules)
			if err != nil {
				t.Fatal(err)
			}
			reach := advise.Reach(seccomp.Named(rules))
			sends := slices.ContainsFunc(reach, func(r string) bool { return r != "accept" && r != "accept4" })
			if accepts := slices.Contains(reach, "accept"); accepts != listens || sends != (c.want && listens) {
				t.Errorf("sends %v deny %v, listening %v: reaches %v", c.sends, c.deny, listens, reach)
			}
		}
	}
}

// compiled is what comes of a shape whose numbers are these, not blanks.
func compiled(t *testing.T, of program.Shape, high, uid uint32) (s *shape, f program.Filter) {
	t.Helper()
	s, err := read(of)
	if err != nil {
		t.Fatal(err)
	}
	s.high, s.uid = high, uid
	if err := s.compile(&f); err != nil {
		t.Fatal(err)
	}
	return s, f
}

// TestFilledFilters: a program whose blanks were filled in is the one that is compiled of
// the same numbers, and so is its seal.
func TestFilledFilters(t *testing.T) {
	for name, change := range map[string]func(*program.Shape){
		"plain":   func(*program.Shape) {},
		"kill":    func(s *program.Shape) { s.OnViolation = filter.Kill },
		"seal":    func(s *program.Shape) { s.Seal = true },
		"pty":     func(s *program.Shape) { s.Pty = true },
		"init":    func(s *program.Shape) { s.Init = true },
		"log":     func(s *program.Shape) { s.Log, s.ABI = true, 6 },
		"dynamic": func(s *program.Shape) { s.Leases = FirstShape.Leases },
		"login":   func(s *program.Shape) { s.Names = []string{"@server", "@identity", "@process"} },
		"once":    func(s *program.Shape) { s.Names, s.Bounded = []string{"@strict"}, true },
	} {
		of := program.Shape{Names: []string{"@server"}, OnViolation: filter.Errno, CloneFlags: FirstShape.CloneFlags, Proc: true, Scratch: true}
		change(&of)
		form := Compile(of)
		if form.Error != "" {
			t.Errorf("%s: %s", name, form.Error)
		}
		for _, n := range []uint32{16, 17, 63, 64, 255, 1000, 1024, 65536, 1 << 20} {
			prog, seal, err := form.Fill(n, n*3)
			if err != nil {
				t.Fatal(err)
			}
			s, want := compiled(t, of, n, n*3)
			if !bytes.Equal(prog, want.Program) || !bytes.Equal(seal, want.Seal) {
				t.Errorf("%s, open_files %d: the filled program is another one", name, n)
			}
			if bytes.Equal(prog, form.Program) {
				t.Errorf("%s, open_files %d: the program has its blanks", name, n)
			}
			sealedAs(t, s, prog, seal)
		}
	}
}

// sealedAs holds a program with a seal on top to what is left of its rules.
func sealedAs(t *testing.T, s *shape, prog, seal []byte) {
	t.Helper()
	if !s.Seal {
		return
	}
	whole, left := s.filters()
	sealed, err := filter.Filter{Rules: left, OnViolation: s.OnViolation}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	sameAnswers(t, [][]byte{prog, seal}, sealed, whole.Rules)
}

// TestComparedBlanks: where a profile compares what is a blank of the launch's, the filled program says what
// the rules say, be the numbers the same or not; and a profile that has the number of a blank has no program.
func TestComparedBlanks(t *testing.T) {
	rules := program.Words{{unix.SYS_SENDMSG, 0, 0, 64, 2, 0x20000000, 0}, {unix.SYS_BIND, 0, 0, 66, 1, 0, 5}, {unix.SYS_CLONE, 0, 0, 17},
		{unix.SYS_SETRESUID, 0, 0, 1000}, {unix.SYS_SETRESUID, 0, 0, 1001, 1, 0, 7}, {unix.SYS_EXECVEAT, 0, 0, 66, 4, 0, 0x100}}
	slices.SortFunc(rules, func(a, b []uint32) int { return slices.Compare(a, b) })
	for _, seal := range []bool{false, true} {
		of := program.Shape{Rules: rules.Pack(), OnViolation: filter.Errno, CloneFlags: FirstShape.CloneFlags, Seal: seal}
		form := Compile(of)
		if form.Error != "" {
			t.Fatal(form.Error)
		}
		for _, n := range [][2]uint32{{64, 1000}, {64, 1001}, {66, 7}, {62, 5}} {
			prog, sealed, err := form.Fill(n[0], n[1])
			if err != nil {
				t.Fatal(err)
			}
			s, want := compiled(t, of, n[0], n[1])
			whole, _ := s.filters()
			if !seal {
				sameAnswers(t, [][]byte{prog}, want.Program, whole.Rules)
			}
			sealedAs(t, s, prog, sealed)
		}
	}
	for _, n := range []uint32{program.Blank, program.Blank + program.FDCount} {
		f := Compile(program.Shape{Rules: program.Words{{unix.SYS_IOCTL, 1, 0, n}}.Pack(), OnViolation: filter.Errno})
		if !strings.Contains(f.Error, "needs itself") || f.Program != nil {
			t.Errorf("%#x: %q", n, f.Error)
		}
	}
}

// TestFirst: the filter of casemate-filter, which stands in what runs as root, says what is compiled of its shape.
func TestFirst(t *testing.T) {
	s, err := read(FirstShape)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := s.filters()
	first := program.First()
	if _, _, err := first.Fill(64, 1000); err != nil {
		t.Fatalf("%v: run go generate in sandbox/seccomp/program", err)
	}
	want := Compile(FirstShape)
	sameAnswers(t, [][]byte{first.Program}, want.Program, whole.Rules)
}

// TestServe: an answer for each shape, the fault of one alone beside the others; and nothing that is not asked as it should be.
func TestServe(t *testing.T) {
	good, bad := FirstShape, program.Shape{Rules: program.Words{{unix.SYS_BPF}}.Pack(), OnViolation: filter.Kill}
	text, err := json.Marshal(Request{FormatVersion: program.Format, Shapes: []program.Shape{good, bad, good}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Serve(bytes.NewReader(text), &out); err != nil {
		t.Fatal(err)
	}
	var a program.Response
	if err := json.Unmarshal(out.Bytes(), &a); err != nil || len(a.Filters) != 3 {
		t.Fatalf("%v: %d filters", err, len(a.Filters))
	}
	for _, i := range []int{0, 2} {
		if _, _, err := a.Filters[i].Fill(64, 1000); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(a.Filters[1].Error, "given it up") || a.Filters[1].Program != nil {
		t.Errorf("%+v", a.Filters[1])
	}
	for _, q := range []string{"", "{}", `{"format_version":2,"shapes":[]}`, `{"format_version":1,"more":1}`, `{"format_version":1,"shapes":[{"more":1}]}`} {
		if err := Serve(strings.NewReader(q), &out); err == nil {
			t.Errorf("%s is answered", q)
		}
	}
}

// onceCase is a rule, and whether a filter with it still executes once.
type onceCase struct {
	name string
	rule filter.Rule
	want bool
}

// TestExecsOnceRules: every call that could lead to a second exec ends the promise of one.
func TestExecsOnceRules(t *testing.T) {
	for _, c := range append([]onceCase{
		{"read", call(unix.SYS_READ), true},
		{"mprotect of data", call(unix.SYS_MPROTECT, masked(2, unix.PROT_EXEC, 0)), true},
		{"asking for the personality", call(unix.SYS_PERSONALITY, eq(0, ^uint32(0))), true},
		{"READ_IMPLIES_EXEC", call(unix.SYS_PERSONALITY, eq(0, 0x400000)), false},
		{"any personality", call(unix.SYS_PERSONALITY), false},
		{"execve", call(unix.SYS_EXECVE), false},
		{"execveat of a descriptor", call(unix.SYS_EXECVEAT, eq(0, 3)), false},
		{"mprotect", call(unix.SYS_MPROTECT), false},
		{"mprotect to code", call(unix.SYS_MPROTECT, eq(2, unix.PROT_READ|unix.PROT_EXEC)), false},
		{"pkey_mprotect", call(unix.SYS_PKEY_MPROTECT), false},
		{"ptrace", call(unix.SYS_PTRACE), false},
	}, onceHere...) {
		if got := Once([]filter.Rule{call(unix.SYS_WRITE), c.rule}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// sameAnswers holds what filters on top of one another say to what one says, for every call by
// number and for those that rules describe, with the arguments that they compare and others.
func sameAnswers(t *testing.T, stack [][]byte, one []byte, rules []filter.Rule) {
	t.Helper()
	var machines []*verdict.Machine
	for _, prog := range append(stack, one) {
		machines = append(machines, verdict.Load(t, prog))
	}
	answer := func(m *verdict.Machine, nr int, args [6]uint32) int32 {
		c := verdict.Call{Nr: uint32(nr), Arch: verdict.Here}
		for i, a := range args {
			c.Args[i] = uint64(a)
		}
		return int32(m.Run(t, c))
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
