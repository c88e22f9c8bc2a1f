/* Starts a program on a kernel that seems to have Landlock of an older ABI: it
 * tells that version, and refuses rulesets that handle what the version lacks. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "supervised.h"

static int abi;

/* 1 where the structure asks for more than the ABI has, -1 where it cannot be read. */
static int too_new(const struct seccomp_notif *n)
{
	static const uint64_t fs[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
	uint64_t attr[3] = {0}, size = n->data.args[1] < sizeof attr ? n->data.args[1] : sizeof attr;
	char path[64];
	int fd, got;

	snprintf(path, sizeof path, "/proc/%u/mem", n->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = pread(fd, attr, size, n->data.args[0]) == (ssize_t)size;
	close(fd);
	if (!got)
		return -1;
	return attr[0] & ~fs[abi < 5 ? abi : 5] || (abi < 4 && attr[1]) || (abi < 6 && attr[2]);
}

static void answer(const struct seccomp_notif *n, struct seccomp_notif_resp *r)
{
	if (n->data.args[2] == 1) /* LANDLOCK_CREATE_RULESET_VERSION */
		r->flags = 0, r->val = abi;
	else if (n->data.args[2] != 0 || too_new(n))
		r->flags = 0, r->error = -EINVAL;
}

int main(int argc, char **argv)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1), /* landlock_create_ruleset */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof f / sizeof *f, f};

	abi = argc > 2 ? atoi(argv[1]) : 0;
	return abi < 1 ? 8 : supervised(&prog, argv + 2);
}
