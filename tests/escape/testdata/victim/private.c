/* Attempts of #64: a network of the session's own, and a client's unix socket, which has its peer for good. */
#include "victim.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A listener on one of the two loopback addresses; gives its port, or the negative errno. */
static int listener(const char *on, int port, int *fd)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	int v6 = strchr(on, ':') != NULL;
	void *a = v6 ? (void *)&six : (void *)&four;
	socklen_t n = v6 ? sizeof six : sizeof four;

	inet_pton(v6 ? AF_INET6 : AF_INET, on, v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	*fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (*fd < 0 || bind(*fd, a, n) || listen(*fd, 4) || getsockname(*fd, a, &n))
		return -errno;
	return ntohs(v6 ? six.sin6_port : four.sin_port);
}

static int dial(const char *on, int port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	int v6 = strchr(on, ':') != NULL, fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	inet_pton(v6 ? AF_INET6 : AF_INET, on, v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	if (fd < 0 || connect(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four))
		return -errno;
	return fd;
}

/* What the network is for: a helper of another process serves on it. */
static int helper(int c, char **v)
{
	int fd, port = listener(v[1], 0, &fd), err = 0, client;
	char byte = 0;
	pid_t pid;

	if (port < 0)
		return -port;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0) {
		client = accept(fd, NULL, NULL);
		_exit(write(client, "x", 1) != 1);
	}
	close(fd);
	fd = dial(v[1], port);
	if (fd < 0)
		err = -fd;
	else if (read(fd, &byte, 1) != 1 || byte != 'x')
		err = EPROTO;
	waitpid(pid, NULL, 0);
	return err;
}

/* Serves on a port of 127.0.0.1, and on an abstract name of that number, until its client has said all; then
 * tells how many came. */
static int hold(int c, char **v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct pollfd p[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	int port = listener("127.0.0.1", atoi(v[1]), &p[1].fd), came = 0;
	char b[64];

	if (port < 0)
		return -port;
	snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "casemate-hold-%s", v[1]);
	p[2].fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (p[2].fd < 0 || bind(p[2].fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1)) || listen(p[2].fd, 4))
		return errno;
	note("holds");
	for (;;) {
		if (poll(p, 3, -1) < 0)
			return errno;
		for (int i = 1; i < 3; i++)
			if (p[i].revents) {
				close(accept(p[i].fd, NULL, NULL));
				came++;
			}
		if (p[0].revents && read(0, b, sizeof b) <= 0)
			break;
	}
	note("came %d", came);
	return 0;
}

/* The interfaces that there are. */
static int links(int c, char **v)
{
	struct if_nameindex *all = if_nameindex();

	if (!all)
		return errno;
	for (struct if_nameindex *i = all; i->if_index; i++)
		note("link %s", i->if_name);
	return 0;
}

/* The call that brought the loopback up, to take it down. */
static int lo_down(int c, char **v)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : OUTCOME(ioctl(fd, SIOCSIFFLAGS, &r));
}

/* Everything that could aim a connected unix stream socket elsewhere: 0 is one that did. */
static int aim(int fd, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t n = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_name = &a, .msg_namelen = n, .msg_iov = &iov, .msg_iovlen = 1};
	int err = 0;

	strncpy(a.sun_path + 1, name, sizeof a.sun_path - 2);
	for (int i = 0; i < 2; i++) {
		if (connect(fd, &none, sizeof none) == 0)
			note("disconnected");
		else
			err = errno;
		if (connect(fd, (void *)&a, n) == 0)
			return 0;
		note("connect %s", strerrorname_np(errno));
		if (sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)&a, n) == 1 || sendmsg(fd, &m, MSG_NOSIGNAL) == 1)
			note("sent"); /* to its peer, or the canary is touched */
		if (listen(fd, 1) == 0)
			return 0;
		shutdown(fd, SHUT_RDWR);
	}
	return err;
}
static int reaim_unix(int c, char **v)
{
	int fd = dup(0), domain = 0, ours[2];
	socklen_t n = sizeof domain;

	/* Its own answer would be lost with the socket: what is aimed is a pair like it, after that the client's. */
	if (getsockopt(0, SOL_SOCKET, SO_DOMAIN, &domain, &n) || domain != AF_UNIX)
		return EPROTO;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ours))
		return errno;
	if (aim(ours[0], v[1]) == 0)
		return 0;
	close(ours[1]); /* and one whose peer has gone */
	if (aim(ours[0], v[1]) == 0)
		return 0;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strncpy(a.sun_path + 1, v[1], sizeof a.sun_path - 2);
	if (connect(fd, &none, sizeof none) == 0 || connect(fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(v[1])) == 0 || listen(fd, 1) == 0)
		return 0;
	return errno;
}

const struct attempt private_attempts[] = {
	{"helper", helper}, {"hold", hold}, {"links", links}, {"lo-down", lo_down}, {"reaim-unix", reaim_unix}, {NULL, NULL},
};
