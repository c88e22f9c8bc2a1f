/* A program behind a relay: what it can learn of its client and do with its socket, by way of argv[1]. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *said(int r) { return r == 0 ? "ok" : strerrorname_np(errno); }

static void facts(void)
{
	int domain = 0, type = 0, on = 1;
	socklen_t n = sizeof domain;
	getsockopt(0, SOL_SOCKET, SO_DOMAIN, &domain, &n);
	getsockopt(0, SOL_SOCKET, SO_TYPE, &type, &n);
	struct ucred who = {0};
	n = sizeof who;
	getsockopt(0, SOL_SOCKET, SO_PEERCRED, &who, &n);
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof peer;
	int r = getpeername(0, (void *)&peer, &len);
	printf("domain %d type %d peer %s %d, ", domain, type, said(r), peer.ss_family);
	printf("cred %s, ", who.uid == 0 ? "root" : who.uid == getuid() ? "mine" : "another");
	printf("nodelay %s, ", said(setsockopt(0, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)));
	printf("addr %s\n", getenv("REMOTE_ADDR"));
	fflush(stdout);
	char b[4096];
	long got = 0, k;
	while ((k = read(0, b, sizeof b)) > 0)
		got += k;
	printf("got %ld, %s\n", got, said((int)k));
}

/* Writes 192 KiB and ends, whatever its client has said. */
static void flood(void)
{
	static char b[64 << 10];
	memset(b, 'x', sizeof b);
	for (int i = 0; i < 3; i++)
		if (write(1, b, sizeof b) != sizeof b)
			exit(3);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "flood") == 0)
		flood();
	else
		facts();
	return 0;
}
