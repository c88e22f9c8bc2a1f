package inject

import "golang.org/x/sys/unix"

type registers = unix.PtraceRegs

// instruction is that of a system call.
var instruction = []byte{0x0f, 0x05} // syscall

func getRegisters(id int, r *registers) error { return unix.PtraceGetRegs(id, r) }
func setRegisters(id int, r *registers) error { return unix.PtraceSetRegs(id, r) }

// waitsAt is where the instruction may lie of a thread that waits in a call.
func waitsAt(r *registers) []uint64 { return []uint64{r.Rip - 2} }

// arguments are the registers of a call's arguments, and the stack.
func arguments(r *registers) ([]*uint64, uint64) {
	return []*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}, r.Rsp
}

// prepare has the thread make a call, and not again the one that it was in.
func prepare(r *registers, insn, nr uint64) { r.Rip, r.Rax, r.Orig_rax = insn, nr, ^uint64(0) }

func result(r *registers) uint64 { return r.Rax }
