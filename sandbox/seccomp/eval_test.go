package seccomp

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"casemate/sandbox/seccomp/filter"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The words of linux/filter.h, linux/seccomp.h and linux/audit.h that the tests use.
const (
	instructionSize = 8
	opLoad, offArch = 0x20, 4
	archX8664       = 0xc000003e
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

// bytes lays data out for the virtual machine, which loads words big-endian
// while the kernel loads them natively: every word keeps its place (low half
// first) and is written big-endian.
func (d data) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, d.nr)
	b = binary.BigEndian.AppendUint32(b, d.arch)
	for _, a := range append([]uint64{d.ip}, d.args[:]...) {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
		b = binary.BigEndian.AppendUint32(b, uint32(a>>32))
	}
	return b
}

// machine makes a program runnable. It fails the test for a program that the
// kernel's checker would not take.
func machine(t testing.TB, prog []byte) *bpf.VM {
	t.Helper()
	if len(prog)%instructionSize != 0 {
		t.Fatalf("program of %d bytes", len(prog))
	}
	var ins []bpf.Instruction
	for i := 0; i < len(prog); i += instructionSize {
		ins = append(ins, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(prog[i:]), Jt: prog[i+2], Jf: prog[i+3], K: binary.NativeEndian.Uint32(prog[i+4:]),
		}.Disassemble())
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatalf("program not accepted: %v", err)
	}
	return vm
}

func run(t testing.TB, vm *bpf.VM, d data) uint32 {
	t.Helper()
	got, err := vm.Run(d.bytes())
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return uint32(got)
}

// named are the calls that answer ENOSYS and that somebody with the listener is told of: no program makes
// them unasked. Where nobody has a listener the kernel answers ENOSYS too.
var named = []string{"pidfd_getfd", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "set_mempolicy_home_node", "process_madvise", "process_mrelease",
	"mlock2", "memfd_secret", "preadv2", "pwritev2", "cachestat", "setxattrat", "getxattrat", "listxattrat", "removexattrat", "file_getattr", "file_setattr",
	"statmount", "listmount", "io_uring_setup", "io_uring_enter", "io_uring_register"}

// reference says what the filter must answer, in the words of the documentation.
func reference(f Filter, d data) uint32 {
	if d.arch != archX8664 {
		return retKillProcess
	}
	name := ""
	for _, c := range table {
		if uint32(c.nr) == d.nr {
			name = c.name
		}
	}
	if name == "" || name == "clone3" {
		return retErrno | errnoENOSYS
	}
	violation := uint32(retErrno | errnoEPERM)
	if f.OnViolation == Kill {
		violation = retKillProcess
	}
	if name == "prctl" && uint32(d.args[0]) == unix.PR_SET_PDEATHSIG && uint32(d.args[1]) != uint32(unix.SIGKILL) {
		return violation
	}
	for _, r := range f.Rules {
		if r.Name != name {
			continue
		}
		match := true
		for _, a := range r.Args {
			mask := a.Mask
			if mask == 0 {
				mask = 0xffffffff
			}
			match = match && uint32(d.args[a.Index])&mask == a.Value
		}
		flags := map[string]int{"sendto": 3, "sendmsg": 2, "sendmmsg": 3} // never with MSG_FASTOPEN
		if i, ok := flags[name]; ok {
			match = match && d.args[i]&0x20000000 == 0
		}
		if match {
			return retAllow
		}
	}
	// some rule lets a socket of that family and, unless it is -1, that protocol through
	granted := func(family uint32, proto int64) bool {
		return slices.ContainsFunc(f.Rules, func(r Rule) bool {
			return r.Name == "socket" && !slices.ContainsFunc(r.Args, func(a Arg) bool {
				return a.Index == 0 && family&a.Bits() != a.Value || a.Index == 2 && proto >= 0 && uint32(proto)&a.Bits() != a.Value
			})
		})
	}
	switch kind := uint32(d.args[1]); {
	case slices.Contains(named, name):
		return retNamed
	case filter.Soft(int(d.nr)):
		return retErrno | errnoENOSYS
	case name == "socket" && uint32(d.args[0]) == unix.AF_UNIX && !granted(unix.AF_UNIX, -1):
		if (kind == unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK || kind == unix.SOCK_DGRAM|unix.SOCK_CLOEXEC) && uint32(d.args[2]) == 0 {
			return retErrno | errnoENOSYS
		}
		return retNamed
	case name == "socket" && uint32(d.args[0]) == unix.AF_NETLINK && uint32(d.args[2]) == unix.NETLINK_AUDIT && !granted(unix.AF_NETLINK, unix.NETLINK_AUDIT):
		return retErrno | uint32(unix.EPROTONOSUPPORT)
	default:
		return violation
	}
}

// compile compiles and fails the test when it cannot.
func compile(t testing.TB, f Filter) *bpf.VM {
	t.Helper()
	prog, err := f.Compile()
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
		out = append(out, data{nr: nr, arch: archX8664, args: [6]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}})
		out = append(out, data{nr: nr, arch: archX8664})
	}
	for _, nr := range []uint32{0x40000000, 0x40000001, 0x40000000 | 435, 0xffffffff, 0x7fffffff, 1 << 16} {
		out = append(out, data{nr: nr, arch: archX8664})
	}
	for _, arch := range []uint32{0, 0x40000003, 0xc00000b7, archX8664 ^ 1<<31} { // i386, arm64
		for _, nr := range []uint32{0, 1, 11, 59, 435, 0xffffffff} {
			out = append(out, data{nr: nr, arch: arch})
		}
	}
	for _, r := range f.Rules {
		nr, _ := Number(r.Name)
		d := data{nr: uint32(nr), arch: archX8664}
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
	vm := compile(t, f)
	for _, d := range inputs(f, rng) {
		if got, want := run(t, vm, d), reference(f, d); got != want {
			t.Fatalf("%s (nr %d, arch %#x, args %#x): got %#x, want %#x\nrules %v", Name(int(d.nr)), d.nr, d.arch, d.args, got, want, f.Rules)
		}
	}
}
