/* Starts a program under a supervisor that makes one of its zygotes' system calls fail, as a file says.
 *
 * faults FILE CALL[:ARG=VALUE],... PROGRAM ARG...
 *
 * The calls are those that can be made to fail, by number. FILE holds one line of numbers: a count that is
 * another one whenever the line is, the call, the index of an argument (-1: any), its value, how many such calls go
 * on before, how many fail then, the errno (a negative one is a success that did nothing, of that value), and who
 * is meant: 0 a zygote, 1 what a zygote has cloned and what has not executed its program yet. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervised.h"

enum { MAX_CALLS = 48 };

static int rule; /* FILE */

static size_t slurp(unsigned pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? n : 0;
}

/* 0 for a zygote, 1 for its clone, -1 for everybody else. */
static int who(unsigned pid)
{
	char text[4096], *line;
	unsigned outer, inner;

	slurp(pid, "cmdline", text, sizeof text);
	if (strcmp(text, "casemate-zygote"))
		return -1;
	slurp(pid, "status", text, sizeof text);
	line = strstr(text, "\nNSpid:");
	return line && sscanf(line + 7, "%u %u", &outer, &inner) == 2;
}

static void answer(const struct seccomp_notif *n, struct seccomp_notif_resp *r)
{
	static long done = -1, passed, failed;
	long f[8] = {0};
	char text[128] = "";

	if (pread(rule, text, sizeof text - 1, 0) <= 0 ||
	    sscanf(text, "%ld %ld %ld %ld %ld %ld %ld %ld", f, f + 1, f + 2, f + 3, f + 4, f + 5, f + 6, f + 7) != 8)
		return;
	if (f[0] != done)
		done = f[0], passed = failed = 0;
	if (n->data.nr == f[1] && (f[2] < 0 || (uint32_t)n->data.args[f[2]] == (uint32_t)f[3]) && failed < f[5] && who(n->pid) == f[7] && passed++ >= f[4]) {
		failed++;
		r->flags = 0;
		r->error = f[6] > 0 ? -f[6] : 0;
		r->val = f[6] > 0 ? 0 : -f[6];
	}
}

/* A program that asks about the calls. */
static unsigned short program(char *calls, struct sock_filter *f)
{
	unsigned short n = 0;
	char *one, *rest;
	unsigned nr, arg, value;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (one = strtok_r(calls, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
		if (sscanf(one, "%u:%u=%u", &nr, &arg, &value) == 3) {
			f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * arg);
			f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
			f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
			continue;
		}
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, strtoul(one, NULL, 10), 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return n;
}

int main(int argc, char **argv)
{
	static struct sock_filter f[5 * MAX_CALLS + 2];
	struct sock_fprog prog = {0, f};

	if (argc < 4 || (rule = open(argv[1], O_RDONLY | O_CLOEXEC)) < 0)
		return 8;
	prog.len = program(argv[2], f);
	return supervised(&prog, argv + 3);
}
