/*
 * A wait service's program that would rather have no filter at its socket. It tells each client what came of the
 * tries: errno of taking the filter off, of another in its place and of locking it, and how many clients it has had.
 */
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int set(int name, const void *value, socklen_t size)
{
	return setsockopt(0, SOL_SOCKET, name, value, size) ? errno : 0;
}

int main(void)
{
	struct sock_filter all = {BPF_RET | BPF_K, 0, 0, 0xffffffff};
	struct sock_fprog mine = {1, &all};
	int zero = 0, listens = 0;
	socklen_t size = sizeof listens;
	struct pollfd in = {.fd = 0, .events = POLLIN};
	getsockopt(0, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
	for (int clients = 1; poll(&in, 1, 4000) > 0; clients++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		char text[100], byte;
		int off = set(SO_DETACH_FILTER, &zero, sizeof zero);
		int on = set(SO_ATTACH_FILTER, &mine, sizeof mine);
		int lock = clients > 1 ? 0 : set(SO_LOCK_FILTER, &zero, sizeof zero);
		int n = snprintf(text, sizeof text, "%d %d %d, %d\n", off, on, lock, clients);
		if (listens) {
			int fd = accept(0, NULL, NULL);
			if (fd >= 0 && write(fd, text, n) != n)
				return 1;
			close(fd);
		} else if (recvfrom(0, &byte, 1, 0, (struct sockaddr *)&from, &len) >= 0) {
			sendto(0, text, n, 0, (struct sockaddr *)&from, len);
		}
	}
	return 0;
}
