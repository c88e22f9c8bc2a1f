/* Attempts on the client's own socket, fd 0: #55-#58, #63. It lives in the
 * broker's network namespace, so what it can be made to do, the host does.
 * Each attempt works on a duplicate where it can, to still be able to answer. */
#include "victim.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in v4(const char *addr, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};

	inet_pton(AF_INET, addr, &a.sin_addr);
	return a;
}

/* #55: unhook the socket from its client and aim it at another. If the first
 * half works the client is lost, so the canary is the witness. */
static int reaim(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], v[2]);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = dup(0);

	if (fd < 0)
		return errno;
	if (connect(fd, &none, sizeof none))
		return errno;
	return OUTCOME(connect(fd, (void *)&a, sizeof a));
}
static int disconnect(int c, char **v)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	return OUTCOME(connect(0, &none, sizeof none));
}
/* #56 */
static int relisten(int c, char **v)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	connect(0, &none, sizeof none);
	return OUTCOME(listen(0, 1));
}
static int rebind(int c, char **v)
{
	struct sockaddr_in a = v4(v[1], "0");
	int err = OUTCOME(bind(0, (void *)&a, sizeof a));

	return err == EINVAL ? 0 : err; /* already bound: the call was let through */
}
static int accept_(int c, char **v)
{
	int err = OUTCOME(accept4(0, NULL, NULL, 0));

	return err == EINVAL ? 0 : err;
}
/* #57: the host's interfaces. */
static int ifconf(int c, char **v)
{
	char buf[1024];
	struct ifconf ic = {.ifc_len = sizeof buf, .ifc_buf = buf};

	if (ioctl(0, SIOCGIFCONF, &ic))
		return errno;
	note("%d bytes of interfaces", ic.ifc_len);
	return 0;
}
static int if_ioctl(unsigned long what)
{
	struct ifreq r;

	memset(&r, 0, sizeof r);
	strcpy(r.ifr_name, "lo");
	return OUTCOME(syscall(SYS_ioctl, 0, what, &r));
}
static int ifaddr(int c, char **v) { return if_ioctl(SIOCGIFADDR); }
static int ifaddr_high(int c, char **v) { return if_ioctl((1UL << 32) | SIOCGIFADDR); }
static int ifflags(int c, char **v) { return if_ioctl(SIOCGIFFLAGS); }
static int ifethtool(int c, char **v)
{
	int err = if_ioctl(SIOCETHTOOL);

	return err == EFAULT || err == EOPNOTSUPP ? 0 : err;
}

/* #58: socket options that reach beyond the connection. The note names each
 * that was taken. */
static int options(int c, char **v)
{
	static struct sock_filter accept_all[] = {{0x06, 0, 0, 0xffff}};
	struct sock_fprog prog = {1, accept_all};
	struct { const char *name; int level, opt; const void *val; socklen_t n; } all[] = {
		{"SO_ATTACH_FILTER", SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog},
		{"SO_DETACH_FILTER", SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4},
		{"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo", 3},
		{"SO_MARK", SOL_SOCKET, SO_MARK, &(int){7}, 4},
		{"SO_RCVBUFFORCE", SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 20}, 4},
		{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, &(int){1}, 4},
		{"IP_TRANSPARENT", IPPROTO_IP, 19, &(int){1}, 4},
		{"TCP_REPAIR", IPPROTO_TCP, TCP_REPAIR, &(int){1}, 4},
		{"TCP_ULP", IPPROTO_TCP, TCP_ULP, "tls", 4},
		{"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, "reno", 5},
	};
	unsigned i;
	int err = 0, last = EPERM, some = 0;

	for (i = 0; i < sizeof all / sizeof *all; i++) {
		err = OUTCOME(setsockopt(0, all[i].level, all[i].opt, all[i].val, all[i].n));
		if (!err || (err == ENOENT && i == 1)) {
			note("%s taken", all[i].name);
			some = 1;
		} else {
			last = err;
		}
	}
	return some ? 0 : last;
}
/* A descriptor of a process of the host. */
static int peer_pidfd(int c, char **v)
{
	int fd = -1;
	socklen_t n = sizeof fd;

	return OUTCOME(getsockopt(0, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &fd, &n));
}
static int option(int c, char **v)
{
	int on = 1, err = OUTCOME(syscall(SYS_setsockopt, 0, strtoul(v[1], NULL, 0), strtoul(v[2], NULL, 0), &on, sizeof on));

	return err;
}

const struct attempt client_attempts[] = {
	{"reaim", reaim}, {"disconnect", disconnect}, {"relisten", relisten}, {"rebind", rebind}, {"accept", accept_},
	{"ifconf", ifconf}, {"ifaddr", ifaddr}, {"ifaddr-high", ifaddr_high}, {"ifflags", ifflags},
	{"ifethtool", ifethtool}, {"options", options}, {"peer-pidfd", peer_pidfd}, {"option", option}, {NULL, NULL},
};
