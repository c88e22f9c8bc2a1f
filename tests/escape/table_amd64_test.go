package escape

import "golang.org/x/sys/unix"

// hangUpCall is how a launch asks whether the broker has hung up, and hangUpRule what its filter lets it do for that.
const hangUpCall, hangUpRule = unix.SYS_POLL, "poll"

// loader is the dynamic loader of C programs, foreign a call that the filter kills for where the profile of the victim says
// killing: by the entry of 32 bits in any.
const loader, foreign, killing = "/lib64/ld-linux-x86-64.so.2", "int80", ""

// What program32 is of i386: exit(0).
const machine32, flags32 = 3, 0

var code32 = []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80} // mov $1, %eax; xor %ebx, %ebx; int $0x80

// everywhereHere are those that no profile may let through.
var everywhereHere = []attempt{{number: 47, line: "int80", want: "killed"}}

// kernelHere are attempts that x86-64 alone has.
var kernelHere = []attempt{
	{36, "pkey-x", shut, asNobody, ""},
	{47, "int80", "killed", asNobody, ""},
	{48, "x32", "ENOSYS|killed", uncontrolled, ""}, // no such entry in most kernels
	{66, "tsc", shut, asNobody, ""},
	{66, "speculation", shut, asNobody, ""},
	{66, "set-gs", shut, asNobody, ""},
	{66, "modify-ldt", shut, asNobody, ""},
	{66, "iopl", shut, uncontrolled, ""}, // not in every kernel
	{66, "ioperm", shut, uncontrolled, ""},
}
