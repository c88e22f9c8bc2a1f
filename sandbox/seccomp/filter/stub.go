package filter

import (
	"encoding/binary"
	"math"

	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// instruction is struct sock_filter of linux/filter.h.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

const instructionSize = 8

// Classic BPF as seccomp(2) allows it (linux/bpf_common.h).
const (
	opLoad = 0x20 // BPF_LD|BPF_W|BPF_ABS
	opJEQ  = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	opJGT  = 0x25 // BPF_JMP|BPF_JGT|BPF_K
	opJGE  = 0x35 // BPF_JMP|BPF_JGE|BPF_K
	opAnd  = 0x54 // BPF_ALU|BPF_AND|BPF_K
	opRet  = 0x06 // BPF_RET|BPF_K
)

// Offsets into struct seccomp_data, and what a filter answers (linux/seccomp.h,
// linux/audit.h).
const (
	offNr   = 0
	offArch = 4
	offIP   = 8
	offArgs = 16 // the low half of argument 0: both architectures are little-endian

	retKillProcess = 0x80000000
	retErrno       = 0x00050000
	retAllow       = 0x7fff0000
	retNamed       = 0x7fc00000 // SECCOMP_RET_USER_NOTIF: who has the listener names the call; where nobody has, it fails with ENOSYS
)

// violations is what each action answers.
var violations = map[Action]uint32{Errno: retErrno | uint32(unix.EPERM), Kill: retKillProcess}

// highest is the last number of a call that Linux 6.18 has, and holes are
// those below it that belong to none on this architecture. A kernel newer than that may fill one, so they are
// answered like a number above it. Package seccomp's table holds both to be true.
const highest = unix.SYS_FILE_SETATTR

type hole struct{ first, last int }

// Known reports whether a number is that of a call.
func Known(call int) bool {
	for _, h := range holes {
		if call >= h.first && call <= h.last {
			return false
		}
	}
	return call >= 0 && call <= highest
}

// stub is what runs before libseccomp's body.
//
// x32 calls (bit 30 of the number) answer ENOSYS like any number above the
// table, which is what a kernel without x32 says too: nothing is gained by
// killing, and syscall(-1), which some programs use to probe, would die with them.
//
// probed are the rules of soft calls (see softCalls) that are allowed with certain
// arguments only. libseccomp has one answer for everything that is not allowed, and
// for these it must be ENOSYS, so they are decided here. So are the answers to calls
// that rules, all of a filter, do not allow.
//
// Whatever the rules say, a parent-death signal but SIGKILL, which the launch sets, is
// a violation where no init is tied: a process could clear its own and outlive the broker.
func stub(probed, rules []Rule, violation uint32, tied bool) []instruction {
	out := []instruction{
		{opLoad, 0, 0, offArch},
		{opJEQ, 1, 0, machine.Audit},
		{opRet, 0, 0, retKillProcess},
		{opLoad, 0, 0, offNr},
		{opJGT, 0, 1, highest},
		{opRet, 0, 0, retErrno | uint32(unix.ENOSYS)},
	}
	for _, h := range holes {
		out = append(out,
			instruction{opJGE, 0, 2, uint32(h.first)},
			instruction{opJGT, 1, 0, uint32(h.last)},
			instruction{opRet, 0, 0, retErrno | uint32(unix.ENOSYS)})
	}
	out = append(out,
		instruction{opJEQ, 0, 1, unix.SYS_CLONE3},
		instruction{opRet, 0, 0, retErrno | uint32(unix.ENOSYS)})
	if tied {
		out = append(out,
			instruction{opJEQ, 0, 6, unix.SYS_PRCTL},
			instruction{opLoad, 0, 0, offArgs},
			instruction{opJEQ, 0, 3, unix.PR_SET_PDEATHSIG},
			instruction{opLoad, 0, 0, offArgs + 8},
			instruction{opJEQ, 1, 0, uint32(unix.SIGKILL)},
			instruction{opRet, 0, 0, violation},
			instruction{opLoad, 0, 0, offNr})
	}
	for _, own := range calls(probed) {
		out = append(out, decide(own, retAllow, []instruction{{opRet, 0, 0, answer(own[0].Call)}})...)
	}
	for _, a := range answers {
		if Allows(rules, a.rule) {
			continue
		}
		if a.probe != nil {
			out = append(out, decide(a.probe, retErrno|uint32(unix.ENOSYS), nil)...)
		}
		out = append(out, decide([]Rule{a.rule}, a.answer, nil)...)
	}
	return out
}

// decide answers the calls that one of the rules, all of one call, describes, and
// ends the others of that call with otherwise. It expects the number in the accumulator
// and leaves it there for what it does not decide.
func decide(rules []Rule, answer uint32, otherwise []instruction) []instruction {
	if otherwise == nil {
		otherwise = []instruction{{opLoad, 0, 0, offNr}}
	}
	var body []instruction
	for _, r := range rules {
		var test []instruction
		for _, a := range r.Args {
			test = append(test, instruction{opLoad, 0, 0, offArgs + 8*uint32(a.Index)})
			if a.Bits() != ^uint32(0) {
				test = append(test, instruction{opAnd, 0, 0, a.Mask})
			}
			test = append(test, instruction{opJEQ, 0, 0, a.Value})
		}
		// At most 18 instructions, so the jumps to the next rule fit a byte.
		for i := range test {
			if test[i].code == opJEQ {
				test[i].jf = uint8(len(test) - i)
			}
		}
		body = append(append(body, test...), instruction{opRet, 0, 0, answer})
	}
	body = append(body, otherwise...)
	call := uint32(rules[0].Call)
	if len(body) <= math.MaxUint8 { // one instruction for each other call
		return append([]instruction{{opJEQ, 0, uint8(len(body)), call}}, body...)
	}
	return append([]instruction{{opJEQ, 1, 0, call}, {opJA, 0, 0, uint32(len(body))}}, body...)
}

const opJA = 0x05 // BPF_JMP|BPF_JA

// encode gives the bytes of struct sock_filter in native order.
func encode(prog []instruction) []byte {
	out := make([]byte, 0, len(prog)*instructionSize)
	for _, in := range prog {
		out = binary.NativeEndian.AppendUint16(out, in.code)
		out = append(out, in.jt, in.jf)
		out = binary.NativeEndian.AppendUint32(out, in.k)
	}
	return out
}

// split sorts normalized rules into those the stub decides (soft calls with
// arguments), those the body allows, and what answers ENOSYS since nothing allows it.
func split(rules []Rule) (probed, body []Rule, soft []Rule) {
	named := map[int]bool{}
	for _, r := range rules {
		named[r.Call] = true
		switch {
		case r.Call == unix.SYS_CLONE3:
			// The stub has answered it.
		case len(r.Args) > 0 && Soft(r.Call):
			probed = append(probed, r)
		default:
			body = append(body, r)
		}
	}
	for _, call := range softCalls {
		if !named[call] && call != unix.SYS_CLONE3 {
			soft = append(soft, Rule{Call: call})
		}
	}
	return probed, body, soft
}
