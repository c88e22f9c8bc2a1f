package seccomp

import (
	"math/rand/v2"
	"testing"

	native "casemate/sandbox/machine"
	"casemate/sandbox/seccomp/filter"
	"casemate/tests/verdict"
)

// The words of linux/filter.h, linux/seccomp.h and linux/audit.h that the tests use.
const (
	instructionSize = 8
	opLoad, offArch = 0x20, 4
	archHere        = native.Audit
	retKillProcess  = 0x80000000
	retErrno        = 0x00050000
	retAllow        = 0x7fff0000
	retNamed        = 0x7fc00000
	errnoEPERM      = 1
	errnoENOSYS     = 38
	msgFastopen     = 0x20000000
	x32             = 0x40000000
	highest         = 469
)

// data is struct seccomp_data.
type data struct {
	nr, arch uint32
	args     [6]uint64
	ip       uint64
}

func (d data) call() verdict.Call {
	return verdict.Call{Nr: d.nr, Arch: d.arch, IP: d.ip, Args: d.args}
}

func machine(t testing.TB, prog []byte) *verdict.Machine { return verdict.Load(t, prog) }

func run(t testing.TB, vm *verdict.Machine, d data) uint32 { return vm.Run(t, d.call()) }

// policyOf is what the filter is to enforce, for verdict.Policy.Says.
func policyOf(f Filter) *verdict.Policy {
	p := &verdict.Policy{OnViolation: f.OnViolation, Once: f.Once}
	for _, r := range f.Rules {
		p.Rules = append(p.Rules, r.numbered())
	}
	return p
}

// reference says what the filter must answer, in the words of the documentation.
func reference(f Filter, d data) uint32 { return policyOf(f).Says(d.call()) }

// compile compiles and fails the test when it cannot.
func compile(t testing.TB, f Filter) *verdict.Machine {
	t.Helper()
	prog, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return machine(t, prog)
}

// plain is the same program made without libseccomp.
func plain(t testing.TB, f Filter) *verdict.Machine {
	t.Helper()
	rules, err := Numbered(f.Rules)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := filter.Filter{Rules: rules, OnViolation: f.OnViolation, Once: f.Once}.Plain()
	if err != nil {
		t.Fatal(err)
	}
	return machine(t, prog)
}

// inputs gives calls worth trying on a filter: every number, and for each rule
// the arguments it asks for, slightly wrong ones, and both with high bits.
func inputs(f Filter, rng *rand.Rand) []data {
	var out []data
	for nr := uint32(0); nr < uint32(highest)+8; nr++ {
		out = append(out, data{nr: nr, arch: archHere, args: [6]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}})
		out = append(out, data{nr: nr, arch: archHere})
	}
	for _, nr := range []uint32{0x40000000, 0x40000001, 0x40000000 | 435, 0xffffffff, 0x7fffffff, 1 << 16} {
		out = append(out, data{nr: nr, arch: archHere})
	}
	for _, arch := range []uint32{0, 0x40000003, 0x40000028, archHere ^ 0xc000003e ^ 0xc00000b7, archHere ^ 1<<31} { // i386, arm, arm64 or x86-64
		for _, nr := range []uint32{0, 1, 11, 59, 435, 0xffffffff} {
			out = append(out, data{nr: nr, arch: arch})
		}
	}
	for _, r := range f.Rules {
		nr, _ := Number(r.Name)
		d := data{nr: uint32(nr), arch: archHere}
		for i := range d.args {
			d.args[i] = rng.Uint64() >> (rng.Uint() % 64)
		}
		for _, a := range r.Args {
			d.args[a.Index] = d.args[a.Index]&^uint64(a.Bits()) | uint64(a.Value)
		}
		out = append(out, d)
		for i := range d.args {
			high := d
			high.args[i] |= 1 << (32 + rng.Uint()%32)
			off := d
			off.args[i] ^= 1 << (rng.Uint() % 32)
			out = append(out, high, off)
		}
	}
	return out
}

// agree runs a filter and the reference over the inputs.
func agree(t testing.TB, f Filter, rng *rand.Rand) {
	t.Helper()
	vm, p, plain := compile(t, f), policyOf(f), plain(t, f)
	for _, d := range inputs(f, rng) {
		want := p.Says(d.call())
		if got := run(t, vm, d); got != want {
			t.Fatalf("%s (nr %d, arch %#x, args %#x): got %#x, want %#x\nrules %v", Name(int(d.nr)), d.nr, d.arch, d.args, got, want, f.Rules)
		}
		if got := run(t, plain, d); got != want {
			t.Fatalf("plain: %s (nr %d, arch %#x, args %#x): got %#x, want %#x\nrules %v", Name(int(d.nr)), d.nr, d.arch, d.args, got, want, f.Rules)
		}
	}
}
