/* Raw system calls, and clone(2) onto a stack: the zygote's threads have no thread-local storage for a library's. */
#ifndef CASEMATE_CALL_H
#define CASEMATE_CALL_H

#include <linux/capability.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "zygote.h"

#define STACK 16384

struct worker;

/* ---- system calls: the result, or the negative errno ---- */

#define CALL(n, a, b, c, d, e, f, ...) raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define call(...) CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* What inits need of memory, the same for all of them: nothing here depends on which one it is. */
struct init_memory {
	struct __user_cap_header_struct header; /* at 0 */
	struct __user_cap_data_struct no_caps[2]; /* at 8 */
	struct pollfd zero; /* at 32: descriptor 0 */
};
_Static_assert(offsetof(struct init_memory, no_caps) == 8 && offsetof(struct init_memory, zero) == 32, "start_init counts on it");

/*
 * In a file of each architecture: raw() makes a system call of up to six arguments. start() clones and runs fn(w), which never returns, on a stack of STACK
 * bytes; tid is for CLONE_PARENT_SETTID. poll_now() asks for a descriptor's events without waiting: hangUp of
 * sandbox/seccomp/launch. The gate is a page of code to be moved to GATE_PAGE, a function of a system call's arguments, its
 * number last. start_init() clones an init, whose whole life it is. It has no stack, for thousands of them may share the
 * zygote's memory. It gives up what it has, waits for the end of a pipe (the service, PID 2, has
 * been started, or the zygote has ended), then for the end of the service, and ends itself:
 * the kernel then ends everybody else in its namespace. Where it is tied, it also ends with the
 * zygote, whatever the service has made of its own tie to the broker.
 */
#ifdef __aarch64__
#include "call_arm64.h"
#else
#include "call_amd64.h"
#endif

extern const char gate_page[];
#define gate(a, b, c, d, e, n) \
	((long (*)(long, long, long, long, long, long))GATE_PAGE)((long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(n))

#endif
