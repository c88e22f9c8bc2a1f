/* Descriptors over sockets, and the loopback interface. */
#ifndef CASEMATE_SOCKETS_H
#define CASEMATE_SOCKETS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "call.h"

/* Tells the broker, and gives it a descriptor unless that is below 0. */
static void tell(int ctl, const struct reply *r, int fd)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof fd)]; } rights = {{CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (void *)r, .iov_len = sizeof *r};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = fd < 0 ? 0 : sizeof rights};
	memcpy(CMSG_DATA(&rights.head), &fd, sizeof fd);
	call(SYS_sendmsg, ctl, &msg, 0); /* no EINTR: every signal is blocked */
}

/* Waits for one byte and the descriptor that comes with it, and gives that, or the negative errno. */
static long take_fd(int from)
{
	char byte;
	int fd;
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof fd)]; } rights;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
	long n = call(SYS_recvmsg, from, &msg, 0);
	if (n <= 0 || msg.msg_controllen < CMSG_LEN(sizeof fd) || rights.head.cmsg_type != SCM_RIGHTS)
		return n < 0 ? n : -EPIPE;
	memcpy(&fd, CMSG_DATA(&rights.head), sizeof fd);
	return fd;
}

/* Of the network namespace of this process, which has just been made. Whatever socket of it will do. */
static long loopback_up(void)
{
	static const struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	long fd = call(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = fd;
	if (fd >= 0) {
		r = call(SYS_ioctl, fd, SIOCSIFFLAGS, &lo);
		call(SYS_close, fd);
	}
	return r;
}

#endif
