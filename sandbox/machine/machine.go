// Package machine says what is different on each architecture that casemate is built for, a file for
// each: its Name, what a compiled policy calls it, the words for its system calls (linux/audit.h)
// and its programs (linux/elf-em.h), and GATE_PAGE of the zygote. On others it does not build.
package machine

// Gate is the address behind the system call that a launch executes its program with, in a page
// of code of its own that each zygote has there (zygote.h): above every vm.mmap_min_addr,
// below every program that is not linked to go there.
const Gate = GatePage + 8
