package seccomp

// header has the numbers of system calls, but those that have another name on 32 bits.
const header = "/usr/include/asm-generic/unistd.h"

// numbered are system calls by their numbers, "" where there is none.
var numbered = map[int]string{0: "io_setup", 56: "openat", 63: "read", 94: "exit_group", 221: "execve", 243: "recvmmsg", 244: "", 335: "", 400: "", 423: "",
	424: "pidfd_send_signal", 435: "clone3", 450: "set_mempolicy_home_node", 462: "mseal", 469: "file_setattr", 470: "", -1: "", 1 << 30: ""}
