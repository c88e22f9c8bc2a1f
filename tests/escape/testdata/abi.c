/* Starts a program on a kernel that seems to have Landlock of an older ABI: it
 * tells that version, and refuses rulesets that handle what the version lacks. */
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
#include <unistd.h>

static int abi;

/* 1 where the structure asks for more than the ABI has, -1 where it cannot be read. */
static int too_new(const struct seccomp_notif *n)
{
	static const uint64_t fs[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
	uint64_t attr[3] = {0}, size = n->data.args[1] < sizeof attr ? n->data.args[1] : sizeof attr;
	char path[64];
	int fd, got;

	snprintf(path, sizeof path, "/proc/%u/mem", n->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = pread(fd, attr, size, n->data.args[0]) == (ssize_t)size;
	close(fd);
	if (!got)
		return -1;
	return attr[0] & ~fs[abi < 5 ? abi : 5] || (abi < 4 && attr[1]) || (abi < 6 && attr[2]);
}

static void supervise(int notify)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp r;
	struct pollfd p = {notify, POLLIN, 0};

	for (;;) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			_exit(1);
		if (!(p.revents & POLLIN))
			_exit(0); /* nobody is left under the filter */
		memset(&n, 0, sizeof n);
		if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &n))
			continue;
		memset(&r, 0, sizeof r);
		r.id = n.id;
		if (n.data.args[2] == 1) /* LANDLOCK_CREATE_RULESET_VERSION */
			r.val = abi;
		else if (n.data.args[2] != 0)
			r.error = -EINVAL;
		else if (too_new(&n))
			r.error = -EINVAL;
		else
			r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}

int main(int argc, char **argv)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1), /* landlock_create_ruleset */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof f / sizeof *f, f};
	int notify, to[2], ready[2];
	char byte;

	abi = argc > 2 ? atoi(argv[1]) : 0;
	/* The supervisor stays outside of the filter, or the filter would never end; it gets the descriptor by its number. */
	if (abi < 1 || pipe(to) || pipe(ready))
		return 8;
	if (fork() == 0) {
		pid_t parent = getppid();
		int pidfd = syscall(SYS_pidfd_open, parent, 0);

		close(to[1]);
		close(ready[0]);
		if (read(to[0], &notify, sizeof notify) != sizeof notify)
			_exit(1);
		notify = syscall(SYS_pidfd_getfd, pidfd, notify, 0);
		close(to[0]);
		close(ready[1]);
		setsid();
		for (int i = 0; i < 3; i++)
			close(i);
		supervise(notify);
	}
	notify = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (notify < 0 || write(to[1], &notify, sizeof notify) != sizeof notify)
		return 9;
	close(to[0]);
	close(to[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 0) /* ends when the supervisor has its own: ours is close-on-exec */
		return 9;
	close(ready[0]);
	execv(argv[2], argv + 2);
	return 10;
}
