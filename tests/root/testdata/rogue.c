/* A service that behaves as its first argument says; each way is one that real
 * services have, or that a broken one takes. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(1);
}

/* Everything the client sends, then how much it was: only a service that may
 * answer after the client's half-close can do this. */
static void count(void)
{
	char buf[4096], line[64];
	long total = 0;
	ssize_t n;

	while ((n = read(0, buf, sizeof buf)) > 0)
		total += n;
	snprintf(line, sizeof line, "%ld bytes\n", total);
	say(line);
}

/* One datagram, answered to whom the socket is connected to. */
static void datagram(void)
{
	char buf[1024];
	ssize_t n = read(0, buf, sizeof buf);

	if (n < 0 || write(1, buf, n) != n)
		_exit(1);
}

/* Takes one client of its listening socket, answers, and leaves that socket
 * shut down, with an option that would reset every later client. */
static void shut(int how)
{
	char buf[64];
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	struct linger reset = { 1, 0 };
	int conn = accept(0, 0, 0);

	if (conn >= 0) {
		if (write(conn, "ok\n", 3) != 3)
			_exit(1);
		close(conn);
	} else if (recvfrom(0, buf, sizeof buf, 0, (struct sockaddr *)&peer, &len) < 0 ||
		   (len > 0 && sendto(0, "ok\n", 3, MSG_NOSIGNAL, (struct sockaddr *)&peer, len) < 0)) {
		_exit(1);
	}
	setsockopt(0, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	shutdown(0, how);
}

/* Stays until the client goes. */
static void hold(void)
{
	char buf[64];

	say("holding\n");
	while (read(0, buf, sizeof buf) > 0)
		;
}

/* Takes one client of its listening socket and stays until it goes. */
static void take(void)
{
	int conn = accept(0, 0, 0);
	char buf[64];

	if (conn < 0 || write(conn, "taken\n", 6) != 6)
		_exit(1);
	while (read(conn, buf, sizeof buf) > 0)
		;
}

/* Takes one client of its listening socket, and ends when another one waits there. */
static void relieve(void)
{
	int conn = accept(0, 0, 0);
	struct pollfd next = { 0, POLLIN, 0 };

	if (conn < 0 || write(conn, "taken\n", 6) != 6 || poll(&next, 1, -1) != 1 || write(conn, "ok\n", 3) != 3)
		_exit(1);
}

/* Leaves a grandchild behind that nobody waits for. */
static void fork_away(void)
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			close(0);
			close(1);
			close(2);
			for (;;)
				pause();
		}
		_exit(0);
	}
	say("gone\n");
}

static void deaf(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	say("deaf\n");
	for (;;)
		pause();
}

/* Tries to outlive whoever started it, and says whether it might. */
static void untie(void)
{
	int sig = -1;

	prctl(PR_SET_PDEATHSIG, 0);
	prctl(PR_GET_PDEATHSIG, &sig);
	say(sig ? "tied\n" : "untied\n");
	deaf();
}

/* The same without the call: the setting is a thread's own, a new thread has
 * none, and one that executes a program becomes the process. */
static void *execute(void *argv)
{
	execv(*(char **)argv, argv);
	say(strerror(errno));
	say("\n");
	_exit(1);
}
static void by_thread(char *self, char *way)
{
	char *argv[] = { self, way, NULL };
	pthread_t t;

	pthread_create(&t, NULL, execute, argv);
	for (;;)
		pause();
}

/* Wants the last close of its client's socket to wait ten minutes for what that does not read. */
static void linger(void)
{
	struct linger wait = { 1, 600 };
	char buf[65536] = { 0 };

	if (read(0, buf, 1) != 1 || setsockopt(0, SOL_SOCKET, SO_LINGER, &wait, sizeof wait))
		_exit(1);
	while (send(1, buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
}

/* Waits for its client to say something, and reads none of it. */
static void unread(void)
{
	struct pollfd in = { 0, POLLIN, 0 };

	poll(&in, 1, -1);
	say("once\n");
}

/* Lines on stderr, among them what would break a log that trusts them. */
static void flood(int lines)
{
	int i;

	fprintf(stderr, "first {\"msg\":\"decision\"} \"quoted\" \\ \x1b[31m \xff\xfe tab\t end\n");
	for (i = 0; i < lines; i++)
		fprintf(stderr, "line %d of a service that talks too much\n", i);
	say("flooded\n");
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "count";

	if (strcmp(way, "count") == 0)
		count();
	else if (strcmp(way, "datagram") == 0)
		datagram();
	else if (strcmp(way, "hold") == 0)
		hold();
	else if (strcmp(way, "take") == 0)
		take();
	else if (strcmp(way, "relieve") == 0)
		relieve();
	else if (strncmp(way, "shut-", 5) == 0)
		shut(atoi(way + 5));
	else if (strcmp(way, "once") == 0)
		say("once\n");
	else if (strcmp(way, "crash") == 0)
		abort();
	else if (strcmp(way, "unread") == 0)
		unread();
	else if (strcmp(way, "linger") == 0)
		linger();
	else if (strcmp(way, "fail") == 0)
		return 3;
	else if (strcmp(way, "fork-away") == 0)
		fork_away();
	else if (strcmp(way, "deaf") == 0)
		deaf();
	else if (strcmp(way, "untie") == 0)
		untie();
	else if (strcmp(way, "untie-by-thread") == 0)
		by_thread(argv[argc - 1], "untie"); /* its own path */
	else if (strcmp(way, "take-by-thread") == 0)
		by_thread(argv[argc - 1], "take");
	else if (strcmp(way, "flood") == 0)
		flood(argc > 2 ? atoi(argv[2]) : 1000);
	else
		return 2;
	return 0;
}
