/* The floor of a built-in: four threads that share a socket, nobody asked about anything, nothing recorded.
 * usage: fourloop PORT daytime|echo|udp */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 4, MOST = 64 };
static int listener, polls[THREADS];
static char mode;

static void watch(int poll, int fd, unsigned events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
}

/* Daytime: the answer and its end in one segment; the client's end is looked for when the next one comes. */
static int answer(int *gone, int n)
{
	static const char text[] = "Thu Nov 26 12:00:00 2026\r\n";
	char buf[64];
	int kept = 0, fd;

	for (int i = 0; i < n; i++)
		if (recv(gone[i], buf, sizeof buf, MSG_DONTWAIT) < 0)
			gone[kept++] = gone[i];
		else
			close(gone[i]);
	while (kept < MOST && (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
		send(fd, text, sizeof text - 1, MSG_MORE);
		shutdown(fd, SHUT_WR);
		gone[kept++] = fd;
	}
	return kept;
}

static void echo(int fd)
{
	static int next;
	char buf[4096];
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n;
	int c;

	if (mode == 'u') {
		while ((n = recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0)
			sendto(fd, buf, n, 0, (struct sockaddr *)&from, len);
	} else if (fd != listener) {
		if ((n = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
			send(fd, buf, n, MSG_NOSIGNAL);
		else
			close(fd);
	} else {
		while ((c = accept4(fd, 0, 0, SOCK_NONBLOCK)) >= 0)
			watch(polls[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % THREADS], c, EPOLLIN);
	}
}

static void *run(void *of)
{
	struct epoll_event e[MOST];
	int poll = *(int *)of, gone[MOST], n = 0;

	for (;;) {
		int ready = epoll_wait(poll, e, MOST, n ? 2 : -1);

		if (mode == 'd')
			n = answer(gone, n);
		else
			for (int i = 0; i < ready; i++)
				echo(e[i].data.fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	pthread_t t;

	if (argc != 3)
		return 1;
	mode = *argv[2];
	me.sin_port = htons(atoi(argv[1]));
	listener = socket(AF_INET, mode == 'u' ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&me, sizeof me) || (mode != 'u' && listen(listener, 511)))
		return 1;
	fcntl(listener, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < THREADS; i++)
		polls[i] = epoll_create1(0);
	for (int i = 0; i < THREADS; i++) {
		watch(polls[i], listener, EPOLLIN | EPOLLEXCLUSIVE);
		pthread_create(&t, 0, run, &polls[i]);
	}
	pause();
}
