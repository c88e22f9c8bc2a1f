/* A service that does what its client says, one line for each connection, or
 * what its first argument says when it gets a listening socket or datagrams. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What the client asks for, in one read: a line or a datagram. */
static void obey(char *order, FILE *out)
{
	order[strcspn(order, "\r\n")] = 0;
	if (strcmp(order, "crash") == 0)
		abort();
	if (strcmp(order, "violate") == 0)
		mount("none", "/", NULL, MS_REMOUNT, NULL);
	fprintf(out, "served %s\n", order);
	fflush(out);
}

static void serve(void)
{
	char order[512] = "";

	if (read(0, order, sizeof order - 1) >= 0)
		obey(order, stdout);
}

/* So many datagrams for each start: what is left unread must start the next. */
static void datagram(int fd, int some)
{
	while (some-- > 0) {
		struct sockaddr_storage from;
		socklen_t n = sizeof from;
		char order[512] = "", answer[600];

		if (recvfrom(fd, order, sizeof order - 1, 0, (void *)&from, &n) < 0)
			exit(4);
		if (strcmp(order, "crash") == 0)
			abort();
		sendto(fd, answer, snprintf(answer, sizeof answer, "served %s by one", order), 0, (void *)&from, n);
	}
}

/* So many clients for each start. */
static void accept_some(int fd, int some)
{
	while (some-- > 0) {
		char order[512] = "";
		int c = accept(fd, NULL, NULL);
		FILE *out;

		if (c < 0)
			exit(5);
		if (read(c, order, sizeof order - 1) < 0)
			exit(6);
		out = fdopen(c, "w");
		obey(order, out);
		fprintf(out, "LISTEN_FDS=%s LISTEN_PID=%s pid=%d\n", getenv("LISTEN_FDS"), getenv("LISTEN_PID"), getpid());
		fclose(out);
	}
}

static void asked(int sig)
{
	static const char text[] = "asked to end\n";

	if (write(1, text, sizeof text - 1) < 0)
		_exit(1);
	_exit(0);
}

/* Says so when it is asked to end. */
static void polite(void)
{
	signal(SIGTERM, asked);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

/* What it was started as. */
static void self(const char *name)
{
	char cwd[256], line[256];
	gid_t groups[64];
	int i, n = getgroups(64, groups);
	mode_t mask = umask(0);
	FILE *f;
	char **e;

	printf("uid %d %d gid %d %d groups", getuid(), geteuid(), getgid(), getegid());
	for (i = 0; i < n; i++)
		printf(" %d", groups[i]);
	printf("\numask %04o\ncwd %s\n", mask, getcwd(cwd, sizeof cwd) ? cwd : "-");
	printf("stderr %s\n", fileno(stderr) == 2 && getpeername(2, (void *)cwd, &(socklen_t){sizeof cwd}) == 0 &&
		getpeername(1, (void *)line, &(socklen_t){sizeof line}) == 0 && memcmp(cwd, line, 8) == 0 ? "client" : "other");
	if (name)
		printf("named %s\n", getenv(name) ? getenv(name) : "-");
	for (e = environ; *e; e++)
		printf("env %s\n", *e);
	f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, "Seccomp", 7) == 0)
			printf("%s", line);
	/* A root to become would show here. */
	printf("setuid 0 %s\n", syscall(SYS_setuid, 0) == 0 ? "worked" : "failed");
	fflush(stdout);
}

/* How many descriptors it may have, as it is told and as it is. */
static void limits(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	if (dup2(0, r.rlim_cur - 1) < 0 || dup2(0, r.rlim_cur) >= 0)
		r.rlim_cur = 0;
	printf("nofile %ld %ld\n", (long)r.rlim_cur, (long)r.rlim_max);
	fflush(stdout);
}

/* Leaves a zombie to whoever adopts it, and tells how many it sees. */
static void orphan(void)
{
	char line[256];
	int pid, zombies = 0;
	FILE *f;

	if (fork() == 0) {
		if (fork() == 0) {
			usleep(20000);
			_exit(0);
		}
		_exit(0);
	}
	wait(NULL);
	usleep(200000);
	for (pid = 1; pid < 50; pid++) {
		snprintf(line, sizeof line, "/proc/%d/stat", pid);
		f = fopen(line, "r");
		if (f && fgets(line, sizeof line, f) && strstr(line, ") Z "))
			zombies++;
		if (f)
			fclose(f);
	}
	printf("pid %d zombies %d\n", getpid(), zombies);
	fflush(stdout);
	polite();
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "serve", *named;

	if (strcmp(way, "serve") == 0)
		serve();
	else if (strcmp(way, "datagram") == 0)
		datagram(0, argc > 2 ? atoi(argv[2]) : 1);
	else if (strcmp(way, "accept") == 0)
		accept_some(argc > 3 ? atoi(argv[3]) : 0, argc > 2 ? atoi(argv[2]) : 1);
	else if (strcmp(way, "polite") == 0)
		polite();
	else if (strcmp(way, "self") == 0)
		self(argc > 2 ? argv[2] : NULL);
	else if (strcmp(way, "limits") == 0)
		limits();
	else if (strcmp(way, "orphan") == 0)
		orphan();
	else if (strcmp(way, "named") == 0) { /* the client's socket in a variable */
		named = getenv(argv[2]);
		if (!named || dup2(atoi(named), 1) < 0)
			return 7;
		self(argv[2]);
	} else
		return 2;
	return 0;
}
