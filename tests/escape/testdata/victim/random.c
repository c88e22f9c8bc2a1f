/* #96: system calls by chance, under whatever filter there is. */
#include "victim.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

static uint64_t state;

/* xorshift64*: the same seed makes the same calls. */
static uint64_t next(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static void enough(int sig) { _exit(0); }

/* What calls take: small numbers, descriptors, flags, pointers into a page, to nothing, past it, and anything. */
static long argument(char *page)
{
	uint64_t r = next();

	switch (r >> 60) {
	case 0: case 1: case 2: return r & 7;
	case 3: case 4: return r & 0xff;
	case 5: return 1l << (r & 63);
	case 6: return (1l << (r & 31)) | (1l << (r >> 5 & 31));
	case 7: return -(long)(r & 0xff);
	case 8: case 9: case 10: return (long)(page + (r & 0xff8));
	case 11: return (long)page + 4096 - (r & 15);
	case 12: return r & 0xffff;
	case 13: return 1l << 32 | (r & 0xff);
	case 14: return (long)&state;
	default: return (long)r;
	}
}

/* Those that end or stop the process at once, and its own clock: there would be little left to try. */
static int ends(long nr)
{
	static const int those[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_execve, SYS_execveat, SYS_setitimer,
		SYS_rt_sigprocmask, SYS_rt_sigtimedwait, SYS_kill, SYS_tkill, SYS_tgkill, SYS_clone, SYS_clone3, SYS_munmap,
		SYS_mremap, SYS_mprotect, SYS_brk, SYS_rseq,
#ifdef __x86_64__
		SYS_pause, SYS_alarm, SYS_vfork, SYS_fork, SYS_arch_prctl,
#endif
	};
	unsigned i;

	for (i = 0; i < sizeof those / sizeof *those; i++)
		if (those[i] == nr)
			return 1;
	return 0;
}

/* random SEED CALLS MILLISECONDS: its outcome is that it ends. One call in sixty-four may be of those that end it. */
static int random_(int c, char **v)
{
	long calls = atol(v[2]), most = atol(v[3]), nr;
	struct itimerval t = {.it_value = {most / 1000, most % 1000 * 1000}};
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	if (page == MAP_FAILED)
		return errno;
	state = strtoull(v[1], NULL, 0) * 2654435769u + 1;
	signal(SIGALRM, enough);
	setitimer(ITIMER_REAL, &t, NULL);
	for (; calls > 0; calls--) {
		for (i = 0; i < 4096; i += 8)
			if ((next() & 63) == 0)
				*(long *)(page + i) = argument(page);
		nr = next() % 480;
		if (ends(nr) && next() & 63)
			continue;
		long a[6];
		for (i = 0; i < 6; i++)
			a[i] = argument(page);
		syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	return 0;
}

const struct attempt random_attempts[] = {{"random", random_}, {NULL, NULL}};
