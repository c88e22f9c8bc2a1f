package seccomp

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"casemate/sandbox/seccomp/filter"

	"golang.org/x/sys/unix"
)

// TestForgedRulesLoosenNothing: whatever rules a document holds, the program that
// is made of them denies what every program denies. The control is the same call
// with what is allowed of it.
func TestForgedRulesLoosenNothing(t *testing.T) {
	everything := make(filter.Words, 0, len(table))
	for _, c := range table {
		if slices.Contains(withheld(), c.nr) {
			continue // no document is read with one of them
		}
		w := []uint32{uint32(c.nr)}
		if i, ok := map[string]uint32{"sendto": 3, "sendmsg": 2, "sendmmsg": 3}[c.name]; ok {
			w = append(w, i, msgFastopen, 0) // without it, no document is read at all
		}
		everything = append(everything, w)
	}
	forged, err := filter.Decode(everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range Actions {
		prog, err := filter.Filter{Rules: forged, OnViolation: action}.Compile()
		if err != nil {
			t.Fatal(err)
		}
		vm := machine(t, prog)
		answer := func(nr int, args ...uint64) uint32 {
			d := data{nr: uint32(nr), arch: archHere}
			copy(d.args[:], args)
			return run(t, vm, d)
		}
		for _, c := range []struct {
			what            string
			denied, allowed uint32
		}{
			{"sendto with MSG_FASTOPEN", answer(unix.SYS_SENDTO, 0, 0, 0, msgFastopen), answer(unix.SYS_SENDTO)},
			{"sendmsg with MSG_FASTOPEN", answer(unix.SYS_SENDMSG, 0, 0, msgFastopen|1<<40), answer(unix.SYS_SENDMSG)},
			{"sendmmsg with MSG_FASTOPEN", answer(unix.SYS_SENDMMSG, 0, 0, 0, msgFastopen), answer(unix.SYS_SENDMMSG)},
			{"no parent-death signal", answer(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0), answer(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))},
			{"a weaker parent-death signal", answer(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG|1<<40, uint64(unix.SIGTERM)), answer(unix.SYS_PRCTL, unix.PR_SET_NAME)},
			{"clone3", answer(unix.SYS_CLONE3), answer(unix.SYS_CLONE)},
			{"an x32 call", answer(0x40000000 | unix.SYS_READ), answer(unix.SYS_READ)},
			{"a call in a hole", answer(400), answer(unix.SYS_GETPID)},
			{"a call to come", answer(highest + 1), answer(highest)},
			{"another architecture", run(t, vm, data{nr: unix.SYS_READ, arch: 0x40000003}), answer(unix.SYS_WRITE)},
		} {
			if c.denied == retAllow || c.allowed != retAllow {
				t.Errorf("%s, %s: answers %#x, and the control %#x", action, c.what, c.denied, c.allowed)
			}
		}
	}
}

// TestForgedRulesAreRefused: rules that the compiler would not write are no rules,
// and each change of good ones is an error or rules in canonical form.
func TestForgedRulesAreRefused(t *testing.T) {
	for want, words := range map[string]filter.Words{
		"given it up":    {{unix.SYS_BPF}},
		"MSG_FASTOPEN":   {{unix.SYS_SENDTO, 3, 0, msgFastopen}},
		"canonical":      {{unix.SYS_SENDTO}},
		"canonical form": {{1}, {0}},
		"the rules":      {{0}, {0}},
		"rules are":      {{unix.SYS_IOCTL, 1, ^uint32(0), 1}},
		"are not in":     {{unix.SYS_IOCTL}, {unix.SYS_IOCTL, 1, 0, 1}},
		"in their":       {{unix.SYS_IOCTL, 2, 0, 1, 1, 0, 1}},
		"no system":      {{400}},
		"system call":    {{0x40000000}},
		"call 429496729": {{^uint32(0)}},
		"arguments 0":    {{unix.SYS_IOCTL, 6, 0, 1}},
		"0 to 5":         {{unix.SYS_IOCTL, ^uint32(0), 0, 1}},
		"compared twice": {{unix.SYS_IOCTL, 1, 0, 1, 1, 0, 2}},
		"never matches":  {{unix.SYS_IOCTL, 1, 2, 5}},
		"0 words":        {{}},
		"3 words":        {{unix.SYS_IOCTL, 1, 0}},
	} {
		if rules, err := filter.Decode(words); err == nil || rules != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", words, err, want)
		}
	}
	named, err := Resolve([]string{"@go", "@landlock", "@socket-io"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	numbered, err := Numbered(named)
	if err != nil {
		t.Fatal(err)
	}
	good := filter.Encode(numbered)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		bad := slices.Clone(good)
		i := rng.IntN(len(bad))
		bad[i] = slices.Clone(bad[i])
		switch rng.IntN(3) {
		case 0:
			bad[i][rng.IntN(len(bad[i]))] = rng.Uint32() >> rng.IntN(32)
		case 1:
			bad[i] = append(bad[i], rng.Uint32()>>rng.IntN(32))
		default:
			bad[i], bad[rng.IntN(len(bad))] = bad[rng.IntN(len(bad))], bad[i]
		}
		rules, err := filter.Decode(bad)
		if err != nil {
			continue
		}
		if !slices.EqualFunc(filter.Encode(rules), bad, slices.Equal) {
			t.Fatalf("rules were read that are written differently: %v", bad)
		}
		if slices.ContainsFunc(rules, func(r filter.Rule) bool { return !filter.Known(r.Call) }) {
			t.Fatalf("a call that there is not: %v", bad)
		}
	}
}

// TestParentDeathSignal: whoever is tied to the broker himself keeps the signal of the launch, whatever
// a profile grants; behind an init, which is tied in his place, the grant holds (vsftpd and
// nbdkit end where it does not).
func TestParentDeathSignal(t *testing.T) {
	for _, init := range []bool{false, true} {
		rules := []filter.Rule{{Call: unix.SYS_PRCTL, Args: []filter.Arg{{Index: 0, Value: unix.PR_SET_PDEATHSIG}}}, {Call: unix.SYS_READ}}
		prog, err := filter.Filter{Rules: rules, OnViolation: filter.Errno, Init: init}.Compile()
		if err != nil {
			t.Fatal(err)
		}
		vm := machine(t, prog)
		for _, signal := range []uint64{0, uint64(unix.SIGTERM), uint64(unix.SIGKILL)} {
			d := data{nr: unix.SYS_PRCTL, arch: archHere, args: [6]uint64{unix.PR_SET_PDEATHSIG, signal}}
			if got, want := run(t, vm, d) == retAllow, init || signal == uint64(unix.SIGKILL); got != want {
				t.Errorf("init %v, signal %d: allowed is %v, want %v", init, signal, got, want)
			}
		}
	}
}
