/* Starts a program under a supervisor that makes one of its zygotes' system calls fail, as a file says.
 *
 * faults FILE CALL[:ARG=VALUE],... PROGRAM ARG...
 *
 * The calls are those that can be made to fail, by number. FILE holds one line of numbers: a count that is
 * another one whenever the line is, the call, the index of an argument (-1: any), its value, how many such calls go
 * on before, how many fail then, the errno (a negative one is a success that did nothing, of that value), and who
 * is meant: 0 a zygote, 1 what a zygote has cloned and what has not executed its program yet. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_CALLS = 48 };

static size_t slurp(unsigned pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? n : 0;
}

/* 0 for a zygote, 1 for its clone, -1 for everybody else. */
static int who(unsigned pid)
{
	char text[4096], *line;
	unsigned outer, inner;

	slurp(pid, "cmdline", text, sizeof text);
	if (strcmp(text, "casemate-zygote"))
		return -1;
	slurp(pid, "status", text, sizeof text);
	line = strstr(text, "\nNSpid:");
	return line && sscanf(line + 7, "%u %u", &outer, &inner) == 2;
}

static void supervise(int notify, const char *file)
{
	static long done = -1, passed, failed;
	struct pollfd p = {notify, POLLIN, 0};
	int rule = open(file, O_RDONLY | O_CLOEXEC);

	for (;;) {
		struct seccomp_notif n = {0};
		struct seccomp_notif_resp r = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		long f[8] = {0};
		char text[128] = "";

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			_exit(1);
		if (!(p.revents & POLLIN))
			_exit(0); /* nobody is left under the filter */
		if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &n))
			continue;
		r.id = n.id;
		if (pread(rule, text, sizeof text - 1, 0) > 0 &&
		    sscanf(text, "%ld %ld %ld %ld %ld %ld %ld %ld", f, f + 1, f + 2, f + 3, f + 4, f + 5, f + 6, f + 7) == 8) {
			if (f[0] != done)
				done = f[0], passed = failed = 0;
			if (n.data.nr == f[1] && (f[2] < 0 || (uint32_t)n.data.args[f[2]] == (uint32_t)f[3]) && failed < f[5] && who(n.pid) == f[7] && passed++ >= f[4]) {
				failed++;
				r.flags = 0;
				r.error = f[6] > 0 ? -f[6] : 0;
				r.val = f[6] > 0 ? 0 : -f[6];
			}
		}
		ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}

/* A program that asks about the calls. */
static unsigned short program(char *calls, struct sock_filter *f)
{
	unsigned short n = 0;
	char *one, *rest;
	unsigned nr, arg, value;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (one = strtok_r(calls, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
		if (sscanf(one, "%u:%u=%u", &nr, &arg, &value) == 3) {
			f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * arg);
			f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
			continue;
		}
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, strtoul(one, NULL, 10), 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return n;
}

int main(int argc, char **argv)
{
	static struct sock_filter f[5 * MAX_CALLS + 2];
	struct sock_fprog prog = {0, f};
	int notify, to[2], ready[2];
	char byte;

	if (argc < 4 || pipe2(to, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return 8;
	prog.len = program(argv[2], f);
	/* The supervisor stays outside of the filter; it gets the descriptor by its number. */
	if (fork() == 0) {
		int pidfd = syscall(SYS_pidfd_open, getppid(), 0);

		close(to[1]);
		close(ready[0]);
		if (read(to[0], &notify, sizeof notify) != sizeof notify)
			_exit(1);
		notify = syscall(SYS_pidfd_getfd, pidfd, notify, 0);
		close(to[0]);
		close(ready[1]);
		close(pidfd);
		setsid();
		for (int i = 0; i < 3; i++)
			close(i);
		supervise(notify, argv[1]);
	}
	close(ready[1]);
	notify = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (notify < 0 || writev(to[1], &(struct iovec){&notify, sizeof notify}, 1) != sizeof notify)
		return 9;
	if (readv(ready[0], &(struct iovec){&byte, 1}, 1) != 0) /* ends when the supervisor has its own: ours is close-on-exec */
		return 9;
	execv(argv[3], argv + 3);
	return 10;
}
