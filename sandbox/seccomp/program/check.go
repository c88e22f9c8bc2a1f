package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// instruction is struct sock_filter of linux/filter.h.
type instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// Size is that of an instruction in bytes.
const Size = 8

// Classic BPF as a program may have it (linux/bpf_common.h).
const (
	opLoad = 0x20 // BPF_LD|BPF_W|BPF_ABS
	opJA   = 0x05 // BPF_JMP|BPF_JA
	opJEQ  = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	opJGT  = 0x25 // BPF_JMP|BPF_JGT|BPF_K
	opJGE  = 0x35 // BPF_JMP|BPF_JGE|BPF_K
	opAnd  = 0x54 // BPF_ALU|BPF_AND|BPF_K
	opRet  = 0x06 // BPF_RET|BPF_K
)

// Offsets into struct seccomp_data, and what a filter answers (linux/seccomp.h, linux/audit.h).
const (
	offNr, offArch = 0, 4

	archX8664 = 0xc000003e // AUDIT_ARCH_X86_64
	x32       = 1 << 30    // __X32_SYSCALL_BIT

	retKillProcess = 0x80000000
	retErrno       = 0x00050000
	retAllow       = 0x7fff0000
)

// answers are what a program may end with: nothing that traces, logs or hands a call to somebody.
var answers = []uint32{retAllow, retKillProcess,
	retErrno | uint32(unix.EPERM), retErrno | uint32(unix.ENOSYS), retErrno | uint32(unix.EPROTONOSUPPORT)}

// MaxInstructions is BPF_MAXINSNS: the kernel takes no longer program.
const MaxInstructions = 4096

func at(prog []byte, i int) instruction {
	b := prog[i*Size:]
	return instruction{binary.NativeEndian.Uint16(b), b[2], b[3], binary.NativeEndian.Uint32(b[4:])}
}

// encode gives the bytes of struct sock_filter in native order.
func encode(prog []instruction) (out []byte) {
	for _, in := range prog {
		out = append(binary.NativeEndian.AppendUint16(out, in.Code), in.JT, in.JF)
		out = binary.NativeEndian.AppendUint32(out, in.K)
	}
	return out
}

// front is how a filter begins, so that calls of another architecture are no calls of x86-64.
var front = []instruction{{opLoad, 0, 0, offArch}, {opJEQ, 1, 0, archX8664}, {opRet, 0, 0, retKillProcess}, {opLoad, 0, 0, offNr}}

// Check refuses a filter that casemate-filter cannot have meant: of another size, with instructions
// that need no filter, with a jump out of it or an answer that no profile gives.
// What the filter allows is what its rules come to, and for its compiler to know.
func (f *Filter) Check() error {
	if !bytes.HasPrefix(f.Program, encode(front)) {
		return errors.New("the program does not begin by looking at the architecture")
	}
	for _, prog := range [][]byte{f.Program, f.Seal} {
		if err := check(prog); err != nil {
			return err
		}
	}
	return nil
}

func check(prog []byte) error {
	n := len(prog) / Size
	if len(prog)%Size != 0 || n > MaxInstructions {
		return fmt.Errorf("%d bytes are no program", len(prog))
	}
	for i := range n {
		in, left := at(prog, i), uint64(n-i-1) // instructions that follow
		ok := left > 0
		switch in.Code {
		case opLoad:
			ok = ok && in.K%4 == 0 && in.K < 64 // sizeof(struct seccomp_data)
		case opAnd:
		case opJA:
			ok = uint64(in.K) < left
		case opJEQ, opJGT, opJGE:
			ok = uint64(max(in.JT, in.JF)) < left
		case opRet:
			ok = slices.Contains(answers, in.K)
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("instruction %d of %d is none that a filter has: %+v", i, n, in)
		}
	}
	return nil
}

// Fill gives copies of the programs that compare with high, the numbers behind it, and uid where f's
// compare with blanks. A program that uses those for anything else is an error.
func (f *Filter) Fill(high, uid uint32) (program, seal []byte, err error) {
	filled := [][]byte{slices.Clone(f.Program), slices.Clone(f.Seal)}
	for _, prog := range filled {
		for i := range len(prog) / Size {
			in := at(prog, i)
			switch {
			case in.K < Blank || in.K > Blank+FDCount || in.Code == opLoad:
				continue
			case in.Code != opJEQ:
				return nil, nil, fmt.Errorf("instruction %d (%#x) does not compare for equality", i, in.Code)
			case in.K < Blank+FDCount:
				in.K = high + in.K - Blank
			default:
				in.K = uid
			}
			binary.NativeEndian.PutUint32(prog[i*Size+4:], in.K)
		}
	}
	return filled[0], filled[1], nil
}
