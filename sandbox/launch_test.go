package sandbox

import (
	"bytes"
	"slices"
	"testing"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/filter"
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
			for _, f := range []struct {
				got   []byte
				rules []filter.Rule
			}{{program, pl.launchRules(true, true)}, {seal, pl.sealRules(true)}} {
				if f.got == nil {
					continue
				}
				want, err := filter.Filter{Rules: append(f.rules, pl.rules...), OnViolation: p.Syscalls.OnViolation, Once: pl.Profile.ExecsOnce()}.Compile()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(f.got, want) {
					t.Errorf("%s, open_files %d: the filled program is another one", name, n)
				}
			}
			if form == nil {
				form = program
			} else if bytes.Equal(form, program) {
				t.Errorf("%s, open_files %d: the program is that of another number", name, n)
			}
		}
	}
}
