package parole

// Where struct pt_regs has the number of a call and its arguments: of what is read of it, from regsFrom on.
const (
	regsFrom = 56 // r10
	regsSize = 72
	regsCall = 64 // orig_ax
)

// rdi, rsi, rdx, r10, r8, r9
var regsArgs = [6]int16{56, 48, 40, 0, 16, 8}
