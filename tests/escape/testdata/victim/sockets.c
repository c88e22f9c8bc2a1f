/* Attempts with sockets of our own: #49-#54, #59-#62. Addresses come as
 * arguments, all of them loopback or canaries. */
#include "victim.h"

#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in v4(const char *addr, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};

	inet_pton(AF_INET, addr, &a.sin_addr);
	return a;
}

static int closed(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int connected(int fd, const void *a, socklen_t n)
{
	int err;

	if (fd < 0)
		return errno;
	err = OUTCOME(connect(fd, a, n));
	close(fd);
	return err;
}

static int tcp(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);

	return connected(socket(AF_INET, SOCK_STREAM, 0), &a, sizeof a);
}
static int tcp6(int c, char **v)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(v[2]))};

	inet_pton(AF_INET6, v[1], &a.sin6_addr);
	return connected(socket(AF_INET6, SOCK_STREAM, 0), &a, sizeof a);
}
static int mptcp(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);

	return connected(socket(AF_INET, SOCK_STREAM, 262), &a, sizeof a);
}
static int udp(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;

	if (fd < 0)
		return errno;
	err = OUTCOME(sendto(fd, "x", 1, 0, (void *)&a, sizeof a));
	close(fd);
	return err;
}
/* A connect in disguise, by each call that takes the flag. */
static int fastopen_on(int fd, int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);
	struct iovec iov = {"x", 1};
	struct mmsghdr m = {{&a, sizeof a, &iov, 1, NULL, 0, 0}, 0};
	const char *how = c > 3 ? v[3] : "sendto";

	if (strcmp(how, "sendmsg") == 0)
		return OUTCOME(sendmsg(fd, &m.msg_hdr, MSG_FASTOPEN));
	if (strcmp(how, "sendmmsg") == 0)
		return OUTCOME(sendmmsg(fd, &m, 1, MSG_FASTOPEN));
	if (strcmp(how, "high") == 0) /* the kernel takes an int */
		return OUTCOME(syscall(SYS_sendto, fd, "x", 1, 1UL << 32 | MSG_FASTOPEN, &a, sizeof a));
	return OUTCOME(sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&a, sizeof a));
}
static int fastopen(int c, char **v)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), err;

	if (fd < 0)
		return errno;
	err = fastopen_on(fd, c, v);
	close(fd);
	return err;
}
/* The listener of a wait service, which shutdown(2) makes a plain socket of the host's network again. */
static int listener_fastopen(int c, char **v)
{
	if (shutdown(LISTENER, SHUT_RD))
		return errno;
	return fastopen_on(LISTENER, c, v);
}
static int listener_connect(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);

	if (shutdown(LISTENER, SHUT_RD))
		return errno;
	return OUTCOME(connect(LISTENER, (void *)&a, sizeof a));
}
static int listener_later(int c, char **v)
{
	if (shutdown(LISTENER, SHUT_RD))
		return errno;
	return OUTCOME(setsockopt(LISTENER, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1}, sizeof(int)));
}
static int udp_self(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);

	return OUTCOME(sendto(0, "x", 1, 0, (void *)&a, sizeof a));
}
static int listen_(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, err;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	err = OUTCOME(bind(fd, (void *)&a, sizeof a));
	if (!err)
		err = OUTCOME(listen(fd, 1));
	close(fd);
	return err;
}
static int unix_path(int c, char **v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strncpy(a.sun_path, v[1], sizeof a.sun_path - 1);
	return connected(socket(AF_UNIX, SOCK_STREAM, 0), &a, sizeof a);
}
static int unix_abstract(int c, char **v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strncpy(a.sun_path + 1, v[1], sizeof a.sun_path - 2);
	return connected(socket(AF_UNIX, SOCK_STREAM, 0), &a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(v[1]));
}
/* A socket of a family, type and protocol; numbers as the kernel takes them. */
static int socket_(int c, char **v)
{
	return closed(syscall(SYS_socket, strtoul(v[1], NULL, 0), strtoul(v[2], NULL, 0), strtoul(v[3], NULL, 0)));
}
/* #50: the note names each triple that opened. */
static int families(int c, char **v)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
	static const int protocols[] = {0, 6, 17, 33, 132, 136, 262};
	unsigned t, p;
	int fd, family, some = 0;

	for (family = 0; family <= 46; family++)
		for (t = 0; t < sizeof types / sizeof *types; t++)
			for (p = 0; p < sizeof protocols / sizeof *protocols; p++) {
				fd = socket(family, types[t], protocols[p]);
				if (fd < 0)
					continue;
				close(fd);
				note("family %d type %d protocol %d", family, types[t], protocols[p]);
				some = 1;
			}
	return some ? 0 : EAFNOSUPPORT;
}
static int vsock(int c, char **v)
{
	return closed(socket(AF_VSOCK, SOCK_STREAM, 0));
}
static int alg(int c, char **v)
{
	struct sockaddr_alg a = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha1"};
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0), err;

	if (fd < 0)
		return errno;
	err = OUTCOME(bind(fd, (void *)&a, sizeof a));
	close(fd);
	return err;
}
static int netlink(int c, char **v)
{
	struct { struct nlmsghdr h; unsigned char family; } m = {{sizeof m, 26 /* RTM_GETROUTE */, 0x301, 1, 0}, 0};
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW, 0), err;

	if (fd < 0)
		return errno;
	err = OUTCOME(sendto(fd, &m, sizeof m, 0, (void *)&to, sizeof to));
	close(fd);
	return err;
}
static int pair(int c, char **v)
{
	int sv[2];

	return OUTCOME(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
}

const struct attempt socket_attempts[] = {
	{"tcp", tcp}, {"tcp6", tcp6}, {"mptcp", mptcp}, {"udp", udp}, {"udp-self", udp_self}, {"fastopen", fastopen},
	{"listener-fastopen", listener_fastopen}, {"listener-connect", listener_connect}, {"listener-later", listener_later},
	{"listen", listen_}, {"unix-path", unix_path}, {"unix-abstract", unix_abstract}, {"socket", socket_},
	{"families", families}, {"vsock", vsock}, {"alg", alg}, {"netlink", netlink}, {"socketpair", pair}, {NULL, NULL},
};
