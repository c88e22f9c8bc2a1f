package inject

import "golang.org/x/sys/unix"

type registers = unix.PtraceRegsArm64

// instruction is that of a system call.
var instruction = []byte{0x01, 0x00, 0x00, 0xd4} // svc #0

const statusRegisters = 1 // NT_PRSTATUS: the kernel has no PTRACE_GETREGS here

func getRegisters(id int, r *registers) error {
	return unix.PtraceGetRegSetArm64(id, statusRegisters, r)
}

func setRegisters(id int, r *registers) error {
	return unix.PtraceSetRegSetArm64(id, statusRegisters, r)
}

// waitsAt is where the instruction may lie of a thread that waits in a call: one that would
// begin again points at it already.
func waitsAt(r *registers) []uint64 { return []uint64{r.Pc, r.Pc - 4} }

// arguments are the registers of a call's arguments, and the stack.
func arguments(r *registers) (args []*uint64, stack uint64) {
	for i := range 6 {
		args = append(args, &r.Regs[i])
	}
	return args, r.Sp
}

// prepare has the thread make a call. The one that it was in the kernel has forgotten (do_signal).
func prepare(r *registers, insn, nr uint64) { r.Pc, r.Regs[8] = insn, nr }

func result(r *registers) uint64 { return r.Regs[0] }
