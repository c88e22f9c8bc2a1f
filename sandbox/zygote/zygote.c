//go:build cgo

/*
 * The zygote: enters a service's sandbox once, then clones and execs one fixed
 * command per connection.
 *
 * A constructor takes the process over before the Go runtime exists, so it has
 * a small private memory and no signal handlers. It trusts the broker (the plan
 * on FD_PLAN, the requests on its control socket) and nobody else; it never
 * reads from a client's socket. A few threads take requests from the one socket,
 * so that one start need not wait for another's exec. Nothing here uses errno (call.h).
 *
 * The order of enter() and confine() is the security order of the design: join,
 * limit, drop, lock, filter; then per connection mount, Landlock, detach, stdio,
 * uid, verify, close, exec. Any failing step means no exec.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "call.h"
#include "caps.h"
#include "content.h"
#include "sockets.h"
#include "zygote.h"

/* What one thread of the zygote works with. */
struct worker {
	struct request request;
	int fds[MAX_FDS];
	char *env[MAX_ENV + 1]; /* the plan's environment, then the request's */
	struct reply *mark; /* in memory shared with the broker and, until exec, with the child */
	int parked; /* the init of the namespace that the next child will find; 0 = none */
	struct slot *slot; /* for its child; NULL = that has a mount namespace of its own, if any */
	/* A vfork child needs a stack of its own. */
	char stack[STACK] __attribute__((aligned(64))), child_stack[STACK] __attribute__((aligned(64)));
};

static struct worker workers[MAX_WORKERS];
static struct plan *plan; /* its strings are used in place */
static char *argv_p[MAX_ARGS + 1];
static unsigned env_fixed;
static int ctl = -1; /* control socket, at plan->high */
static int proc_dir; /* /proc of the host, for the maker (mounts.h) */
static long zygote; /* this process */
static char maker_stack[STACK] __attribute__((aligned(64)));

static struct init_memory init_memory = {.header = {.version = _LINUX_CAPABILITY_VERSION_3}, .zero = {.events = POLLIN}};

/* The end of the pipe on whose other end a thread's parked init waits: out of the way of what arrives, which lies lowest. */
#define WAKE_FD(w) (plan->high - 1 - ((w) - workers))

static void serve(struct worker *w), make_ahead(struct worker *none);

static void reply(uint64_t id, int32_t pid, uint32_t step, int32_t err)
{
	tell(ctl, &(struct reply){.id = id, .pid = pid, .step = step, .err = err}, -1);
}

static _Noreturn void quit(int status)
{
	for (;;)
		call(SYS_exit_group, status);
}

static long must(long r, uint32_t step)
{
	if (r < 0) {
		reply(0, 0, step, -r);
		quit(1);
	}
	return r;
}

static char *text(uint32_t off) { return (char *)plan + off; }

static void load_plan(void)
{
	struct stat st;
	must(call(SYS_fstat, FD_PLAN, &st), STEP_PLAN);
	struct reply *marks = (void *)must(call(SYS_mmap, 0, MARKS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, FD_PLAN, 0), STEP_PLAN);
	size_t size = st.st_size - MARKS_SIZE;
	/* A copy: the broker has the file for its marks, and what it writes and cuts off there shows in any mapping of it. */
	plan = (void *)must(call(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), STEP_PLAN);
	if (call(SYS_pread64, FD_PLAN, plan, size, MARKS_SIZE) != (long)size || size < sizeof *plan || plan->size != size || plan->workers > MAX_WORKERS || plan->slots > MAX_SLOTS)
		must(-EINVAL, STEP_PLAN);
	if (split(text(plan->argv_off), plan->argv_len, argv_p, MAX_ARGS) > MAX_ARGS)
		must(-E2BIG, STEP_PLAN);
	for (unsigned i = 0; i < plan->workers; i++) {
		workers[i].mark = marks + i;
		env_fixed = split(text(plan->env_off), plan->env_len, workers[i].env, MAX_ENV);
		if (env_fixed > MAX_ENV)
			must(-E2BIG, STEP_PLAN);
	}
}

/* ---- entering the sandbox, once ---- */

/* Moves a descriptor above RLIMIT_NOFILE: the filter pins calls to that number, which no service can make. */
static int raise_fd(int fd, int to, int flags)
{
	if (fd >= 0 && must(call(SYS_dup3, fd, to, flags), STEP_FDS) == to)
		must(call(SYS_close, fd), STEP_FDS);
	return fd < 0 ? -1 : to;
}

