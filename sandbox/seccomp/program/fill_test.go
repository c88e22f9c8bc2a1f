package program

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFillRefuses: what no filter has is refused, wherever it stands. The control is the same program without it.
func TestFillRefuses(t *testing.T) {
	allow := op(opRet, 0, 0, unix.SECCOMP_RET_ALLOW)
	whole := func(more ...unix.SockFilter) []unix.SockFilter {
		return append(append(slices.Clone(front), more...), allow)
	}
	for _, good := range [][]unix.SockFilter{
		whole(), whole(op(opJEQ, 0, 1, 7), op(opRet, 0, 0, unix.SECCOMP_RET_KILL_PROCESS)),
		whole(op(opRet, 0, 0, unix.SECCOMP_RET_USER_NOTIF)), whole(op(opLoad, 0, 0, 60), op(opRet, 0, 0, retErrno|uint32(unix.ENOSYS))), whole(make([]unix.SockFilter, unix.BPF_MAXINSNS-len(front)-1)...),
	} {
		f := Filter{Program: encode(good), Seal: encode(good[len(front):])}
		if program, seal, err := f.Fill(64, 1000); err != nil || !slices.Equal(program, f.Program) || !slices.Equal(seal, f.Seal) {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for what, bad := range map[string][]byte{
		"no program":            nil,
		"another architecture":  encode([]unix.SockFilter{allow}),
		"half an instruction":   encode(whole())[:len(encode(whole()))-3],
		"another listener's":    encode(whole(op(opRet, 0, 0, unix.SECCOMP_RET_USER_NOTIF|1))),
		"a tracer's":            encode(whole(op(opRet, 0, 0, unix.SECCOMP_RET_TRACE))),
		"success":               encode(whole(op(opRet, 0, 0, retErrno))),
		"the accumulator":       encode(whole(op(unix.BPF_RET|unix.BPF_A, 0, 0, unix.SECCOMP_RET_ALLOW))),
		"the index":             encode(whole(op(unix.BPF_RET|unix.BPF_X, 0, 0, unix.SECCOMP_RET_ALLOW))),
		"too many instructions": encode(whole(make([]unix.SockFilter, unix.BPF_MAXINSNS)...)),
		"more than fit 16 bits": encode(whole(make([]unix.SockFilter, 1<<16)...)),
	} {
		f := Filter{Program: bad}
		if _, _, err := f.Fill(64, 1000); err == nil {
			t.Errorf("%s is a program", what)
		}
		if what == "no program" || what == "another architecture" {
			continue
		}
		f = Filter{Program: encode(whole()), Seal: bad}
		if _, _, err := f.Fill(64, 1000); err == nil {
			t.Errorf("%s is a seal", what)
		}
	}
}

// TestFill: blanks that are compared are filled in, and others refused.
func TestFill(t *testing.T) {
	f := Filter{Program: encode(append(slices.Clone(front), op(opJEQ, 0, 0, Blank+2), op(opJEQ, 0, 0, Blank+FDCount), op(opJEQ, 0, 0, Blank-1), op(opJEQ, 0, 0, Blank+FDCount+1)))}
	got, _, err := f.Fill(64, 1000)
	if want := encode(append(slices.Clone(front), op(opJEQ, 0, 0, 64+2), op(opJEQ, 0, 0, 1000), op(opJEQ, 0, 0, Blank-1), op(opJEQ, 0, 0, Blank+FDCount+1))); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %x, want %x", err, got, want)
	}
	for _, code := range []uint16{unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, opJGE, unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K} {
		f := Filter{Program: encode(front), Seal: encode([]unix.SockFilter{op(code, 0, 0, Blank)})}
		if _, _, err := f.Fill(64, 1000); err == nil || !strings.Contains(err.Error(), "equality") {
			t.Errorf("%#x: %v", code, err)
		}
	}
}
