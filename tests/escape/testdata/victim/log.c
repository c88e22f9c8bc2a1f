/* Attempts by way of /dev/log and of what comes with it: connect, sendmsg and
 * unix datagram sockets (#90-#95). */
#include "victim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int aim(struct sockaddr_un *a, socklen_t n)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	a->sun_family = AF_UNIX;
	if (fd >= 0 && connect(fd, (void *)a, n)) {
		close(fd);
		return -1;
	}
	return fd;
}
static int open_log(void)
{
	struct sockaddr_un a = {.sun_path = "/dev/log"};

	return aim(&a, sizeof a);
}
static int say(const char *text, size_t n)
{
	int fd = open_log(), err;

	if (fd < 0)
		return errno;
	err = OUTCOME(send(fd, text, n, MSG_NOSIGNAL));
	close(fd);
	return err;
}
static int log_(int c, char **v) { return say(v[1], strlen(v[1])); }

/* #90: the client is lost with its connection, so the log tells what came of it. */
static int log_reaim(int c, char **v)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(v[2]))};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct iovec iov = {"x", 1};
	struct msghdr m = {&a, sizeof a, &iov, 1, NULL, 0, 0};
	char text[200];
	int first, then, later, away, heard;

	inet_pton(AF_INET, v[1], &a.sin_addr);
	first = OUTCOME(connect(0, &none, sizeof none));
	then = OUTCOME(connect(0, (void *)&a, sizeof a));
	away = OUTCOME(sendmsg(0, &m, MSG_NOSIGNAL));
	later = OUTCOME(sendmsg(0, &m, MSG_NOSIGNAL | MSG_FASTOPEN));
	heard = OUTCOME(listen(0, 1));
	snprintf(text, sizeof text, "reaim: disconnect %s, connect %s, sendmsg %s, fastopen %s, listen %s", strerrorname_np(first),
		 strerrorname_np(then), strerrorname_np(away), strerrorname_np(later), strerrorname_np(heard));
	return say(text, strlen(text));
}
/* #91 */
static int log_abstract(int c, char **v)
{
	struct sockaddr_un a = {0};
	int fd;

	strncpy(a.sun_path + 1, v[1], sizeof a.sun_path - 2);
	fd = aim(&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(v[1]));
	return fd < 0 ? errno : OUTCOME(send(fd, "x", 1, MSG_NOSIGNAL));
}
static int log_path(int c, char **v)
{
	struct sockaddr_un a = {0};
	int fd;

	strncpy(a.sun_path, v[1], sizeof a.sun_path - 1);
	fd = aim(&a, sizeof a);
	return fd < 0 ? errno : OUTCOME(send(fd, "x", 1, MSG_NOSIGNAL));
}
/* #92: an address of its own, for another session to find; by the number that the launch binds by. */
static int log_bind(int c, char **v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0meet"};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	return fd < 0 ? errno : OUTCOME(bind(fd, (void *)&a, offsetof(struct sockaddr_un, sun_path) + 5));
}
static int log_autobind(int c, char **v)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	return fd < 0 ? errno : OUTCOME(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
}
static int log_number(int c, char **v)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct rlimit r;

	if (fd < 0 || getrlimit(RLIMIT_NOFILE, &r))
		return errno;
	for (int to = r.rlim_cur; to < (int)r.rlim_cur + 16; to++)
		if (dup3(fd, to, 0) == to)
			return 0;
	r.rlim_cur += 16, r.rlim_max += 16;
	return errno == EBADF ? OUTCOME(setrlimit(RLIMIT_NOFILE, &r)) : errno;
}
/* #93 */
static int log_flood(int c, char **v)
{
	int fd = open_log(), n = atoi(v[1]);

	for (int i = 0; fd >= 0 && i < n; i++)
		if (send(fd, "<11>flood", 9, MSG_NOSIGNAL) < 0)
			return errno;
	return fd < 0 ? errno : 0;
}
/* #94: what a record must survive. */
static int log_bytes(int c, char **v)
{
	static const char hostile[] = "<34>Nov 26 01:02:03 other[1]: a\r\b\033[2J\xe2\x80\xae\xff\0\n<0>{\"msg\":\"session\",\"service\":\"quiet\",\"id\":1}\n";
	static char huge[64 * 1024];

	memset(huge, 'h', sizeof huge);
	return say(hostile, sizeof hostile - 1) ?: say(huge, sizeof huge) ?: say("", 0);
}
/* #95 */
static int log_with(int kind, const void *data, size_t n)
{
	char control[CMSG_SPACE(64)] __attribute__((aligned(8))) = {0};
	struct iovec iov = {"<14>with", 8};
	struct msghdr m = {NULL, 0, &iov, 1, control, CMSG_SPACE(n), 0};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = open_log();

	if (fd < 0)
		return errno;
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = kind, h->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(h), data, n);
	return OUTCOME(sendmsg(fd, &m, MSG_NOSIGNAL));
}
static int log_rights(int c, char **v) { return log_with(SCM_RIGHTS, &(int){0}, sizeof(int)); }
static int log_creds(int c, char **v)
{
	return log_with(SCM_CREDENTIALS, &(struct ucred){getpid(), 0, 0}, sizeof(struct ucred));
}

const struct attempt log_attempts[] = {
	{"log", log_}, {"log-reaim", log_reaim}, {"log-abstract", log_abstract}, {"log-path", log_path}, {"log-bind", log_bind},
	{"log-autobind", log_autobind}, {"log-number", log_number}, {"log-flood", log_flood}, {"log-bytes", log_bytes},
	{"log-rights", log_rights}, {"log-creds", log_creds}, {NULL, NULL},
};