/* Once, and inherited. Before anything is joined: inside there is no such file that could be written. */
static void raise_oom(void)
{
	int fd = must(call(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), STEP_OOM);
	must(call(SYS_write, fd, text(plan->oom_off), strlen(text(plan->oom_off))), STEP_OOM);
	must(call(SYS_close, fd), STEP_OOM);
}

/* What is below 0 takes a limit in place of CAP_SYS_NICE, until set_limits(). */
static void set_nice(void)
{
	if (plan->nice < 0)
		must(limit(RLIMIT_NICE, 20 - plan->nice), STEP_NICE);
	if (plan->nice)
		must(call(SYS_setpriority, PRIO_PROCESS, 0, plan->nice), STEP_NICE);
}

/* What park() needs, likewise before anything is joined. An init leaves no zombie; exec resets that flag. */
static void prepare_parking(void)
{
	const struct { uint64_t handler, flags, restorer, mask; } discard = {.flags = SA_NOCLDWAIT};
	if (!plan->init)
		return;
	must(call(SYS_rt_sigaction, SIGCHLD, &discard, 0, 8), STEP_INIT);
	raise_fd(must(call(SYS_openat, AT_FDCWD, "/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), STEP_INIT), plan->high + FD_PIDNS, O_CLOEXEC);
}

/* What the maker needs of the host, likewise. */
static void prepare_slots(void)
{
	if (plan->slots) {
		zygote = call(SYS_getpid);
		proc_dir = must(call(SYS_openat, AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), STEP_MNTNS);
		raise_fd(must(call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK), STEP_MNTNS), plan->high + FD_WAKE, O_CLOEXEC);
	}
}

static void join_all(void)
{
	if (plan->fd_cgroup >= 0 && must(call(SYS_write, plan->fd_cgroup, "0", 1), STEP_CGROUP) == 1)
		must(call(SYS_close, plan->fd_cgroup), STEP_CGROUP);
	if (plan->fd_mnt >= 0 && must(call(SYS_setns, plan->fd_mnt, CLONE_NEWNS), STEP_MNTNS) == 0)
		must(call(SYS_close, plan->fd_mnt), STEP_MNTNS);
	/* Also a copy of the mounts: other services may be given the same tree, and no zygote could change another's. */
	must(call(SYS_unshare, plan->namespaces | (plan->fd_mnt >= 0 ? CLONE_NEWNS : 0)), STEP_NAMESPACES);
	plan->fd_landlock = raise_fd(plan->fd_landlock, plan->high + FD_LANDLOCK, O_CLOEXEC);
	plan->fd_exec = raise_fd(plan->fd_exec, plan->high + FD_EXEC, O_CLOEXEC);
	if (!plan->chdir_late)
		must(call(SYS_chdir, text(plan->dir_off)), STEP_CHDIR);
}

/* That limit counts from each child's start: it is set there; so is that of descriptors, where the launch uses one beyond it. */
static int cpu_bounded(void) { return plan->rlimits[RLIMIT_CPU] != ~0ull; }
static int goes_beyond(void) { return plan->log || plan->slots || plan->stdio == STDIO_RELAY; }

static void set_limits(void)
{
	for (unsigned i = 0; i < MAX_RLIMITS; i++)
		if (!(i == RLIMIT_CPU && cpu_bounded()) && !(i == RLIMIT_NOFILE && goes_beyond()))
			must(limit(i, plan->rlimits[i]), STEP_RLIMIT);
	call(SYS_umask, plan->umask);
}

/* Everything that the launches need stays; what is dropped here never returns. */
static void drop(void)
{
	must(call(SYS_setgroups, plan->ngroups, plan->groups), STEP_GROUPS);
	if (!plan->dynamic)
		must(call(SYS_setresgid, plan->gid, plan->gid, plan->gid), STEP_GID);
	drop_bounding(plan->caps);
	must(call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), STEP_BOUNDING);
	/* Capabilities to keep survive the uid change; exec clears the bit. */
	unsigned long bits = plan->caps ? SECBIT_KEEP_CAPS : SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	bits |= SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED;
	must(call(SYS_prctl, PR_SET_SECUREBITS, bits), STEP_SECUREBITS);
	must(set_caps(plan->zygote_caps | plan->caps, plan->zygote_caps | plan->caps, plan->caps), STEP_CAPS);
	must(call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1), STEP_NNP);
	/* Not readable through /proc or ptrace by anybody with fewer capabilities. */
	must(call(SYS_prctl, PR_SET_DUMPABLE, 0), STEP_NNP);
}

