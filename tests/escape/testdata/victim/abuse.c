/* Attempts that need a hand from outside, and abuse of what every service has:
 * #7, #28, #63, #69, #73, #74. */
#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

/* Runs a program and gives the first line that it prints. */
static int output(char **argv, char *line, size_t size)
{
	int p[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(p))
		return errno;
	pid = vfork();
	if (pid == 0) {
		dup2(p[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(p[1]);
	if (pid < 0)
		return errno;
	n = read(p[0], line, size - 1);
	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	if (waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ENOEXEC;
}

/* #7: a copy of id(1) with the set-uid bit, and of grep(1) with file
 * capabilities. Works when the copy is more than we are. */
static int setuid_copy(int c, char **v)
{
	char line[128], *argv[] = {v[1], "-u", NULL};
	int err = output(argv, line, sizeof line);

	note("effective uid %s", line);
	return err ? err : strcmp(line, "0") == 0 ? 0 : EPERM;
}
static int filecap_copy(int c, char **v)
{
	char line[128], *argv[] = {v[1], "^CapEff", "/proc/self/status", NULL};
	int err = output(argv, line, sizeof line);

	note("%s", line);
	return err ? err : strspn(line, "CapEff:\t 0") == strlen(line) ? EPERM : 0;
}

/* #28: as many descriptors of every kind as there are. Works when n of each can
 * be held at once. */
static int one_more(int kind, int last)
{
	int pair[2];
	struct epoll_event ev = {.events = EPOLLIN};
	int fd;

	switch (kind) {
	case 0: return dup(0);
	case 1: return eventfd(0, 0);
	case 2: return timerfd_create(0, 0);
	case 3: return inotify_init();
	case 4: return open("/dev/null", O_RDONLY);
	case 5: return pipe(pair) ? -1 : pair[1];
	case 6: return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -1 : pair[1];
	default:
		fd = epoll_create1(0);
		if (fd >= 0 && last > 2) /* nested as deep as the kernel allows */
			epoll_ctl(fd, EPOLL_CTL_ADD, last, &ev);
		return fd;
	}
}
static int fd_bomb(int c, char **v)
{
	int n = atoi(v[1]), kind, i, fd, top, err = 0;

	for (kind = 0; kind < 8; kind++) {
		for (i = 0, fd = top = 2; i < n && (fd = one_more(kind, fd)) >= 0; i++)
			top = fd > top ? fd : top;
		if (i < n)
			err = errno;
		note("kind %d: %d, then %s", kind, i, i < n ? strerrorname_np(errno) : "enough");
		for (fd = 3; fd <= top; fd++)
			close(fd);
	}
	return err;
}

/* #63: a meeting place for two connections of one service: one binds, the other
 * connects; "@" begins an abstract name. */
static int meet(char *name, int (*how)(int, const struct sockaddr *, socklen_t), int type)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0), err;

	if (fd < 0)
		return errno;
	strncpy(a.sun_path, name, sizeof a.sun_path - 1);
	if (name[0] == '@')
		a.sun_path[0] = 0;
	err = OUTCOME(how(fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@')));
	close(fd);
	return err;
}
static int meet_bind(int c, char **v) { return meet(v[1], (void *)bind, SOCK_DGRAM); }
static int meet_connect(int c, char **v) { return meet(v[1], (void *)connect, SOCK_DGRAM); }

/* What all connections of a service might share is their stderr: give our client's
 * socket away on it, and take what others gave. */
static int give(int c, char **v)
{
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec text = {"given\n", 6};
	struct msghdr m = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int i, n = atoi(v[1]);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	*(int *)CMSG_DATA(h) = 0;
	for (i = 0; i < n; i++)
		if (sendmsg(2, &m, 0) < 0)
			return errno;
	return 0;
}
static int take(int c, char **v)
{
	char room[CMSG_SPACE(sizeof(int))], text[64];
	struct iovec into = {text, sizeof text};
	struct msghdr m = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	ssize_t n = recvmsg(2, &m, MSG_DONTWAIT);

	return n < 0 ? errno : n == 0 ? ENODATA : 0;
}

/* #74: spoil what others might write to as their stderr, in every way that one
 * socket or one pipe has; and write there. Works when each way did. */
static int spoil(int c, char **v)
{
	static const int one = 1;
	char junk[4096] = {0};
	int err = 0, i;

	for (i = 0; i < 5; i++) {
		int r = i == 0 ? fcntl(2, F_SETFL, O_WRONLY | O_NONBLOCK | O_APPEND)
			: i == 1 ? setsockopt(2, SOL_SOCKET, SO_SNDBUF, &one, sizeof one) & fcntl(2, F_SETPIPE_SZ, 4096)
			: i == 2 ? recv(2, junk, sizeof junk, MSG_DONTWAIT) + 1
			: i == 3 ? shutdown(2, SHUT_RDWR)
				 : write(2, junk, sizeof junk) < 0 ? 0 : -1;
		if (r < 0)
			err = errno;
		note("way %d: %s", i, r < 0 ? strerrorname_np(errno) : "done");
	}
	return err;
}
static int say(int c, char **v) { return dprintf(2, "%s\n", v[1]) < 0 ? errno : 0; }

/* #69: what a log must not believe. */
static int forge(int c, char **v)
{
	static const char *lines[] = {
		"first\r{\"msg\":\"decision\",\"service\":\"forged\",\"verdict\":\"allow\"}\r\n",
		"{\"time\":\"2000-01-01T00:00:00Z\",\"level\":\"INFO\",\"msg\":\"decision\",\"service\":\"forged\"}\n",
		"\",\"service\":\"forged\",\"x\":\"\n", "\x1b[2J\x1b]0;forged\x07\x9b" "31m\x7f\x08\x08\n", "\xff\xfe\xc0\xaf\xed\xa0\x80\n",
		"\xe2\x80\xa8" "line separator\xe2\x80\xae" "reversed\n", "<6>priority\n", "\n\n\r\n",
	};
	static char wide[65536];
	unsigned i;

	for (i = 0; i < sizeof lines / sizeof *lines; i++)
		if (write(2, lines[i], strlen(lines[i])) < 0)
			return errno;
	if (write(2, "nul\0nul\n", 8) < 0)
		return errno;
	memset(wide, 'w', sizeof wide);
	for (i = 0; i < 4; i++)
		if (write(2, wide, sizeof wide) < 0)
			note("a wide line: %s", strerrorname_np(errno));
	return 0;
}

/* #73: noise into every descriptor there is but the client's, by every call. */
static int noise(int c, char **v)
{
	static char junk[4096];
	int fd, others = 0;
	unsigned i;

	for (i = 0; i < sizeof junk; i++)
		junk[i] = i * 7;
	for (fd = 0; fd < 70000; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		others += fd > 2;
		note("fd %d", fd);
	}
	for (fd = 2; fd < 4096; fd++) /* the launch's own numbers lie above the limit: written to blindly */
		for (i = 0; i < 3; i++) {
			if (write(fd, junk, i == 0 ? 0 : i == 1 ? 24 : sizeof junk) < 0 && errno == EBADF)
				break;
			recv(fd, junk, sizeof junk, MSG_DONTWAIT);
		}
	return others ? 0 : EBADF;
}

const struct attempt abuse_attempts[] = {
	{"setuid-copy", setuid_copy}, {"filecap-copy", filecap_copy}, {"fd-bomb", fd_bomb}, {"meet-bind", meet_bind},
	{"meet-connect", meet_connect}, {"give", give}, {"take", take}, {"forge", forge}, {"noise", noise}, {"spoil", spoil}, {"say", say}, {NULL, NULL},
};
