/* Attempts on memory: #26, #27, #36, #37. */
#include "victim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { PAGE = 4096 };

static int mapped(void *p)
{
	if (p == MAP_FAILED)
		return errno;
	munmap(p, PAGE);
	return 0;
}

static int map_wx(int c, char **v)
{
	return mapped(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
static int map_x_shared(int c, char **v)
{
	return mapped(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}
static void *written(void)
{
	unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		p[0] = 0xc3;
	return p;
}
static int protect_x(int c, char **v)
{
	void *p = written();

	return p == MAP_FAILED ? errno : OUTCOME(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
}
/* The high bits of an int argument mean nothing to the kernel, and must mean nothing to the filter. */
static int protect_x_high(int c, char **v)
{
	void *p = written();

	return p == MAP_FAILED ? errno : OUTCOME(syscall(SYS_mprotect, p, PAGE, (1UL << 32) | PROT_READ | PROT_EXEC));
}
static int pkey_x(int c, char **v)
{
	void *p = written();

	return p == MAP_FAILED ? errno : OUTCOME(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ | PROT_EXEC, -1));
}
static int memfd_x(int c, char **v)
{
	int fd = memfd_create("x", 0);

	if (fd < 0)
		return errno;
	if (write(fd, "\xc3", 1) != 1 || ftruncate(fd, PAGE))
		return errno;
	return mapped(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
}
static int shm_x(int c, char **v)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700), err;
	void *p;

	if (id < 0)
		return errno;
	p = shmat(id, NULL, SHM_EXEC);
	err = p == (void *)-1 ? errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return err;
}
static int implied_x(int c, char **v) { return OUTCOME(personality(READ_IMPLIES_EXEC)); }
static int no_random(int c, char **v) { return OUTCOME(personality(ADDR_NO_RANDOMIZE)); }
static int linux32(int c, char **v) { return OUTCOME(personality(PER_LINUX32)); }

/* #27: so many MiB, touched; the note says how many it got. */
static int eat(int c, char **v)
{
	long i, n = atol(v[1]);
	char *p;

	for (i = 0; i < n; i++) {
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) {
			note("%ld MiB", i);
			return errno;
		}
		memset(p, 1, 1 << 20);
	}
	note("%ld MiB", i);
	return 0;
}
static int mlock_(int c, char **v)
{
	size_t n = (size_t)atol(v[1]) << 20;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : OUTCOME(mlock(p, n));
}

/* #26: kernel memory that no process is charged for. */
static int shm_hoard(int c, char **v)
{
	int i, id;
	char *p;

	for (i = 0; i < 4; i++) {
		id = shmget(IPC_PRIVATE, 1 << 20, 0600);
		if (id < 0)
			return errno;
		p = shmat(id, NULL, 0);
		if (p == (void *)-1)
			return errno;
		memset(p, 1, 1 << 20);
		shmdt(p);
		shmctl(id, IPC_RMID, NULL);
	}
	return 0;
}
static int sem_hoard(int c, char **v)
{
	int id = semget(IPC_PRIVATE, 100, 0600);

	return id < 0 ? errno : OUTCOME(semctl(id, 0, IPC_RMID));
}
static int msg_hoard(int c, char **v)
{
	int id = msgget(IPC_PRIVATE, 0600);

	return id < 0 ? errno : OUTCOME(msgctl(id, IPC_RMID, NULL));
}
static int mqueue(int c, char **v)
{
	int fd = syscall(SYS_mq_open, "casemate-escape", O_RDWR | O_CREAT, 0600, NULL);

	return fd < 0 ? errno : OUTCOME(syscall(SYS_mq_unlink, "casemate-escape"));
}
static int watches(int c, char **v)
{
	int fd = inotify_init1(0);

	return fd < 0 ? errno : OUTCOME(inotify_add_watch(fd, "/", IN_ALL_EVENTS));
}

const struct attempt memory_attempts[] = {
	{"shm-hoard", shm_hoard}, {"sem-hoard", sem_hoard}, {"msg-hoard", msg_hoard}, {"mqueue", mqueue}, {"watches", watches},
	{"map-wx", map_wx}, {"map-x-shared", map_x_shared}, {"protect-x", protect_x}, {"protect-x-high", protect_x_high},
	{"pkey-x", pkey_x}, {"memfd-x", memfd_x}, {"shm-x", shm_x}, {"implied-x", implied_x},
	{"no-random", no_random}, {"linux32", linux32}, {"eat", eat}, {"mlock", mlock_}, {NULL, NULL},
};