static void verify_dropped(void)
{
	int sig = 0, ok = call(SYS_prctl, PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL;
	ok = ok && call(SYS_prctl, PR_GET_NO_NEW_PRIVS) == 1 && call(SYS_prctl, PR_GET_SECUREBITS) & SECBIT_NOROOT_LOCKED;
	for (unsigned c = 0; c < 64; c++)
		ok = ok && (plan->caps >> c & 1 || call(SYS_prctl, PR_CAPBSET_READ, c) <= 0);
	must(ok ? 0 : -EPERM, STEP_VERIFY);
}

/*
 * The further workers are made before the filter is there, and taken into it at
 * once (TSYNC): a service inherits it, and must not inherit the right to make threads.
 * Until then they wait for a request, and the first comes after REPLY_READY.
 */
static int staff_and_filter(void)
{
	struct sock_fprog filter = program(text(plan->filter_off), plan->filter_len);
	long fd = -1;
	for (unsigned i = 1; i < plan->workers; i++)
		must(start(serve, workers + i, workers[i].stack, WORKER_FLAGS, NULL), STEP_CLONE);
	if (plan->slots)
		must(start(make_ahead, NULL, maker_stack, CLONE_VM | CLONE_FILES, NULL), STEP_CLONE);
	/* Last of all: from here on only what the filter allows can happen. */
	if (plan->listen)
		fd = install_heard(&filter);
	if (plan->filter_len && fd < 0)
		must(install(&filter, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH), STEP_SECCOMP); /* for a thread left out */
	return fd;
}

/*
 * The broker writes the maps: only it may map ids that are not its own. Root is
 * not mapped, so inside there is no uid 0 to become.
 */
static void enter_userns(void)
{
	char go;
	must(call(SYS_unshare, CLONE_NEWUSER), STEP_USERNS);
	reply(REPLY_MAP, call(SYS_getpid), 0, 0);
	must(call(SYS_read, ctl, &go, 1) == 1 ? 0 : -EPIPE, STEP_USERNS);
}

/* Dies with the broker. A change of ids or of user namespace clears that, so drop() is followed by it; a broker that was gone before has hung up. */
static void tie(void) { must(call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL), STEP_PDEATHSIG); }

/* Gives the filter's listener, or -1. */
static int enter(void)
{
	static const uint64_t all = ~0ull, standard[4]; /* no handler: SIG_DFL */
	ctl = FD_CTL;
	must(call(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8), STEP_SIGNALS);
	for (int sig = 1; sig <= 64; sig++) /* what the broker was started with ignored would stay so; KILL and STOP refuse */
		call(SYS_rt_sigaction, sig, standard, 0, 8);
	tie();
	call(SYS_prctl, PR_SET_NAME, ZYGOTE_ARGV0);
	load_plan();
	/* Room for the numbers from plan->high on, whatever limit the broker was started with. */
	must(limit(RLIMIT_NOFILE, plan->high + FD_COUNT), STEP_RLIMIT);
	ctl = raise_fd(FD_CTL, plan->high, O_CLOEXEC);
	must(call(SYS_close, FD_PLAN), STEP_PLAN);
	must(call(SYS_setsid), STEP_SETSID);
	must(call(SYS_personality, PER_LINUX), STEP_PERSONALITY); /* what it was started with, as no random addresses */
	must((uintptr_t)&(int){0} >> 46 ? call(SYS_mremap, gate_page, GATE_SIZE, GATE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, GATE_PAGE) : -ERANGE, STEP_GATE); /* onceSpace (launch.go) needs 47 bits of addresses */
	raise_oom();
	set_nice();
	must(keep(plan->kept & ~KEPT_CORE_SESSION), STEP_PROCESSOR);
	prepare_parking();
	prepare_slots();
	join_all();
	if (plan->userns)
		enter_userns();
	set_limits();
	drop();
	tie();
	verify_dropped();
	return staff_and_filter();
}

/* ---- one connection ---- */

static void tried(struct worker *w, long r)
{
	if (r < 0) {
		w->mark->err = -r;
		quit(126);
	}
}

/* The step is noted before it is taken: it may hang. */
#define try(w, r, s) ((w)->mark->step = (s), tried(w, r))

#include "mounts.h"

