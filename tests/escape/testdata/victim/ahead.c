/* #87: what a session leaves in its /tmp, for another that is given the same place. */
#include "victim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <dirent.h>

static int watch = -1; /* of /tmp, for tmp-hand */

static int made(const char *path, mode_t mode) { return open(path, O_RDWR | O_CREAT | O_EXCL, mode); }

static int bound(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	return bind(fd, (struct sockaddr *)&a, sizeof a);
}

/* tmp-leave KIND NAME: so that it is there, and open where it can be, when this process ends. */
static int leave(int c, char **v)
{
	const struct timespec then[2] = {{1, 0}, {1, 0}};
	const char *kind = v[1];
	char path[100];
	DIR *d;

	if (chdir("/tmp"))
		return errno;
	snprintf(path, sizeof path, "/tmp/%s", v[2]);
	if (!strcmp(kind, "file"))
		return OUTCOME(made(path, 0644));
	if (!strcmp(kind, "dir"))
		return OUTCOME(mkdir(path, 0755));
	if (!strcmp(kind, "symlink"))
		return OUTCOME(symlink("/etc", path));
	if (!strcmp(kind, "fifo"))
		return OUTCOME(mkfifo(path, 0644));
	if (!strcmp(kind, "socket"))
		return OUTCOME(bound(path));
	if (!strcmp(kind, "big"))
		return OUTCOME(ftruncate(made(path, 0644), 1ul << 40));
	if (!strcmp(kind, "full"))
		return OUTCOME(posix_fallocate(made(path, 0644), 0, 900 << 10) ? -1 : 0);
	if (!strcmp(kind, "xattr"))
		return OUTCOME(fsetxattr(made(path, 0644), "user.left", "x", 1, 0));
	if (!strcmp(kind, "mode"))
		return OUTCOME(fchmod(made(path, 0644), 0600));
	if (!strcmp(kind, "times"))
		return OUTCOME(futimens(made(path, 0644), then));
	if (!strcmp(kind, "removed"))
		return OUTCOME(made(path, 0644) < 0 ? -1 : unlink(path));
	if (!strcmp(kind, "unnamed"))
		return OUTCOME(open("/tmp", O_TMPFILE | O_RDWR, 0644));
	if (!strcmp(kind, "lock"))
		return OUTCOME(flock(open("/tmp", O_RDONLY), LOCK_EX));
	if (!strcmp(kind, "list")) {
		usleep(20000); /* more than a tick of the clock that the kernel takes file times of */
		d = opendir("/tmp");
		return OUTCOME(d && readdir(d) ? 0 : -1);
	}
	if (!strcmp(kind, "watch")) {
		watch = inotify_init1(IN_NONBLOCK);
		return OUTCOME(inotify_add_watch(watch, "/tmp", IN_ALL_EVENTS));
	}
	return EINVAL;
}

/* tmp-look: all that there is to see of /tmp, beside its times, which are to be the same. */
static int look(int c, char **v)
{
	char ns[64] = "", names[4096];
	struct stat st, file;
	struct statfs fs;
	struct dirent *e;
	int fd, n;
	DIR *d;

	if (readlink("/proc/self/ns/mnt", ns, sizeof ns - 1) < 0 || stat("/tmp", &st) || statfs("/tmp", &fs))
		return errno;
	note("ns %s", ns);
	note("tmp inode %lu mode %o links %lu owner %u %u size %ld blocks %ld", (unsigned long)st.st_ino, st.st_mode, (unsigned long)st.st_nlink, st.st_uid, st.st_gid, (long)st.st_size, (long)st.st_blocks);
	note("times %s", memcmp(&st.st_atim, &st.st_mtim, sizeof st.st_atim) || memcmp(&st.st_mtim, &st.st_ctim, sizeof st.st_mtim) ? "apart" : "equal");
	note("free %ld of %ld blocks, %ld of %ld inodes", (long)fs.f_bfree, (long)fs.f_blocks, (long)fs.f_ffree, (long)fs.f_files);
	note("attributes %zd", listxattr("/tmp", names, sizeof names));
	fd = open("/tmp", O_RDONLY);
	note("lock %s", flock(fd, LOCK_EX | LOCK_NB) ? strerrorname_np(errno) : "free");
	d = opendir("/tmp");
	while (d && (e = readdir(d)))
		note("entry %s", e->d_name);
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0644);
	n = fstat(fd, &file);
	note("next inode %ld", n ? -1 : (long)file.st_ino);
	return 0;
}

/* tmp-hand: a descriptor of /tmp and one of a watch of it, to the client. */
static int hand(int c, char **v)
{
	int fds[2] = {open("/tmp", O_RDONLY | O_DIRECTORY), watch};
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof fds)]; } rights = {{CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {"\n", 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};

	memcpy(CMSG_DATA(&rights.head), fds, sizeof fds);
	return OUTCOME(sendmsg(0, &msg, 0) == 1 ? 0 : -1);
}

const struct attempt ahead_attempts[] = {{"tmp-leave", leave}, {"tmp-look", look}, {"tmp-hand", hand}, {NULL, NULL}};
