/*
 * The mounts of a connection, and mount namespaces made ahead of it, each with an empty tmpfs: to copy the zygote's own takes
 * longer than all else of a start. The maker makes them, a process in the zygote's memory and with its descriptors, but with a
 * filter of its own, so that no service inherits what that allows. A child joins one. Nobody inside can change the mounts there:
 * when the whole pid namespace of a session has gone, the maker takes off what was mounted for it, and mounts a new /tmp unless
 * the old one is provably untouched. Where no namespace is ready, a child gets a copy of its own.
 */
#ifndef CASEMATE_MOUNTS_H
#define CASEMATE_MOUNTS_H

#include <linux/audit.h>
#include <time.h>

#define put(v, to) __atomic_store_n(v, to, __ATOMIC_SEQ_CST)
#define get(v) __atomic_load_n(v, __ATOMIC_SEQ_CST)
#define swap(v, to) __atomic_exchange_n(v, to, __ATOMIC_SEQ_CST)

/* What is EMPTY or TAKEN is the maker's to change, what is READY any worker's, which claims it. */
static struct slot {
	enum { EMPTY, READY, CLAIMED, TAKEN } state;
	int ns, pid; /* process 1 of the session's pid namespace */
	struct statx tmp; /* what its tmpfs looked like when it was new */
	uint64_t last; /* inode made there */
} slots[MAX_SLOTS];
static int slots_missed, maker_rests;
#define MAKER_CAPS (1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_CHROOT)