/* 0, 1 and 2 are taken (/dev/null), so what arrived lies from 3 on. */
static void stdio(struct worker *w)
{
	long client = w->fds[0]; /* or who has its client: its relay, which gives the other end of what that carries to */
	if (plan->stdio == STDIO_RELAY) {
		try(w, call(SYS_dup3, client, plan->high + FD_LOG, O_CLOEXEC), STEP_RELAY);
		try(w, client = take_fd(plan->high + FD_LOG), STEP_RELAY);
	}
	for (int to = 0; plan->stdio != STDIO_FDS && to <= (plan->stdio == STDIO_ALL ? 2 : 1); to++)
		try(w, call(SYS_dup3, client, to, 0), STEP_STDIO);
	for (int i = 0; i < plan->outputs; i++)
		try(w, call(SYS_dup3, w->fds[w->request.nfds + i], 2 - i, 0), STEP_STDIO);
	for (uint32_t i = 0; plan->stdio == STDIO_FDS && i < w->request.nfds; i++) {
		try(w, w->fds[i] == (int)(3 + i) ? 0 : -EBADF, STEP_STDIO); /* holds with one worker, which Go asks for */
		try(w, call(SYS_fcntl, 3 + i, F_SETFD, 0), STEP_STDIO);
	}
}

static void change_user(struct worker *w)
{
	uint32_t uid = plan->dynamic ? w->request.uid : plan->uid, gid = w->request.gid;
	if (plan->dynamic)
		try(w, call(SYS_setresgid, gid, gid, gid), STEP_GID);
	try(w, call(SYS_setresuid, uid, uid, uid), STEP_UID);
	/* By hand, always: for uid 0 and inside a user namespace the uid change alone keeps the sets. */
	try(w, set_caps(plan->caps, plan->caps, plan->caps), STEP_CAPS);
	for (unsigned c = 0; c < 64; c++)
		if (plan->caps >> c & 1)
			try(w, call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c), STEP_CAPS);
	/* Verify instead of trusting: a capability that is left means no exec. */
	try(w, permitted_caps() & ~plan->caps || call(SYS_getuid) != uid ? -EPERM : 0, STEP_VERIFY);
}

/* As the service, in its own /tmp. The filter lets that number alone be bound, which from here on nobody can make. */
static void bind_log(struct worker *w, int fd)
{
	static const struct sockaddr_un path = {AF_UNIX, LOG_PATH};
	try(w, call(SYS_dup3, fd, plan->high + FD_LOG, O_CLOEXEC), STEP_LOG);
	try(w, call(SYS_bind, plan->high + FD_LOG, &path, sizeof path), STEP_LOG);
}

/* Dies with the broker: the uid change above cleared the setting, so it comes after. */
static void tie_to_broker(struct worker *w)
{
	struct pollfd p = {.fd = ctl, .events = 0};
	if (!plan->leave)
		try(w, call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL), STEP_PDEATHSIG);
	try(w, poll_now(&p), STEP_PDEATHSIG);
	/* A hang-up: it died before it could be tied to, or has given this zygote up and knows of no such start. */
	try(w, p.revents & (POLLHUP | POLLERR) ? -EOWNERDEAD : 0, STEP_PDEATHSIG);
}

/* The last ordered steps of one process: afterwards nothing is left to give up. */
static void confine(struct worker *w)
{
	try(w, call(SYS_setsid), STEP_SETSID);
	try(w, keep(plan->kept & KEPT_CORE_SESSION), STEP_PROCESSOR);
	stdio(w);
	if (cpu_bounded())
		try(w, limit(RLIMIT_CPU, plan->rlimits[RLIMIT_CPU]), STEP_RLIMIT);
	change_user(w);
	if (plan->log)
		bind_log(w, w->fds[w->request.nfds + plan->outputs]);
	if (goes_beyond())
		try(w, limit(RLIMIT_NOFILE, plan->rlimits[RLIMIT_NOFILE]), STEP_RLIMIT);
	tie_to_broker(w);
	/* Marked rather than closed: the command's own descriptor must live until exec. */
	unsigned first = plan->stdio == STDIO_FDS ? 3 + w->request.nfds : 3;
	try(w, call(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC), STEP_CLOSE);
}

static void run(struct worker *w)
{
	static const uint64_t none;
	struct sock_fprog seal = program(text(plan->seal_off), plan->seal_len);
	if (seal.len)
		try(w, install(&seal, 0), STEP_SEAL);
	try(w, call(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8), STEP_SIGNALS);
	/* A script's path is absolute, so that the descriptor, the one the filter knows, is not looked at. */
	int held = plan->fd_exec >= 0;
	try(w, gate(plan->high + FD_EXEC, held ? "" : text(plan->path_off), argv_p, w->env, held ? AT_EMPTY_PATH : 0, SYS_execveat), STEP_EXEC);
}

