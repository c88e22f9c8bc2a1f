package observe

import (
	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// inCall is the call that a thread which has stopped inside of one is making.
func inCall(tid int) (syscallInfo, bool) {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return syscallInfo{}, false
	}
	return syscallInfo{arch: machine.Audit, nr: r.Orig_rax, args: [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}}, true
}
