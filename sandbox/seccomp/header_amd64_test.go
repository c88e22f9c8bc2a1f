package seccomp

// header has the numbers of system calls.
const header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
