/* Attempts on mounts and namespaces: #12, #25, #32, #33. */
#include "victim.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Flags are an argument: with the launch's own flags the filter lets the call
 * through, and only the missing capability stops it. */
static int mount_tmpfs(int c, char **v)
{
	return OUTCOME(mount("none", v[1], "tmpfs", c > 2 ? strtoul(v[2], NULL, 0) : 0, NULL));
}
static int mount_bind(int c, char **v) { return OUTCOME(mount(v[1], v[2], NULL, MS_BIND, NULL)); }
static int mount_proc(int c, char **v)
{
	return OUTCOME(mount("proc", v[1], "proc", c > 2 ? strtoul(v[2], NULL, 0) : 0, NULL));
}
static int mount_cgroup(int c, char **v) { return OUTCOME(mount("none", v[1], "cgroup2", 0, NULL)); }
static int remount(int c, char **v)
{
	return OUTCOME(mount(NULL, v[1], NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int umount_(int c, char **v) { return OUTCOME(umount2(v[1], MNT_DETACH)); }
static int pivot(int c, char **v) { return OUTCOME(syscall(SYS_pivot_root, ".", ".")); }
static int open_tree_(int c, char **v)
{
	return OUTCOME(syscall(428, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC));
}
static int move_mount_(int c, char **v)
{
	int fd = syscall(428, AT_FDCWD, "/", 1);

	return OUTCOME(syscall(429, fd, "", AT_FDCWD, v[1], 4 /* MOVE_MOUNT_F_EMPTY_PATH */));
}
static int fsopen_(int c, char **v) { return OUTCOME(syscall(430, "tmpfs", 0)); }
static int mount_setattr_(int c, char **v)
{
	uint64_t attr[4] = {0, 1 /* clear MOUNT_ATTR_RDONLY */, 0, 0};

	return OUTCOME(syscall(442, AT_FDCWD, "/", 0, attr, sizeof attr));
}

static int unshare_(int c, char **v)
{
	/* In a child: unsharing a pid namespace would change what later forks mean. */
	return OUTCOME(syscall(SYS_unshare, strtoul(v[1], NULL, 0)));
}
static int unshare_each(int c, char **v) { return in_child(unshare_, c, v); }

/* clone(2) with a namespace flag, raw: the child leaves at once. */
static int clone_(int c, char **v)
{
	long pid = syscall(SYS_clone, strtoul(v[1], NULL, 0) | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static int clone3_(int c, char **v)
{
	uint64_t args[11] = {strtoul(v[1], NULL, 0), 0, 0, 0, SIGCHLD};
	long pid = syscall(SYS_clone3, args, sizeof args);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static int setns_(int c, char **v)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "/proc/%s/ns/%s", v[1], v[2]);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return errno;
	return OUTCOME(setns(fd, 0));
}

/* setns on a descriptor that is no namespace: EINVAL says the call itself is open. */
static int setns_call(int c, char **v)
{
	return setns(0, 0) == -1 && errno != EINVAL ? errno : 0;
}

const struct attempt mount_attempts[] = {
	{"mount-tmpfs", mount_tmpfs}, {"mount-bind", mount_bind}, {"mount-proc", mount_proc},
	{"mount-cgroup", mount_cgroup}, {"remount", remount}, {"umount", umount_}, {"pivot-root", pivot},
	{"open-tree", open_tree_}, {"move-mount", move_mount_}, {"fsopen", fsopen_},
	{"mount-setattr", mount_setattr_}, {"unshare", unshare_each}, {"clone", clone_}, {"clone3", clone3_},
	{"setns", setns_}, {"setns-call", setns_call}, {NULL, NULL},
};
