// Package verdict says what a seccomp filter must answer to a call, from the rules that it is to
// enforce and from what the documentation promises of every filter, and asks a program for its answer.
// It knows nothing of how rules become a program: that is what it is held against.
package verdict

import (
	"encoding/binary"
	"slices"
	"testing"

	"casemate/sandbox/machine"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The answers of a filter, and the architectures of its calls (linux/seccomp.h, linux/audit.h).
const (
	Kill  = 0x80000000
	Errno = 0x00050000
	Allow = 0x7fff0000
	Named = 0x7fc00000 // fails with ENOSYS, and who has the filter's listener is told

	Here = machine.Audit
	I386 = 0x40000003
	X32  = 0x40000000 // a bit of the number
)

// Gone is the answer to a call that this kernel seems not to have.
const Gone = Errno | uint32(unix.ENOSYS)

// named are the calls that seem gone and that somebody with the listener is told of: no program makes
// them unasked. Where nobody has a listener the kernel answers ENOSYS too.
var named = []int{unix.SYS_PIDFD_GETFD, unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE, unix.SYS_FUTEX_WAIT, unix.SYS_FUTEX_REQUEUE, unix.SYS_SET_MEMPOLICY_HOME_NODE,
	unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_MLOCK2, unix.SYS_MEMFD_SECRET, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_CACHESTAT,
	unix.SYS_SETXATTRAT, unix.SYS_GETXATTRAT, unix.SYS_LISTXATTRAT, unix.SYS_REMOVEXATTRAT, unix.SYS_FILE_GETATTR, unix.SYS_FILE_SETATTR,
	unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// unasked are the types of the unix sockets that C libraries and Go try without being asked to: nscd's and syslog's.
var unasked = []uint32{unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}

// Call is struct seccomp_data.
type Call struct {
	Nr, Arch uint32
	IP       uint64
	Args     [6]uint64
}

// bytes lays the call out for the virtual machine, which loads words big-endian
// while the kernel loads them natively: every word keeps its place (low half
// first) and is written big-endian.
func (c Call) bytes(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, c.Nr)
	b = binary.BigEndian.AppendUint32(b, c.Arch)
	b = binary.BigEndian.AppendUint32(b, uint32(c.IP))
	b = binary.BigEndian.AppendUint32(b, uint32(c.IP>>32))
	for _, a := range c.Args {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
		b = binary.BigEndian.AppendUint32(b, uint32(a>>32))
	}
	return b
}

// Machine runs one program.
type Machine struct {
	vm   *bpf.VM
	data [64]byte
}

// Load makes a program, an array of struct sock_filter, runnable. It fails the test for one that the
// kernel's checker would not take.
func Load(t testing.TB, prog []byte) *Machine {
	t.Helper()
	const size = 8
	if len(prog)%size != 0 {
		t.Fatalf("program of %d bytes", len(prog))
	}
	var ins []bpf.Instruction
	for ; len(prog) > 0; prog = prog[size:] {
		ins = append(ins, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(prog), Jt: prog[2], Jf: prog[3], K: binary.NativeEndian.Uint32(prog[4:]),
		}.Disassemble())
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatalf("program not accepted: %v", err)
	}
	return &Machine{vm: vm}
}

// Run gives the program's answer.
func (m *Machine) Run(t testing.TB, c Call) uint32 {
	t.Helper()
	got, err := m.vm.Run(c.bytes(m.data[:0]))
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return uint32(got)
}

// Policy is what a filter is to enforce.
type Policy struct {
	Rules       []filter.Rule
	OnViolation program.Action
	// Once lets nothing be executed but from machine.Gate, and no memory come there.
	Once bool
	// Init says that the program may set its parent-death signal as its rules say.
	Init bool

	byCall map[int][]filter.Rule
}

// of gives the rules of a call.
func (p *Policy) of(nr int) []filter.Rule {
	if p.byCall == nil {
		p.byCall = map[int][]filter.Rule{}
		for _, r := range p.Rules {
			p.byCall[r.Call] = append(p.byCall[r.Call], r)
		}
	}
	return p.byCall[nr]
}

