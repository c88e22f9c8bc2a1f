/* What the victim is and sees, for the tests to judge: #17, #18, #22, #40, #68.
 * And the ways to behave badly that end in the victim's own death. */
#include "victim.h"

#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/utsname.h>

extern char **environ;

static int status(int c, char **v)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	if (!f)
		return errno;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		note("%s", line);
	}
	fclose(f);
	return 0;
}
static int environment(int c, char **v)
{
	char **e;

	for (e = environ; *e; e++)
		note("%s", *e);
	return 0;
}
static int identity(int c, char **v)
{
	char cwd[256];
	struct utsname u;
	mode_t mask = umask(0);

	umask(mask);
	uname(&u);
	note("uid %d gid %d euid %d egid %d", getuid(), getgid(), geteuid(), getegid());
	note("pid %d ppid %d sid %d pgrp %d", getpid(), getppid(), getsid(0), getpgrp());
	note("umask %04o cwd %s node %s", mask, getcwd(cwd, sizeof cwd) ? cwd : "-", u.nodename);
	return 0;
}
/* The files below a directory, one level. */
static int list(int c, char **v)
{
	DIR *d = opendir(v[1]);
	struct dirent *e;

	if (!d)
		return errno;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			note("%s", e->d_name);
	closedir(d);
	return 0;
}
/* #22: works when a process beside our own is visible. */
static int list_pids(int c, char **v)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int others = 0;

	if (!d)
		return errno;
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 0) {
			note("pid %s", e->d_name);
			others += atoi(e->d_name) != getpid();
		}
	closedir(d);
	return others ? 0 : ESRCH;
}

/* #17: leave something for whoever comes next. */
static int leave(int c, char **v)
{
	char path[256];
	int fd, ok = 0;

	snprintf(path, sizeof path, "%s/left", v[1]);
	fd = open(path, O_WRONLY | O_CREAT, 0666);
	ok += fd >= 0;
	note("file: %s", fd < 0 ? strerrorname_np(errno) : "left");
	fd = shmget(0xca5e, 4096, IPC_CREAT | 0666);
	ok += fd >= 0;
	note("shm: %s", fd < 0 ? strerrorname_np(errno) : "left");
	fd = mq_open("/casemate-left", O_CREAT | O_RDWR, 0666, NULL);
	ok += fd >= 0;
	note("mq: %s", fd < 0 ? strerrorname_np(errno) : "left");
	return ok ? 0 : EPERM;
}
static int look(int c, char **v)
{
	char path[256];
	struct stat st;
	int id, found = 0;

	snprintf(path, sizeof path, "%s/left", v[1]);
	if (stat(path, &st) == 0)
		note("file"), found = 1;
	id = shmget(0xca5e, 4096, 0666);
	if (id >= 0) {
		note("shm"), found = 1;
		shmctl(id, IPC_RMID, NULL);
	}
	if (mq_open("/casemate-left", O_RDWR) >= 0) {
		note("mq"), found = 1;
		mq_unlink("/casemate-left");
	}
	unlink(path);
	return found ? 0 : ENOENT;
}

/* #18 */
static int core(int c, char **v)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_CORE, &r))
		return errno;
	note("core %lu", (unsigned long)r.rlim_max);
	return r.rlim_max > 1 ? 0 : EPERM; /* core(5): 1 keeps a program away that core_pattern names, too */
}
static int limits(int c, char **v)
{
	static const char *names[] = {"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
		"memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
	struct rlimit r;
	int i;

	for (i = 0; i < 16; i++)
		if (getrlimit(i, &r) == 0)
			note("%s %lu %lu", names[i], (unsigned long)r.rlim_cur, (unsigned long)r.rlim_max);
	return 0;
}

const struct attempt state_attempts[] = {
	{"status", status}, {"environment", environment}, {"identity", identity}, {"list", list},
	{"list-pids", list_pids}, {"leave", leave}, {"look", look}, {"core", core}, {"limits", limits}, {NULL, NULL},
};
