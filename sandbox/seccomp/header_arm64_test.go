package seccomp

// header has the numbers of system calls, but those that have another name on 32 bits.
const header = "/usr/include/asm-generic/unistd.h"
