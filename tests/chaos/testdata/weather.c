/* A service of the storm: weather NAME WAY. It does what each client's line says
 * and begins every answer with its own name, so that a client knows whose it is.
 * WAY is what it gets as standard input: "client" a connection, "datagram" one
 * peer's datagrams, "listener" a listening stream socket, "queue" a datagram
 * socket with everybody's. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most = 64, patience_ms = 8000, idle_ms = 1000 };

static const char *name;

/* Writes for ever to who may never read. */
static void spew(int to)
{
	char text[4096];

	memset(text, 'x', sizeof text);
	while (write(to, text, sizeof text) > 0)
		;
}

static void hang(void)
{
	signal(SIGTERM, SIG_IGN);
	for (;;)
		pause();
}

/* Leaves somebody behind who holds nothing and wants to live. */
static void leave(void)
{
	if (fork() == 0) {
		setsid();
		close(0);
		close(1);
		close(2);
		hang();
	}
}

static void eat(void)
{
	char *p;
	int i;

	for (i = 0; i < 64 && (p = malloc(1 << 20)); i++)
		memset(p, i, 1 << 20);
}

/* Does what an order says; the answer's length, or 0 for none. */
static int obey(char *order, char *answer, size_t room, int to)
{
	order[strcspn(order, "\r\n")] = 0;
	if (strncmp(order, "say ", 4) == 0)
		return snprintf(answer, room, "%s %s\n", name, order + 4);
	if (strcmp(order, "crash") == 0)
		abort();
	if (strcmp(order, "violate") == 0)
		mount("none", "/", NULL, MS_REMOUNT, NULL);
	if (strcmp(order, "noise") == 0) {
		int i;
		for (i = 0; i < 500; i++)
			fprintf(stderr, "{\"msg\":\"decision\"} \x1b[31m line %d of a service that talks too much\n", i);
	}
	if (strcmp(order, "spew") == 0)
		spew(to);
	if (strcmp(order, "hang") == 0)
		hang();
	if (strcmp(order, "leave") == 0)
		leave();
	if (strcmp(order, "eat") == 0)
		eat();
	return 0;
}

static void client(int fd)
{
	char order[512], answer[600];
	size_t have = 0;
	ssize_t n;

	while (have < sizeof order - 1 && (n = read(fd, order + have, sizeof order - 1 - have)) > 0) {
		have += n;
		if (memchr(order, '\n', have))
			break;
	}
	order[have] = 0;
	if ((n = obey(order, answer, sizeof answer, fd)) > 0 && write(fd, answer, n) != n)
		_exit(1);
}

static void datagram(void)
{
	char order[512], answer[600];
	ssize_t n = recv(0, order, sizeof order - 1, 0);

	if (n < 0)
		_exit(1);
	order[n] = 0;
	if ((n = obey(order, answer, sizeof answer, 1)) > 0)
		send(1, answer, n, 0);
}

static void queue(void)
{
	struct pollfd p = { 0, POLLIN, 0 };

	while (poll(&p, 1, idle_ms) > 0) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		char order[512], answer[600];
		ssize_t n = recvfrom(0, order, sizeof order - 1, MSG_DONTWAIT, (void *)&from, &len);

		if (n < 0)
			continue;
		order[n] = 0;
		if ((n = obey(order, answer, sizeof answer, -1)) > 0)
			sendto(0, answer, n, 0, (void *)&from, len);
	}
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Many clients at once, none of whom may keep it from the others. */
static void listener(void)
{
	struct pollfd p[most + 1] = { { 0, POLLIN, 0 } };
	long since[most + 1] = { now_ms() };
	int n = 1, i;

	while (n > 1 || now_ms() - since[0] < idle_ms) {
		p[0].events = n <= most ? POLLIN : 0;
		poll(p, n, idle_ms / 4);
		for (i = n - 1; i > 0; i--) {
			char order[512], answer[600];
			ssize_t got;

			if (!p[i].revents && now_ms() - since[i] < patience_ms)
				continue;
			got = recv(p[i].fd, order, sizeof order - 1, MSG_DONTWAIT);
			if (got > 0) {
				order[got] = 0;
				got = obey(order, answer, sizeof answer, p[i].fd);
				if (got > 0)
					send(p[i].fd, answer, got, MSG_DONTWAIT | MSG_NOSIGNAL);
			}
			close(p[i].fd);
			p[i] = p[--n];
			since[i] = since[n];
		}
		if (p[0].revents & POLLIN && n <= most) {
			int c = accept(0, NULL, NULL);
			if (c >= 0) {
				p[n] = (struct pollfd){ c, POLLIN, 0 };
				since[0] = since[n++] = now_ms();
			}
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	name = argv[1];
	if (strcmp(argv[2], "client") == 0)
		client(0);
	else if (strcmp(argv[2], "datagram") == 0)
		datagram();
	else if (strcmp(argv[2], "listener") == 0)
		listener();
	else if (strcmp(argv[2], "queue") == 0)
		queue();
	else
		return 2;
	return 0;
}
