/* Makes one system call that its client names, in the way that its client names ("HOW WHAT"),
 * and answers with the errno, 0 for none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *what;

static struct {
	const char *name;
	long nr, a, b, c, d;
} calls[] = {
	{"tcp", SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0},
	{"udp", SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP, 0},
	{"packet", SYS_socket, AF_PACKET, SOCK_RAW, 0, 0},
	{"route", SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0},
	{"sti", SYS_ioctl, 0, TIOCSTI, (long)"x", 0},
	{"reaper", SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0},
	{"shm", SYS_shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600, 0},
	{"watch", SYS_inotify_init1, 0, 0, 0, 0},
	{"queue", SYS_mq_open, (long)"casemate", O_RDWR | O_CREAT, 0600, 0},
	{"user", SYS_unshare, CLONE_NEWUSER, 0, 0, 0},
	{"trace", SYS_ptrace, PTRACE_TRACEME, 0, 0, 0},
	{"key", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0},
	{"notify", SYS_fcntl, 0, F_NOTIFY, 0, 0},
	{"memory", SYS_memfd_create, (long)"x", 0, 0, 0},
	{"unix", SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0},
	{"uring", SYS_io_uring_setup, 1, 0, 0, 0},
	{"reap", SYS_process_mrelease, -1, 0, 0, 0},
	{"nscd", SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0},
	{"syslog", SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0},
	{"audit", SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 9 /* NETLINK_AUDIT */, 0},
	{"thread", SYS_clone3, 0, 0, 0, 0},
};

static int try(void)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (!strcmp(calls[i].name, what)) {
			errno = 0;
			return syscall(calls[i].nr, calls[i].a, calls[i].b, calls[i].c, calls[i].d, 0, 0) < 0 ? errno : 0;
		}
	exit(3);
}

static void *thread(void *out)
{
	*(int *)out = try();
	return NULL;
}

/* The result of a process so many forks away, whose parents have ended and which leads a session of its own. */
static int apart(int orphan)
{
	int ends[2], result = -1;
	if (pipe(ends) < 0)
		exit(4);
	pid_t pid = fork();
	if (pid == 0) {
		if (orphan) {
			pid_t parent = getpid();
			setsid();
			if (fork() > 0)
				_exit(0);
			setsid();
			while (getppid() == parent)
				usleep(1000);
		}
		result = try();
		if (write(ends[1], &result, sizeof result) < 0)
			_exit(1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (read(ends[0], &result, sizeof result) < 0)
		exit(5);
	return result;
}

/* The result of the processes so many forks below this one, whose parents all wait, and each of which leads a session of its own. */
static int deep(int forks)
{
	int ends[2], result = -1;
	if (pipe(ends) < 0)
		exit(4);
	for (int i = 0; i < forks; i++) {
		pid_t pid = fork();
		if (pid < 0)
			exit(8);
		if (pid > 0) {
			int status;
			if (waitpid(pid, &status, 0) < 0 || status != 0)
				exit(9);
			if (i > 0)
				_exit(0);
			if (read(ends[0], &result, sizeof result) != sizeof result)
				exit(5);
			return result;
		}
	}
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();
		if (pid < 0)
			exit(8);
		if (pid == 0) {
			setsid();
			_exit(try());
		}
	}
	for (int i = 0, status; i < 40; i++) {
		if (wait(&status) < 0 || !WIFEXITED(status) || (i > 0 && WEXITSTATUS(status) != result))
			exit(9);
		result = WEXITSTATUS(status);
	}
	if (write(ends[1], &result, sizeof result) < 0)
		_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	char line[128], how[32], name[32];
	int times = 1, result = 0;
	pthread_t t;

	if (argc > 1) { /* the number of a listening socket */
		int conn = accept(atoi(argv[1]), NULL, NULL);
		if (conn < 0 || dup2(conn, 0) < 0 || dup2(conn, 1) < 0)
			return 7;
	}
	if (!fgets(line, sizeof line, stdin) || sscanf(line, "%31s %31s %d", how, name, &times) < 2)
		return 2;
	what = name;
	if (!strcmp(how, "say"))
		fprintf(stderr, "here\n");
	if (!strcmp(how, "child"))
		result = apart(0);
	else if (!strcmp(how, "orphan"))
		result = apart(1);
	else if (!strcmp(how, "deep"))
		result = deep(times);
	else if (!strcmp(how, "thread")) {
		if (pthread_create(&t, NULL, thread, &result) || pthread_join(t, NULL))
			return 6;
	} else
		for (int i = 0; i < times; i++)
			result = try();
	printf("%d\n", result);
	if (!strcmp(how, "stay")) { /* and once more for each further line */
		fflush(stdout);
		while (fgets(line, sizeof line, stdin)) {
			printf("%d\n", try());
			fflush(stdout);
		}
	}
	return 0;
}
