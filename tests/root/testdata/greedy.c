/* A service that takes what its client's line asks for:
 * "eat N" touches N MiB, "fork N" makes N children, "spin N" runs for N ms, "child N" has a child
 * touch N MiB, "file N" writes a file of N KiB, "open N" files and "map N" MiB are tried and told of.
 * "state N" KiB in its state directory, "inodes N" empty files, "lock N" KiB of memory too, and "deaf N" writes behind N KiB of a file with SIGXFSZ ignored.
 * What fails is told with its errno. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void eat(long mib)
{
	char *p = malloc(mib << 20);

	if (!p) {
		printf("no memory\n");
		return;
	}
	for (long i = 0; i < mib << 20; i += 4096)
		p[i] = 1;
	printf("ate %ld\n", mib + p[0] - 1);
}

static void forks(long n)
{
	long i;

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			pause();
			_exit(0);
		}
	}
	printf("forked %ld\n", i);
}

static void spin(long ms)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
	printf("spun %ld\n", (long)(clock() * 1000 / CLOCKS_PER_SEC));
}

static void child(long mib)
{
	int status = -1;

	if (fork() == 0) {
		eat(mib);
		_exit(0);
	}
	wait(&status);
	printf("child %d\n", status);
}

static void file(const char *path, long kib)
{
	char block[1024] = "";
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	long i;

	for (i = 0; i < kib && write(fd, block, sizeof block) == sizeof block; i++)
		;
	printf("wrote %ld, errno %d\n", i, i < kib ? errno : 0);
}

static void inodes(long n)
{
	char path[64];
	long i;

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof path, "/tmp/inode-%ld", i);
		int fd = open(path, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			break;
		close(fd);
	}
	printf("made %ld, errno %d\n", i, i < n ? errno : 0);
}

static void lock(long kib)
{
	char *p = malloc(kib << 10);
	int failed = !p || mlock(p, kib << 10) != 0;

	printf("locked %ld, errno %d\n", failed ? 0 : kib, failed ? errno : 0);
}

static void opens(long n)
{
	long i;

	for (i = 0; i < n && open("/dev/null", O_RDONLY) >= 0; i++)
		;
	printf("opened %ld, errno %d\n", i, i < n ? errno : 0);
}

static void map(long mib)
{
	void *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("mapped %ld, errno %d\n", p == MAP_FAILED ? 0 : mib, p == MAP_FAILED ? errno : 0);
}

int main(void)
{
	char line[64];
	long n;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "eat %ld", &n) == 1)
			eat(n);
		else if (sscanf(line, "fork %ld", &n) == 1)
			forks(n);
		else if (sscanf(line, "spin %ld", &n) == 1)
			spin(n);
		else if (sscanf(line, "child %ld", &n) == 1)
			child(n);
		else if (sscanf(line, "file %ld", &n) == 1)
			file("/tmp/file", n);
		else if (sscanf(line, "state %ld", &n) == 1)
			file("/state/file", n);
		else if (sscanf(line, "deaf %ld", &n) == 1) {
			int fd = open("/tmp/file", O_CREAT | O_WRONLY, 0600);
			signal(SIGXFSZ, SIG_IGN);
			printf("wrote %d", (int)pwrite(fd, "x", 1, n << 10));
			printf(", errno %d\n", errno);
		} else if (sscanf(line, "inodes %ld", &n) == 1)
			inodes(n);
		else if (sscanf(line, "lock %ld", &n) == 1)
			lock(n);
		else if (sscanf(line, "open %ld", &n) == 1)
			opens(n);
		else if (sscanf(line, "map %ld", &n) == 1)
			map(n);
		else
			printf("hello\n");
	}
	return 0;
}
