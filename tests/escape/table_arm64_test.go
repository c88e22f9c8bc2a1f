package escape

import "golang.org/x/sys/unix"

// hangUpCall is how a launch asks whether the broker has hung up, and hangUpRule what its filter lets it do for that.
const hangUpCall, hangUpRule = unix.SYS_PPOLL, "ppoll 1=1"

// loader is the dynamic loader of C programs, foreign a call that the filter kills for where the profile of the victim says
// killing: the entry of 32 bits is that of other programs here, no instruction.
const loader, foreign, killing = "/lib/ld-linux-aarch64.so.1", "traceme", kills

// What program32 is of arm: exit(0).
const machine32, flags32 = 40, 0x05000000 // the ABI of EABI 5

var code32 = []byte{0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef} // mov r7, #1; mov r0, #0; svc 0

// everywhereHere are those that no profile may let through.
var everywhereHere []attempt

// kernelHere are attempts that arm64 alone has.
var kernelHere = []attempt{
	{66, "tsc", shut, uncontrolled, ""},         // of x86 alone before Linux 6.12
	{66, "speculation", shut, uncontrolled, ""}, // not on every processor
	{36, "pkey-x", shut, uncontrolled, ""},      // Linux 6.12, on newer processors
}
