package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// Classic BPF, of which the kernel itself takes only what a filter may have (seccomp_check_filter).
const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // at one of these offsets into struct seccomp_data:
	offNr   = 0
	offArch = 4
	opJEQ   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJGE   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opRet   = unix.BPF_RET | unix.BPF_K

	retErrno = unix.SECCOMP_RET_ERRNO
)

// answers are what a program may end with: nothing that traces or logs. Of what is handed to a listener,
// that only has the name: it fails, and with ENOSYS where nobody listens.
var answers = []uint32{unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_USER_NOTIF,
	retErrno | uint32(unix.EPERM), retErrno | uint32(unix.ENOSYS), retErrno | uint32(unix.EPROTONOSUPPORT)}

// size is that of an instruction in bytes.
const size = 8

func op(code uint16, jt, jf uint8, k uint32) unix.SockFilter {
	return unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k}
}

// encode gives the bytes of a program, which are of fixed size.
func encode(prog []unix.SockFilter) []byte {
	out, _ := binary.Append(nil, binary.NativeEndian, prog)
	return out
}

// front is how a filter begins, so that calls of another architecture are no calls of this one.
var front = []unix.SockFilter{op(opLoad, 0, 0, offArch), op(opJEQ, 1, 0, machine.Audit), op(opRet, 0, 0, unix.SECCOMP_RET_KILL_PROCESS), op(opLoad, 0, 0, offNr)}

// Fill gives copies of the programs that compare with high, the numbers behind it, and uid where f's
// compare with blanks. It refuses a filter that casemate-filter cannot have meant: of another size or
// beginning, with an answer that no profile gives, or with a blank that is not compared. One with
// instructions or jumps that no filter has, the kernel refuses, and what the filter allows is what its
// rules come to, and for its compiler to know.
func (f *Filter) Fill(high, uid uint32) (program, seal []byte, err error) {
	if !bytes.HasPrefix(f.Program, encode(front)) {
		return nil, nil, errors.New("the program does not begin by looking at the architecture")
	}
	if program, err = fill(f.Program, high, uid); err == nil {
		seal, err = fill(f.Seal, high, uid)
	}
	return program, seal, err
}

func fill(text []byte, high, uid uint32) ([]byte, error) {
	if len(text)%size != 0 || len(text) > unix.BPF_MAXINSNS*size {
		return nil, fmt.Errorf("%d bytes are no program", len(text))
	}
	out := bytes.Clone(text)
	for at := 0; at < len(out); at += size {
		code, k := binary.NativeEndian.Uint16(out[at:]), binary.NativeEndian.Uint32(out[at+4:])
		switch blank := k - Blank; { // far beyond all of them where k is less
		case code&7 == unix.BPF_RET && (code != opRet || !slices.Contains(answers, k)):
			return nil, fmt.Errorf("instruction %d of %d answers what no filter does: %#x, %#x", at/size, len(out)/size, code, k)
		case blank > FDCount || code == opLoad:
			continue
		case code != opJEQ:
			return nil, fmt.Errorf("instruction %d (%#x) does not compare for equality", at/size, code)
		case blank < FDCount:
			k = high + blank
		default:
			k = uid
		}
		binary.NativeEndian.PutUint32(out[at+4:], k)
	}
	return out, nil
}
