package launch

import (
	"strings"

	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// FirstShape is that of casemate-filter itself, a program in C and Go that talks over one
// socket and lets libseccomp ask the kernel what filters it knows.
var FirstShape = program.Shape{
	Names: strings.Fields(`@loader @memory @signal @threads write fcntl lseek memfd_create seccomp epoll_create1 epoll_ctl epoll_pwait
		eventfd2 exit exit_group getpid gettid getrandom nanosleep clock_gettime prlimit64 restart_syscall uname`),
	OnViolation: program.Kill, CPU: true, Leases: &[2]uint32{0x70000000, 0xffff0000},
	CloneFlags: uint32(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_NEWPID,
}
