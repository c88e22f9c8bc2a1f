// Package ask asks seccomp programs for their answers, in a virtual machine: nothing is installed, and no call is made.
// It is for who reviews policies; what runs as root does not link it.
package ask

import (
	"encoding/binary"
	"fmt"

	"casemate/sandbox/machine"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Program is one program.
type Program struct{ vm *bpf.VM }

// Load takes an array of struct sock_filter in native byte order (filter.Compile, filter.Plain).
func Load(text []byte) (*Program, error) {
	const size = 8
	if len(text)%size != 0 {
		return nil, fmt.Errorf("load filter: %d bytes are no program", len(text))
	}
	var list []bpf.Instruction
	for ; len(text) > 0; text = text[size:] {
		list = append(list, bpf.RawInstruction{Op: binary.NativeEndian.Uint16(text), Jt: text[2], Jf: text[3], K: binary.NativeEndian.Uint32(text[4:])}.Disassemble())
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		return nil, fmt.Errorf("load filter: %w", err)
	}
	return &Program{vm}, nil
}

// Answer is what a program says of a call: a word of linux/seccomp.h with its data.
type Answer uint32

// Allows tells whether the call is made.
func (a Answer) Allows() bool { return a == unix.SECCOMP_RET_ALLOW }

// String says it for people.
func (a Answer) String() string {
	switch uint32(a) & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return "allowed"
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "killed"
	case unix.SECCOMP_RET_USER_NOTIF: // that only has the call's name: it fails
		return "ENOSYS"
	case unix.SECCOMP_RET_ERRNO:
		if name := unix.ErrnoName(unix.Errno(a & unix.SECCOMP_RET_DATA)); name != "" {
			return name
		}
	}
	return fmt.Sprintf("%#x", uint32(a))
}

// Call asks about a system call of this architecture, from an address that is not the launch's.
func (p *Program) Call(nr int, args [6]uint64) (Answer, error) {
	// Words that the kernel loads natively the machine loads big-endian: each keeps its place, low half first.
	data := binary.BigEndian.AppendUint32(nil, uint32(nr))
	data = binary.BigEndian.AppendUint32(data, machine.Audit)
	for _, v := range append([]uint64{0}, args[:]...) {
		data = binary.BigEndian.AppendUint32(data, uint32(v))
		data = binary.BigEndian.AppendUint32(data, uint32(v>>32))
	}
	got, err := p.vm.Run(data)
	if err != nil {
		return 0, fmt.Errorf("ask filter: %w", err)
	}
	return Answer(uint32(got)), nil
}
