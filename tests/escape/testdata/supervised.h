/* Starts a program under a filter that asks a supervisor: who includes this says what it answers. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The answer stands at letting the call happen. */
static void answer(const struct seccomp_notif *n, struct seccomp_notif_resp *r);

static void supervise(int notify)
{
	struct pollfd p = {notify, POLLIN, 0};

	for (;;) {
		struct seccomp_notif n = {0};
		struct seccomp_notif_resp r = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			_exit(1);
		if (!(p.revents & POLLIN))
			_exit(0); /* nobody is left under the filter */
		if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &n))
			continue;
		r.id = n.id;
		answer(&n, &r);
		ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
}

/* Executes argv, or gives the exit status of a failure. It makes its own calls under the filter by vectors: nobody asks about those. */
static int supervised(struct sock_fprog *prog, char **argv)
{
	int notify, to[2], ready[2];
	char byte;

	if (pipe2(to, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return 8;
	/* The supervisor stays outside of the filter, or the filter would never end; it gets the descriptor by its number. */
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
		supervise(notify);
	}
	close(ready[1]);
	notify = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, prog);
	if (notify < 0 || writev(to[1], &(struct iovec){&notify, sizeof notify}, 1) != sizeof notify)
		return 9;
	if (readv(ready[0], &(struct iovec){&byte, 1}, 1) != 0) /* ends when the supervisor has its own: ours is close-on-exec */
		return 9;
	execv(argv[0], argv);
	return 10;
}