static void child(struct worker *w) { mounts(w), confine(w), run(w); }

/* ---- a pid namespace ahead of its connection, with its PID 1 parked ---- */

/*
 * PID 1 has no default signals, and orphans are its to reap: the service is PID 2, a
 * child of the broker, which learns its true end. Once a thread has chosen a namespace for
 * its children, clone(2) cannot make another: it goes back to its own first.
 */
static long park(struct worker *w)
{
	int ends[2];
	if (!plan->init || w->parked)
		return 0;
	long r = call(SYS_setns, plan->high + FD_PIDNS, CLONE_NEWPID);
	if (r == 0)
		r = call(SYS_unshare, CLONE_NEWPID);
	if (r == 0)
		r = call(SYS_pipe2, ends, O_CLOEXEC);
	if (r < 0)
		return r;
	r = call(SYS_dup3, ends[1], WAKE_FD(w), O_CLOEXEC);
	if (r >= 0)
		r = start_init(INIT_FLAGS, ends[0], &init_memory, !plan->leave);
	call(SYS_close, ends[0]);
	call(SYS_close, ends[1]);
	if (r < 0)
		call(SYS_close, WAKE_FD(w));
	w->parked = r > 0 ? r : 0;
	return r;
}

/* Not before the service exists, or could not be made: its init looks for it and ends with it. */
static void wake(struct worker *w)
{
	if (w->parked)
		call(SYS_close, WAKE_FD(w));
	w->parked = 0;
}

/* Inits are reaped and tied by way of this process: it stays until the last has ended. Those still parked end now. */
static _Noreturn void retire(struct worker *w)
{
	wake(w);
	while (plan->init && call(SYS_wait4, -1, 0, 0, 0) > 0) /* not for the maker, whose end sends no signal */
		;
	quit(0);
}

/* ---- requests ---- */

static void launch(struct worker *w)
{
	struct reply *m = w->mark;
	unsigned room = MAX_ENV - env_fixed;
	long r = -E2BIG;
	*m = (struct reply){.id = w->request.id, .step = STEP_REQUEST};
	if (split(w->request.env, w->request.env_len, w->env + env_fixed, room) <= room)
		m->step = STEP_INIT, r = park(w);
	w->slot = r >= 0 && plan->slots ? claim_slot() : NULL;
	if (r >= 0)
		m->step = STEP_CLONE, r = start(child, w, w->child_stack, plan->clone_flags & ~(w->slot ? CLONE_NEWNS : 0), &m->pid);
	if (r < 0)
		m->err = -r;
	else
		m->pid = r, m->init = w->parked;
	tell(ctl, m, -1);
	release_slot(w->slot, r > 0 && w->parked ? w->parked : r);
	wake(w);
}

/* Takes the next request; false when the broker is gone. */
static int receive(struct worker *w)
{
	char control[CMSG_SPACE(sizeof(int) * MAX_FDS)] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = &w->request, .iov_len = sizeof w->request};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	long n = call(SYS_recvmsg, ctl, &msg, MSG_CMSG_CLOEXEC); /* no EINTR: every signal is blocked */
	if (n <= 0)
		return 0;
	unsigned got = 0, own = plan->outputs + plan->log + plan->state; /* the last are not the client's */
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); /* SCM_RIGHTS: nothing else is enabled */
		memcpy(w->fds, CMSG_DATA(c), got * sizeof(int));
	}
	if ((size_t)n < REQUEST_HEAD || w->request.env_len != n - REQUEST_HEAD || got != w->request.nfds || got <= own ||
	    msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		reply(0, 0, STEP_REQUEST, EBADMSG);
	else
		w->request.nfds -= own, launch(w);
	for (unsigned i = 0; i < got; i++)
		call(SYS_close, w->fds[i]);
	return 1;
}

static void serve(struct worker *w)
{
	while (receive(w))
		park(w); /* for the next one; what fails here is tried again when it comes */
	retire(w);
}

__attribute__((constructor)) static void take_over(int argc, char **argv)
{
	if (argc < 1 || !argv[0])
		return;
	if (strcmp(argv[0], ZYGOTE_ARGV0) == 0) {
		int listener = enter();
		tell(ctl, &(struct reply){.id = REPLY_READY, .pid = call(SYS_getpid)}, listener);
		if (listener >= 0)
			call(SYS_close, listener);
		serve(workers);
	}
	const char *base = strrchr(argv[0], '/');
	if (call(SYS_geteuid) == 0 && strcmp(base ? base + 1 : argv[0], "casemated") == 0)
		casemate_cut_broker();
}