/* A slot for a child, or NULL. */
static struct slot *claim_slot(void)
{
	for (struct slot *s = slots; s < slots + plan->slots; s++)
		if (__atomic_compare_exchange_n(&s->state, &(int){READY}, CLAIMED, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return s;
	put(&slots_missed, 1);
	return NULL;
}

/* Of a child in a pid namespace whose process 1 this is; below 1 there is no child. */
static void release_slot(struct slot *s, long pid)
{
	if (s)
		s->pid = pid, put(&s->state, pid > 0 ? TAKEN : READY);
	if (plan->slots && swap(&maker_rests, 0))
		call(SYS_write, plan->high + FD_WAKE, &(uint64_t){1}, 8);
}

static long mount_tmp(void) { return plan->tmp ? call(SYS_mount, "tmpfs", TMP_PATH, "tmpfs", TMP_FLAGS, text(plan->tmp_off)) : 0; }

/* What is there, and then what of it may be used: Landlock forbids mounting. */
static void mounts(struct worker *w)
{
	if (plan->clone_flags & CLONE_NEWNET)
		try(w, loopback_up(), STEP_LOOPBACK);
	if (w->slot) { /* by a number that nobody has but a launch: the filter knows no other */
		try(w, call(SYS_dup3, w->slot->ns, plan->high + FD_MNTNS, O_CLOEXEC), STEP_MNTNS);
		try(w, call(SYS_setns, plan->high + FD_MNTNS, CLONE_NEWNS), STEP_MNTNS);
	} else
		try(w, mount_tmp(), STEP_TMP);
	if (plan->proc)
		try(w, call(SYS_mount, "proc", "/proc", "proc", PROC_FLAGS, "subset=pid,hidepid=invisible"), STEP_PROC);
	if (plan->state)
		try(w, call(SYS_move_mount, w->fds[w->request.nfds + plan->outputs + plan->log], "", 0, STATE_PATH, MOVE_MOUNT_F_EMPTY_PATH), STEP_STATE);
	if (plan->pty) /* every mount of devpts is an instance of its own, which shows no other's terminals */
		try(w, call(SYS_mount, "devpts", "/dev/pts", "devpts", PTY_FLAGS,
			    plan->userns ? PTY_OPTIONS : PTY_OPTIONS PTY_GROUP), STEP_PTY);
	if (plan->chdir_late)
		try(w, call(SYS_chdir, text(plan->dir_off)), STEP_CHDIR);
	if (plan->fd_landlock >= 0)
		try(w, call(SYS_landlock_restrict_self, plan->fd_landlock, 0), STEP_LANDLOCK);
}

/* ---- the maker ---- */

#define LET(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter maker_calls[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_HERE, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	LET(SYS_ppoll), LET(SYS_read), LET(SYS_pidfd_open), LET(SYS_close), LET(SYS_setns), LET(SYS_unshare), LET(SYS_openat), LET(SYS_mount),
	LET(SYS_umount2), LET(SYS_statx), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* Says what its tmpfs looks like, and of the inode after all that were ever made there, which is made for that. */
static int look(struct statx *tmp, uint64_t *inode)
{
	struct statx made = {0};
	long fd = call(SYS_statx, AT_FDCWD, TMP_PATH, 0, STATX_BASIC_STATS, tmp);
	if (fd >= 0)
		fd = call(SYS_openat, AT_FDCWD, TMP_PATH, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0);
	if (fd >= 0 && call(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO, &made) >= 0)
		*inode = made.stx_ino;
	call(SYS_close, fd);
	return made.stx_ino > 0;
}

static long furnish(struct slot *s)
{
	long r = mount_tmp();
	if (r >= 0 && plan->keeps && !look(&s->tmp, &s->last))
		r = -EIO;
	return r;
}

/* Whether nobody has its tmpfs open any more, and neither has anything been made there nor the directory itself read or changed. */
static int untouched(struct slot *s)
{
	struct statx now;
	uint64_t last = s->last + 1;
	return plan->keeps && call(SYS_umount2, TMP_PATH, MNT_EXPIRE) == -EAGAIN && look(&now, &s->last) && s->last == last && memcmp(&now, &s->tmp, sizeof now) == 0;
}

static long make_slot(struct slot *s, int ns_dir, int base)
{
	long r = call(SYS_setns, base, CLONE_NEWNS);
	if (r >= 0)
		r = call(SYS_unshare, CLONE_NEWNS);
	if (r >= 0)
		r = s->ns = call(SYS_openat, ns_dir, "mnt", O_RDONLY | O_CLOEXEC);
	return r < 0 ? r : furnish(s);
}

/* What descriptors still hold of a session's mounts, nobody finds there any more. */
static long clear_slot(struct slot *s)
{
	const struct { int ours; const char *at; } all[] = {{plan->proc, "/proc"}, {plan->pty, "/dev/pts"}, {plan->state, STATE_PATH}, {plan->tmp, TMP_PATH}};
	long r = call(SYS_setns, s->ns, CLONE_NEWNS);
	const int kept = r >= 0 && untouched(s);
	for (unsigned i = 0; i < sizeof all / sizeof *all - kept && r >= 0; i++)
		if (all[i].ours && (r = call(SYS_umount2, all[i].at, MNT_DETACH)) == -EINVAL)
			r = 0; /* its child had failed before */
	return r < 0 || kept ? r : furnish(s);
}

/* Clears the slots of sessions that have ended, and fills some. */
static void tend_slots(struct pollfd *ends, unsigned wanted, int ns_dir, int base)
{
	for (unsigned i = 0, ready = 0; i < plan->slots; ready += get(&slots[i].state) == READY, i++) {
		struct slot *s = slots + i;
		long r = -1;
		if (get(&s->state) == TAKEN && ends[i].fd < 0) { /* if that number is another's by now, process 1 has gone as well */
			ends[i] = (struct pollfd){call(SYS_pidfd_open, s->pid, 0), POLLIN, 0};
			ends[i].revents = ends[i].fd == -ESRCH || ends[i].fd == -EINVAL;
		}
		if (get(&s->state) == TAKEN && ends[i].revents) {
			call(SYS_close, ends[i].fd);
			ends[i] = (struct pollfd){.fd = -1};
			if ((r = clear_slot(s)) < 0)
				call(SYS_close, s->ns);
			put(&s->state, r < 0 ? EMPTY : READY);
		}
		if (get(&s->state) == EMPTY && ready < wanted) {
			s->ns = -1;
			if ((r = make_slot(s, ns_dir, base)) < 0)
				wanted = 0, call(SYS_close, s->ns);
			put(&s->state, r < 0 ? EMPTY : READY);
		}
	}
}

static void make_ahead(struct worker *none)
{
	struct sock_fprog calls = {sizeof maker_calls / sizeof *maker_calls, maker_calls};
	struct pollfd ends[MAX_SLOTS + 1];
	unsigned n = plan->slots, wanted = 2;
	int dir = call(SYS_openat, proc_dir, "self/ns", O_RDONLY | O_DIRECTORY | O_CLOEXEC), base = call(SYS_openat, dir, "mnt", O_RDONLY | O_CLOEXEC);
	uint64_t woken;
	call(SYS_close, proc_dir);
	for (unsigned i = 0; i <= n; i++)
		ends[i] = (struct pollfd){i < n ? -1 : (int)(plan->high + FD_WAKE), POLLIN, 0};
	/* Ends with the zygote; without a maker there are no slots. */
	if (base < 0 || set_caps(MAKER_CAPS, MAKER_CAPS, 0) < 0 || call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL) < 0 || call(SYS_getppid) != zygote || install(&calls, 0) < 0)
		quit(1);
	for (;;) {
		int unseen = 0;
		struct timespec soon = {.tv_nsec = 2000000}, now = {0};
		put(&maker_rests, 1);
		for (unsigned i = 0; i < n; i++)
			unseen |= get(&slots[i].state) == TAKEN && ends[i].fd < 0;
		if (!unseen)
			call(SYS_ppoll, ends, n + 1, 0, 0, 8);
		put(&maker_rests, 0);
		call(SYS_ppoll, 0, 0, &soon, 0, 8); /* for what ends meanwhile, in one turn */
		call(SYS_ppoll, ends, n + 1, &now, 0, 8);
		call(SYS_read, plan->high + FD_WAKE, &woken, 8);
		if (swap(&slots_missed, 0))
			wanted = 2 * wanted < n ? 2 * wanted : n;
		tend_slots(ends, wanted, dir, base);
	}
}

#endif
