/* A program that a socket activator starts: it tells two clients what it was handed, and ends. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *value(const char *name) { return getenv(name) ? getenv(name) : "none"; }

int main(void)
{
	int n = getenv("LISTEN_FDS") ? atoi(getenv("LISTEN_FDS")) : 0;
	struct pollfd fds[16];
	for (int i = 0; i < n && i < 16; i++)
		fds[i] = (struct pollfd){.fd = 3 + i, .events = POLLIN};
	for (int served = 1; served <= 2; served++) {
		if (poll(fds, n, -1) < 0)
			return 1;
		for (int i = 0; i < n; i++) {
			if (!(fds[i].revents & POLLIN))
				continue;
			int c = accept(3 + i, NULL, NULL);
			dprintf(c, "client %d by %d\nLISTEN_FDS=%s\nLISTEN_FDNAMES=%s\n", served, 3 + i, value("LISTEN_FDS"), value("LISTEN_FDNAMES"));
			dprintf(c, "LISTEN_PID is %s\n", atoi(value("LISTEN_PID")) == getpid() ? "its own" : value("LISTEN_PID"));
			for (int fd = 0; fd < 3 + n + 3; fd++) {
				struct sockaddr_in at = {0};
				socklen_t size = sizeof at;
				int flags = fcntl(fd, F_GETFD);
				if (fd == c || fd < 3)
					continue;
				if (flags < 0)
					dprintf(c, "%d is closed\n", fd);
				else if (getsockname(fd, (struct sockaddr *)&at, &size) == 0)
					dprintf(c, "%d has port %d, close-on-exec %d\n", fd, ntohs(at.sin_port), flags & FD_CLOEXEC);
				else
					dprintf(c, "%d is open\n", fd);
			}
			shutdown(c, SHUT_WR);
			close(c);
			break;
		}
	}
	return 0;
}
