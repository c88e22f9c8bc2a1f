/* What lies in the plan: limits, what to keep of the processor, seccomp filters to install, and strings, which requests have too. */
#ifndef CASEMATE_CONTENT_H
#define CASEMATE_CONTENT_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#include "call.h"

static long limit(unsigned resource, uint64_t n)
{
	const uint64_t both[2] = {n, n}; /* soft and hard */
	return call(SYS_prlimit64, 0, resource, both, 0);
}

/* For good, over exec too: the speculations whose bits these are, and a core that only what comes of this process shares. */
static long keep(uint64_t kept)
{
	long r = 0;
	for (unsigned which = PR_SPEC_STORE_BYPASS; which <= PR_SPEC_INDIRECT_BRANCH && r >= 0; which++)
		if (kept >> which & 1)
			r = call(SYS_prctl, PR_SET_SPECULATION_CTRL, which, PR_SPEC_FORCE_DISABLE);
	if (kept & (KEPT_CORE_SERVICE | KEPT_CORE_SESSION) && r >= 0)
		r = call(SYS_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP), r = r == -ENODEV ? 0 : r; /* no core has two threads */
	return r;
}

static struct sock_fprog program(char *at, uint32_t size)
{
	return (struct sock_fprog){.len = size / sizeof(struct sock_filter), .filter = (void *)at};
}

static long install(struct sock_fprog *p, unsigned flags) { return call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, p); }

/* Has the filter answer what it answered so otherwise. */
static void answer(struct sock_fprog *p, uint32_t so, uint32_t otherwise)
{
	for (unsigned i = 0; i < p->len; i++)
		if (p->filter[i].code == (BPF_RET | BPF_K) && p->filter[i].k == so)
			p->filter[i].k = otherwise;
}

/* For all threads, with a listener that answers in place of EPERM too: its descriptor, or the negative errno. The
 * kernel ignores the number beside that answer; without a listener it answers ENOSYS. */
static long install_heard(struct sock_fprog *p)
{
	const unsigned listen = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH | SECCOMP_FILTER_FLAG_NEW_LISTENER;
	answer(p, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_USER_NOTIF | EPERM);
	long fd = install(p, listen | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	if (fd == -EINVAL) /* before Linux 5.19: a signal may interrupt who waits for the answer */
		fd = install(p, listen);
	if (fd < 0) /* EBUSY: there is a listener around all of this already */
		answer(p, SECCOMP_RET_USER_NOTIF | EPERM, SECCOMP_RET_ERRNO | EPERM);
	return fd;
}

/* Splits NUL-terminated strings into pointers; no more than max of them. */
static unsigned split(char *p, uint32_t len, char **out, unsigned max)
{
	unsigned n = 0;
	char *end = p + len;
	for (; p < end && n < max; p += strnlen(p, end - p) + 1)
		out[n++] = p;
	out[n] = NULL;
	return p >= end ? n : max + 1;
}

#endif
