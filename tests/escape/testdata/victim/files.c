/* Attempts on files: #1-#6, #8-#11, #13, #16, #24. Paths come as arguments. */
#include "victim.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static int opened(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int open_read(int c, char **v)
{
	char buf[1];
	int fd = open(v[1], O_RDONLY | O_NONBLOCK), err;

	if (fd < 0)
		return errno;
	err = OUTCOME(read(fd, buf, 1));
	close(fd);
	return err == EISDIR || err == EAGAIN ? 0 : err;
}
/* Plants a link at v[1] to v[2] and goes through it. */
static int through_link(int c, char **v)
{
	int err;

	if (symlink(v[2], v[1]) < 0)
		return errno;
	err = open_read(1, v);
	unlink(v[1]);
	return err;
}
/* Opens only: nothing is written, so the positive control may name anything. */
static int open_write(int c, char **v) { return opened(open(v[1], O_WRONLY | O_NONBLOCK | O_NOCTTY)); }
static int open_any(int c, char **v) { return opened(open(v[1], O_RDWR | O_NONBLOCK | O_NOCTTY)); }
static int create(int c, char **v) { return opened(open(v[1], O_WRONLY | O_CREAT | O_EXCL, 0644)); }
static int unlink_(int c, char **v) { return OUTCOME(unlink(v[1])); }
static int mkdir_(int c, char **v) { return OUTCOME(mkdir(v[1], 0755)); }
static int symlink_(int c, char **v) { return OUTCOME(symlink(v[1], v[2])); }
static int truncate_(int c, char **v) { return OUTCOME(truncate(v[1], 0)); }
static int open_trunc(int c, char **v) { return opened(open(v[1], O_RDONLY | O_TRUNC)); }
static int rename_(int c, char **v) { return OUTCOME(rename(v[1], v[2])); }
static int link_(int c, char **v) { return OUTCOME(link(v[1], v[2])); }
static int exchange(int c, char **v)
{
	return OUTCOME(syscall(SYS_renameat2, AT_FDCWD, v[1], AT_FDCWD, v[2], RENAME_EXCHANGE));
}
static int whiteout(int c, char **v)
{
	return OUTCOME(syscall(SYS_renameat2, AT_FDCWD, v[1], AT_FDCWD, v[2], RENAME_WHITEOUT));
}
static int chmod_(int c, char **v) { return OUTCOME(chmod(v[1], 0777)); }
static int chown_(int c, char **v) { return OUTCOME(chown(v[1], getuid(), -1)); }
static int utime_(int c, char **v) { return OUTCOME(utimensat(AT_FDCWD, v[1], NULL, 0)); }
static int setxattr_(int c, char **v) { return OUTCOME(setxattr(v[1], "user.casemate", "x", 1, 0)); }

