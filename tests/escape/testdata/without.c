/* Starts a program on a kernel that seems to lack something: system calls fail, for it and for all that it starts.
 *
 * without CALL:ARG:MASK:VALUE:ERRNO,... PROGRAM ARG...
 *
 * A MASK of 0 is the call with any arguments; else the argument's low 32 bits under it are compared with VALUE. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_RULES = 32 };

int main(int argc, char **argv)
{
	static struct sock_filter f[6 * MAX_RULES + 2];
	struct sock_fprog prog = {0, f};
	unsigned nr, arg, mask, value, error, n = 0;
	char *one, *rest;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (one = strtok_r(argv[1], ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
		if (n + 7 > sizeof f / sizeof *f || sscanf(one, "%u:%u:%i:%i:%u", &nr, &arg, (int *)&mask, (int *)&value, &error) != 5)
			return 8;
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 5);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * arg);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask);
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = n;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return 9;
	execv(argv[2], argv + 2);
	return 10;
}
