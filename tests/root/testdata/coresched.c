/*
 * Runs a program on a kernel that seems to have core scheduling: coresched ERRNO PROGRAM ARG...
 * Asking for a cookie fails as with a place that cannot be written, making one ends with ERRNO, 0 being success.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)

int main(int argc, char **argv)
{
	struct sock_filter f[] = {
		LOAD(nr), UNLESS(SYS_prctl, 7),
		LOAD(args[0]), UNLESS(PR_SCHED_CORE, 5),
		LOAD(args[1]), UNLESS(PR_SCHED_CORE_GET, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EFAULT),
		UNLESS(PR_SCHED_CORE_CREATE, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (argc > 1 ? atoi(argv[1]) : 0)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {sizeof f / sizeof *f, f};

	if (argc < 3 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) {
		perror("coresched");
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
