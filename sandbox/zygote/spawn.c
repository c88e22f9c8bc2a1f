//go:build cgo

/* The broker's side: what it gives up, and how a zygote is started. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "call.h"
#include "caps.h"
#include "zygote.h"

/*
 * The broker's capabilities are cut here, before the Go runtime makes threads:
 * afterwards every thread would have to be cut on its own. casemated proves the
 * outcome, and refuses to start without.
 */
void casemate_cut_broker(void)
{
	drop_bounding(BROKER_CAPS);
	call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	set_caps(permitted_caps() & BROKER_CAPS & ~LATENT_CAPS, permitted_caps() & BROKER_CAPS, 0);
	call(SYS_personality, PER_LINUX); /* its children's programs start with it; each zygote makes sure */
}

void casemate_quiet_children(void)
{
	static const uint64_t standard[4];
	call(SYS_rt_sigaction, SIGCHLD, standard, 0, 8);
}

static struct {
	const int32_t *from;
	unsigned n;
	long err;
	char stack[STACK] __attribute__((aligned(64)));
} spawned; /* by one thread, one at a time */

static void becomes_zygote(struct worker *none)
{
	static char *const argv[] = {ZYGOTE_ARGV0, NULL}, *const env[] = {NULL};
	int top = 0;
	for (unsigned i = 0; i < spawned.n; i++)
		top = spawned.from[i] > top ? spawned.from[i] : top;
	/* What lies above is not even copied. */
	spawned.err = call(SYS_close_range, top + 1, ~0u, CLOSE_RANGE_UNSHARE);
	for (unsigned i = 0; i < spawned.n && spawned.err >= 0; i++)
		spawned.err = call(SYS_dup3, spawned.from[i], i, 0);
	if (spawned.err >= 0)
		spawned.err = call(SYS_close_range, spawned.n, ~0u, 0);
	if (spawned.err >= 0)
		spawned.err = call(SYS_execve, "/proc/self/exe", argv, env);
	for (;;)
		call(SYS_exit_group, 127);
}

/*
 * Starts a zygote with n descriptors, from[i] as i; all of from lie above n. It is vfork(2) of a
 * process that may hold thousands of them: none is copied for the child but those below the
 * highest of from. Gives the child, or the negative errno.
 */
long casemate_spawn(const int32_t *from, unsigned n)
{
	static const uint64_t all = ~0ull;
	uint64_t mask;
	spawned.from = from, spawned.n = n, spawned.err = 0;
	call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8); /* no handler runs in the child */
	long pid = start(becomes_zygote, NULL, spawned.stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, NULL);
	if (pid > 0 && spawned.err < 0) {
		while (call(SYS_wait4, pid, 0, __WALL, 0) == -EINTR)
			;
		pid = spawned.err;
	}
	call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
	return pid;
}

static long broker; /* whose child rests: it shares that one's memory, and must not outlive it */

static void rests(struct worker *none)
{
	call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	while (call(SYS_getppid) == broker) /* or it was dead before */
		call(SYS_ppoll, 0, 0, 0, 0, 0);
	call(SYS_exit_group, 0);
}

/*
 * Gives a process that does nothing, to be killed and waited for (__WALL), or the negative errno: in a user
 * namespace of its own, or else with copies of all descriptors. There is one of each kind at a time.
 */
long casemate_rests(int user)
{
	static char stacks[2][STACK] __attribute__((aligned(64)));
	static const uint64_t all = ~0ull;
	uint64_t mask;
	broker = call(SYS_getpid);
	call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8); /* no handler runs in the child */
	long pid = start(rests, NULL, stacks[user], CLONE_VM | (user ? CLONE_FILES | CLONE_NEWUSER : 0), NULL);
	call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
	return pid;
}