/* Gives a file without a name one. */
static int linked(int fd, const char *path)
{
	char from[64];

	snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
	return OUTCOME(linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

/* #6: every way to give an own file the set-uid bit. Works if one does. */
static int suid(int c, char **v)
{
	static const char *ways[] = {"chmod", "fchmod", "fchmodat2", "open", "mknod", "openat2", "creat", "tmpfile", "fchmodat"};
	int fd, err = 0, last = EPERM;
	unsigned i;
	struct stat st;
	char path[256];

	for (i = 0; i < sizeof ways / sizeof *ways; i++) {
		snprintf(path, sizeof path, "%s/suid-%s", v[1], ways[i]);
		unlink(path);
		fd = -1;
		if (i == 4)
			err = OUTCOME(mknod(path, S_IFREG | 04755, 0));
		else if (i == 5)
			err = OUTCOME(fd = syscall(SYS_openat2, AT_FDCWD, path, &(struct open_how){.flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 04755}, sizeof(struct open_how)));
		else if (i == 6)
			err = OUTCOME(fd = creat(path, 04755));
		else if (i == 7)
			err = OUTCOME(fd = open(v[1], O_RDWR | O_TMPFILE, 04755)) ?: linked(fd, path);
		else
			err = OUTCOME(fd = open(path, O_WRONLY | O_CREAT | O_EXCL, i == 3 ? 04755 : 0755));
		if (!err && i == 0)
			err = OUTCOME(chmod(path, 04755));
		if (!err && i == 1)
			err = OUTCOME(fchmod(fd, 04755));
		if (!err && i == 2)
			err = OUTCOME(syscall(452, AT_FDCWD, path, 04755, 0)); /* fchmodat2 */
		if (!err && i == 8)
			err = OUTCOME(fchmodat(AT_FDCWD, path, 04755, 0));
		if (stat(path, &st) == 0 && st.st_mode & S_ISUID) {
			note("%s left a set-uid file", ways[i]);
			return 0;
		}
		note("%s: %s", ways[i], err ? strerrorname_np(err) : "no bit");
		last = err ? err : last;
		if (fd >= 0)
			close(fd);
	}
	return last;
}

static int mknod_chr(int c, char **v) { return OUTCOME(mknod(v[1], S_IFCHR | 0666, makedev(1, 3))); }
static int mknod_blk(int c, char **v) { return OUTCOME(mknod(v[1], S_IFBLK | 0600, makedev(7, 0))); }

/* #9: which descriptors are open. Works when there is more than 0, 1 and 2. */
static int fds(int c, char **v)
{
	int fd, more = 0;

	for (fd = 0; fd < 65536; fd++)
		if (fcntl(fd, F_GETFD) != -1) {
			note("fd %d", fd);
			more += fd > 2;
		}
	return more ? 0 : EBADF;
}

/* #10: leave the root through any directory descriptor. */
static int dirfd_escape(int c, char **v)
{
	int fd, err = EBADF, up;

	for (fd = 0; fd < 1024; fd++) {
		up = openat(fd, "..", O_PATH | O_DIRECTORY);
		if (up >= 0) {
			close(up);
			return 0;
		}
		err = errno;
	}
	return err;
}

/* The same by going there, and by where we are. */
static int fchdir_escape(int c, char **v)
{
	int fd, err = EBADF;

	for (fd = 3; fd < 1024; fd++) {
		if (fchdir(fd) == 0)
			return chdir("..") ? errno : 0;
		err = errno;
	}
	return err;
}
static int cwd(int c, char **v)
{
	char buf[4096] = "";

	if (syscall(SYS_getcwd, buf, sizeof buf) < 0)
		return errno;
	note("%s", buf);
	return buf[0] == '/' ? ENOENT : 0;
}
/* #9: what /proc shows of them: the folder itself is one more while it is read. */
static int proc_fds(int c, char **v)
{
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY), more = 0, n;
	char buf[4096], *p;
	long got;

	if (fd < 0)
		return errno;
	while ((got = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
		for (p = buf; p < buf + got; p += *(unsigned short *)(p + 16)) {
			n = atoi(p + 19);
			if (p[19] != '.' && n > 2 && n != fd)
				note("fd %d", n), more++;
		}
	close(fd);
	return more ? 0 : EBADF;
}

static int chroot_break(int c, char **v)
{
	if (chroot("/"))
		return errno;
	return 0;
}

/* #13: a file handle opens what no path leads to. */
static int handle(int c, char **v)
{
	struct { struct file_handle h; unsigned char bytes[MAX_HANDLE_SZ]; } f;
	int mount, at, fd;

	memset(&f, 0, sizeof f);
	f.h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, v[1], &f.h, &mount, 0))
		note("name_to_handle_at: %s", strerrorname_np(errno));
	at = open(v[1], O_RDONLY);
	fd = open_by_handle_at(at < 0 ? AT_FDCWD : at, &f.h, O_RDONLY);
	return opened(fd);
}

/* #16: fill a directory; the note says how many KiB (or files) fitted. */
static int fill(int c, char **v)
{
	static char block[65536];
	char path[256];
	long kib = 0, limit = atol(v[2]);
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "%s/fill", v[1]);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return errno;
	memset(block, 'x', sizeof block);
	while (kib < limit) {
		n = write(fd, block, sizeof block);
		if (n < 0)
			break;
		kib += n / 1024;
	}
	int err = kib < limit ? errno : 0;
	note("%ld KiB", kib);
	close(fd);
	unlink(path);
	return err;
}

static int inodes(int c, char **v)
{
	char path[256];
	long i, limit = atol(v[2]), made = 0;
	int fd, err = 0;

	for (i = 0; i < limit; i++) {
		snprintf(path, sizeof path, "%s/i%ld", v[1], i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0) {
			err = errno;
			break;
		}
		close(fd);
		made++;
	}
	note("%ld files", made);
	for (i = 0; i < made; i++) {
		snprintf(path, sizeof path, "%s/i%ld", v[1], i);
		unlink(path);
	}
	return err;
}

const struct attempt file_attempts[] = {
	{"open-read", open_read}, {"open-write", open_write}, {"open-device", open_any}, {"create", create},
	{"unlink", unlink_}, {"mkdir", mkdir_}, {"symlink", symlink_}, {"through-link", through_link}, {"truncate", truncate_},
	{"open-trunc", open_trunc}, {"rename", rename_}, {"link", link_}, {"exchange", exchange},
	{"whiteout", whiteout}, {"chmod", chmod_}, {"chown", chown_}, {"utime", utime_}, {"setxattr", setxattr_},
	{"suid", suid}, {"mknod-chr", mknod_chr}, {"mknod-blk", mknod_blk}, {"fds", fds},
	{"proc-fds", proc_fds}, {"cwd", cwd},
	{"dirfd-escape", dirfd_escape}, {"fchdir-escape", fchdir_escape}, {"chroot", chroot_break}, {"handle", handle}, {"fill", fill},
	{"inodes", inodes}, {NULL, NULL},
};
