/* What the parts of the victim share. */
#ifndef VICTIM_H
#define VICTIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An attempt returns 0 when it worked (the sandbox failed to stop it), else the
 * errno that stopped it. It may print facts with note() first. */
struct attempt {
	const char *name;
	int (*run)(int argc, char **argv);
};

extern const struct attempt file_attempts[], mount_attempts[], process_attempts[],
	memory_attempts[], kernel_attempts[], socket_attempts[], client_attempts[], state_attempts[],
	abuse_attempts[], again_attempts[], log_attempts[], random_attempts[], private_attempts[], ahead_attempts[];

void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where the listening socket of a wait service lies once its client is on 0 and 1. */
enum { LISTENER = 9 };

/* The outcome of a call that says -1 on failure. */
#define OUTCOME(call) ((call) == -1 ? errno : 0)

/* Runs try in a forked child and returns what it returned; ECHILD when it died. */
int in_child(int (*try)(int, char **), int argc, char **argv);

#endif