// holds tells whether a comparison of a rule holds for a value of the argument.
func holds(a filter.Arg, value uint64) bool {
	mask := a.Mask
	if mask == 0 {
		mask = ^uint32(0)
	}
	return uint32(value)&mask == a.Value
}

// Says is what the filter must answer.
func (p *Policy) Says(c Call) uint32 {
	nr := int(c.Nr)
	switch {
	case c.Arch != Here:
		return Kill
	case c.Nr >= X32 || !filter.Known(nr) || nr == unix.SYS_CLONE3:
		return Gone
	}
	violation := uint32(Kill)
	if p.OnViolation == program.Errno {
		violation = Errno | uint32(unix.EPERM)
	}
	untied := nr == unix.SYS_PRCTL && uint32(c.Args[0]) == unix.PR_SET_PDEATHSIG && uint32(c.Args[1]) != uint32(unix.SIGKILL)
	if untied && !p.Init || p.Once && again(c) {
		return violation
	}
	if p.allows(c) {
		return Allow
	}
	switch socket := nr == unix.SYS_SOCKET; {
	case slices.Contains(named, nr):
		return Named
	case filter.Soft(nr):
		return Gone
	case socket && uint32(c.Args[0]) == unix.AF_UNIX && slices.Contains([]uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM}, uint32(c.Args[1])&0xf) && !p.grants(unix.AF_UNIX, uint32(c.Args[1])&0xf, -1):
		if slices.Contains(unasked, uint32(c.Args[1])) && uint32(c.Args[2]) == 0 {
			return Gone
		}
		return Named
	case socket && uint32(c.Args[0]) == unix.AF_NETLINK && uint32(c.Args[2]) == unix.NETLINK_AUDIT && !p.grants(unix.AF_NETLINK, 0, unix.NETLINK_AUDIT):
		return Errno | uint32(unix.EPROTONOSUPPORT)
	}
	return violation
}

// allows tells whether one of the rules lets the call through: no send with MSG_FASTOPEN, whatever they say.
func (p *Policy) allows(c Call) bool {
	flags := map[int]int{unix.SYS_SENDTO: 3, unix.SYS_SENDMSG: 2, unix.SYS_SENDMMSG: 3}
	if i, ok := flags[int(c.Nr)]; ok && c.Args[i]&unix.MSG_FASTOPEN != 0 {
		return false
	}
	return slices.ContainsFunc(p.of(int(c.Nr)), func(r filter.Rule) bool {
		return !slices.ContainsFunc(r.Args, func(a filter.Arg) bool { return !holds(a, c.Args[a.Index]) })
	})
}

// grants tells whether some rule lets a socket of that family through, and of that type and protocol where they are given.
func (p *Policy) grants(family, kind uint32, proto int64) bool {
	return slices.ContainsFunc(p.of(unix.SYS_SOCKET), func(r filter.Rule) bool {
		return !slices.ContainsFunc(r.Args, func(a filter.Arg) bool {
			return a.Index == 0 && !holds(a, uint64(family)) || a.Index == 1 && kind != 0 && !holds(a, uint64(kind)) ||
				a.Index == 2 && proto >= 0 && !holds(a, uint64(proto))
		})
	})
}

// again tells whether a call executes something from elsewhere than the gate, or may bring memory there: an
// address below 4 GiB, a mapping that grows down, one that is moved to a named address.
func again(c Call) bool {
	low := func(at uint64) bool { return at != 0 && at < 1<<32 }
	switch int(c.Nr) {
	case unix.SYS_EXECVE, unix.SYS_EXECVEAT:
		return c.IP != machine.Gate
	case unix.SYS_SHMAT:
		return low(c.Args[1])
	case unix.SYS_MMAP:
		return c.Args[3]&unix.MAP_GROWSDOWN != 0 || low(c.Args[0]) || c.Args[0] == 0 && c.Args[3]&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0
	case unix.SYS_MREMAP:
		return uint32(c.Args[3])&^unix.MREMAP_MAYMOVE != 0
	}
	return false
}
