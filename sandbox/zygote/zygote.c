//go:build cgo

/*
 * The zygote: enters a service's sandbox once, then clones and execs one fixed
 * command per connection.
 *
 * A constructor takes the process over before the Go runtime exists, so it has
 * one thread, a small private memory and no signal handlers. It trusts the
 * broker (the plan on FD_PLAN, the requests on its control socket) and nobody
 * else; it never reads from a client's socket.
 *
 * The order of enter() and child() is the security order of the design: join,
 * limit, drop, lock, filter; then per connection mount, detach, stdio, uid,
 * verify, Landlock, close, exec. Any failing step means no exec.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zygote.h"

static struct plan *plan; /* the mapped plan; its strings are used in place */
static char *argv_p[MAX_ARGS + 1], *env_p[MAX_ENV + 1]; /* the plan's environment, then the request's */
static unsigned env_fixed;
static int ctl = -1; /* control socket, at plan->high */

/* What the child leaves for the parent: memory is shared until exec. */
static struct {
	uint32_t step;
	int32_t err;
} *report;

/* A vfork child needs a stack of its own below which nothing of ours lies. */
static char stack[64 * 1024] __attribute__((aligned(64)));
static char init_stack[16 * 1024] __attribute__((aligned(64)));

static struct request request;
static int request_fds[MAX_FDS];
#define call(...) syscall(__VA_ARGS__)

static void reply(uint64_t id, int32_t pid, uint32_t step, int32_t err)
{
	struct reply r = {.id = id, .pid = pid, .step = step, .err = err};
	call(SYS_write, ctl, &r, sizeof r); /* no EINTR: every signal is blocked */
}

static _Noreturn void die(uint32_t step)
{
	reply(0, 0, step, errno ? errno : EIO);
	_exit(1);
}

static void must(long r, uint32_t step)
{
	if (r < 0)
		die(step);
}

static char *text(uint32_t off) { return (char *)plan + off; }

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

static void load_plan(void)
{
	struct stat st;
	must(fstat(FD_PLAN, &st), STEP_PLAN);
	/* Private: the broker's memfd is sealed, and our copy of it never changes it. */
	void *m = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, FD_PLAN, 0);
	if (m == MAP_FAILED)
		die(STEP_PLAN);
	plan = m;
	errno = EINVAL;
	if ((size_t)st.st_size < sizeof *plan || plan->magic != PLAN_MAGIC || plan->size != (uint32_t)st.st_size)
		die(STEP_PLAN);
	env_fixed = split(text(plan->env_off), plan->env_len, env_p, MAX_ENV);
	if (env_fixed > MAX_ENV || split(text(plan->argv_off), plan->argv_len, argv_p, MAX_ARGS) > MAX_ARGS)
		die(STEP_PLAN);
}

static void join(int fd, int type, uint32_t step)
{
	if (fd >= 0) {
		must(call(SYS_setns, fd, type), step);
		must(call(SYS_close, fd), step);
	}
}

/*
 * Moves a descriptor above RLIMIT_NOFILE: the filter pins calls to that number
 * and the service can never make a descriptor of that number again.
 */
static int raise_fd(int fd, int to, int flags)
{
	if (fd < 0)
		return -1;
	must(call(SYS_dup3, fd, to, flags), STEP_FDS);
	must(call(SYS_close, fd), STEP_FDS);
	return to;
}

static void join_all(void)
{
	if (plan->fd_cgroup >= 0) {
		must(call(SYS_write, plan->fd_cgroup, "0", 1), STEP_CGROUP);
		must(call(SYS_close, plan->fd_cgroup), STEP_CGROUP);
	}
	join(plan->fd_net, CLONE_NEWNET, STEP_NETNS);
	join(plan->fd_uts, CLONE_NEWUTS, STEP_UTSNS);
	join(plan->fd_ipc, CLONE_NEWIPC, STEP_IPCNS);
	join(plan->fd_cgns, CLONE_NEWCGROUP, STEP_CGROUPNS);
	join(plan->fd_mnt, CLONE_NEWNS, STEP_MNTNS);
	plan->fd_landlock = raise_fd(plan->fd_landlock, plan->high + 1, O_CLOEXEC);
	plan->fd_exec = raise_fd(plan->fd_exec, plan->high + 2, O_CLOEXEC);
	raise_fd(plan->fd_stderr, 2, 0);
	if (!(plan->flags & F_CHDIR_LATE))
		must(call(SYS_chdir, text(plan->dir_off)), STEP_CHDIR);
}

static void set_limits(void)
{
	for (unsigned i = 0; i < MAX_RLIMITS; i++)
		if (plan->rlimit_set >> i & 1 && i != RLIMIT_CPU) /* that one counts from each child's start */
			must(call(SYS_prlimit64, 0, i, &plan->rlimits[i], NULL), STEP_RLIMIT);
	umask(plan->umask);
}

static long set_caps(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	for (int i = 0; i < 2; i++) {
		d[i].permitted = d[i].effective = (uint32_t)(permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return call(SYS_capset, &h, d);
}

/* All bits where the kernel would not tell: no set passes for empty. */
static uint64_t permitted_caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	return call(SYS_capget, &h, d) < 0 ? ~0ull : (uint64_t)d[1].permitted << 32 | d[0].permitted;
}

static void drop_bounding(uint64_t keep)
{
	for (unsigned c = 0; c < 64; c++) /* reading fails past the last capability of this kernel */
		if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) > 0 && !(keep >> c & 1))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* verified by the callers */
}

/* Everything that the launches need stays; what is dropped here never returns. */
static void drop(void)
{
	must(call(SYS_setgroups, plan->ngroups, plan->groups), STEP_GROUPS);
	if (!(plan->flags & F_DYNAMIC))
		must(call(SYS_setresgid, plan->gid, plan->gid, plan->gid), STEP_GID);
	drop_bounding(plan->caps);
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), STEP_BOUNDING);
	unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
			     SECBIT_KEEP_CAPS_LOCKED;
	if (plan->caps)
		bits |= SECBIT_KEEP_CAPS; /* across the uid change; exec clears it */
	else
		bits |= SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	must(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), STEP_SECUREBITS);
	must(set_caps(plan->zygote_caps | plan->caps, plan->caps), STEP_CAPS);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), STEP_NNP);
	/* Not readable through /proc or ptrace by anybody with fewer capabilities. */
	must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), STEP_NNP);
}

static void verify_dropped(void)
{
	int ok = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & SECBIT_NOROOT_LOCKED;
	for (unsigned c = 0; c < 64; c++)
		ok = ok && (plan->caps >> c & 1 || prctl(PR_CAPBSET_READ, c, 0, 0, 0) <= 0);
	errno = EPERM;
	if (!ok)
		die(STEP_VERIFY);
}

static long install(uint32_t off, uint32_t len)
{
	struct sock_fprog prog = {.len = len / sizeof(struct sock_filter), .filter = (void *)text(off)};
	return call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

/*
 * The broker writes the maps: only it may map ids that are not its own. Root is
 * not mapped, so inside there is no uid 0 to become.
 */
static void enter_userns(void)
{
	char go;
	must(call(SYS_unshare, CLONE_NEWUSER), STEP_USERNS);
	reply(REPLY_MAP, getpid(), 0, 0);
	errno = EPIPE;
	if (call(SYS_read, ctl, &go, 1) != 1)
		die(STEP_USERNS);
}

static void enter(void)
{
	static const uint64_t all = ~0ull;
	ctl = FD_CTL;
	must(call(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8), STEP_SIGNALS);
	must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), STEP_PDEATHSIG);
	prctl(PR_SET_NAME, ZYGOTE_ARGV0, 0, 0, 0);
	load_plan();
	ctl = raise_fd(FD_CTL, plan->high, O_CLOEXEC);
	must(call(SYS_close, FD_PLAN), STEP_PLAN);
	must(call(SYS_setsid), STEP_SETSID);
	join_all();
	if (plan->flags & F_USERNS)
		enter_userns();
	set_limits();
	report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		die(STEP_PLAN);
	drop();
	verify_dropped();
	/* Last of all: from here on only what the filter allows can happen. */
	if (plan->filter_len)
		must(install(plan->filter_off, plan->filter_len), STEP_SECCOMP);
}

/* ---- one connection ---- */

static _Noreturn void fail(uint32_t step)
{
	report->step = step;
	report->err = errno ? errno : EIO;
	for (;;)
		call(SYS_exit_group, 126);
}

static void try(long r, uint32_t step)
{
	if (r < 0)
		fail(step);
}

static void mounts(void)
{
	if (plan->flags & F_PROC)
		try(call(SYS_mount, "proc", "/proc", "proc", PROC_FLAGS, "subset=pid,hidepid=invisible"), STEP_PROC);
	if (plan->flags & F_TMP)
		try(call(SYS_mount, "tmpfs", "/private/tmp", "tmpfs", TMP_FLAGS, text(plan->tmp_off)), STEP_TMP);
	if (plan->flags & F_CHDIR_LATE)
		try(call(SYS_chdir, text(plan->dir_off)), STEP_CHDIR);
}

/*
 * 0, 1 and 2 are taken (/dev/null, /dev/null, the log), so the client's
 * descriptors have arrived in ascending order from 3 on: no dup clobbers one.
 */
static void stdio(void)
{
	if (plan->stdio == STDIO_FDS) {
		for (uint32_t i = 0; i < request.nfds; i++) {
			errno = EBADF;
			if (request_fds[i] != (int)(3 + i))
				fail(STEP_STDIO);
			try(call(SYS_fcntl, 3 + i, F_SETFD, 0), STEP_STDIO);
		}
		return;
	}
	for (int to = 0; to <= (plan->stdio == STDIO_ALL ? 2 : 1); to++)
		try(call(SYS_dup3, request_fds[0], to, 0), STEP_STDIO);
}

/* Marked rather than closed: the command's own descriptor must live until exec. */
static void close_rest(void)
{
	try(call(SYS_close_range, plan->stdio == STDIO_FDS ? 3 + request.nfds : 3, ~0u, CLOSE_RANGE_CLOEXEC), STEP_CLOSE);
}

static void change_user(void)
{
	uint32_t uid = plan->flags & F_DYNAMIC ? request.uid : plan->uid;
	if (plan->flags & F_DYNAMIC)
		try(call(SYS_setresgid, request.gid, request.gid, request.gid), STEP_GID);
	try(call(SYS_setresuid, uid, uid, uid), STEP_UID);

	/* By hand, always: for uid 0 and inside a user namespace the uid change alone keeps the sets. */
	try(set_caps(plan->caps, plan->caps), STEP_CAPS);
	for (unsigned c = 0; c < 64; c++)
		if (plan->caps >> c & 1)
			try(call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0), STEP_CAPS);
	/* Verify instead of trusting: a capability that is left means no exec. */
	errno = EPERM;
	if (permitted_caps() & ~plan->caps || call(SYS_getuid) != uid)
		fail(STEP_VERIFY);
}

/* Dies with the broker: the uid change above cleared the setting, so it comes after. */
static void tie_to_broker(void)
{
	try(call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), STEP_PDEATHSIG);
	struct pollfd p = {.fd = ctl, .events = 0};
	try(call(SYS_poll, &p, 1, 0), STEP_PDEATHSIG);
	errno = EOWNERDEAD;
	if (p.revents & (POLLHUP | POLLERR)) /* it died before the line above */
		fail(STEP_PDEATHSIG);
}

/* The last ordered steps of one connection: afterwards nothing is left to give up. */
static void confine(void)
{
	mounts();
	try(call(SYS_setsid), STEP_SETSID);
	stdio();
	if (plan->rlimit_set & (1u << RLIMIT_CPU))
		try(call(SYS_prlimit64, 0, RLIMIT_CPU, &plan->rlimits[RLIMIT_CPU], NULL), STEP_RLIMIT);
	change_user();
	if (!(plan->flags & F_LEAVE))
		tie_to_broker();
	if (plan->fd_landlock >= 0)
		try(call(SYS_landlock_restrict_self, plan->fd_landlock, 0), STEP_LANDLOCK);
	close_rest();
}

static _Noreturn void run(void)
{
	static const uint64_t none;
	if (plan->seal_len)
		try(install(plan->seal_off, plan->seal_len), STEP_SEAL);
	try(call(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8), STEP_SIGNALS);
	if (plan->fd_exec >= 0)
		call(SYS_execveat, plan->fd_exec, "", argv_p, env_p, AT_EMPTY_PATH);
	else
		call(SYS_execve, text(plan->path_off), argv_p, env_p);
	fail(STEP_EXEC);
}

static int child(void *unused)
{
	(void)unused;
	confine();
	run();
}

/* ---- init = true: PID 1 reaps and forwards, the service is PID 2 ---- */

static int init_pipe[2]; /* end of file on it tells the zygote that the exec is over */

static int init_service(void *arg)
{
	(void)arg;
	try(call(SYS_setsid), STEP_SETSID);
	run();
}

/* Reaps everything there is; exits with the service's own status. */
static void reap(int service)
{
	int status;
	long pid;
	while ((pid = call(SYS_wait4, -1, &status, WNOHANG, NULL)) > 0)
		if (pid == service)
			call(SYS_exit_group, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static _Noreturn void init_loop(int service)
{
	static const uint64_t all = ~0ull;
	for (;;) {
		int sig = call(SYS_rt_sigtimedwait, &all, NULL, NULL, 8);
		if (sig == SIGCHLD)
			reap(service);
		else if (sig > 0)
			call(SYS_kill, service, sig);
	}
}

/* Has memory of its own (no CLONE_VM): it lives as long as its connection. */
static int init_main(void *arg)
{
	(void)arg;
	confine();
	int service = clone(init_service, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	try(service, STEP_INIT);
	if (report->err)
		call(SYS_exit_group, 126);
	/* The connection belongs to the service alone: a copy here would hide its close. */
	try(call(SYS_close_range, 0, ~0u, 0), STEP_CLOSE);
	init_loop(service);
}

static int launch_init(void)
{
	char byte;
	if (call(SYS_pipe2, init_pipe, O_CLOEXEC) < 0)
		return -1;
	int pid = clone(init_main, init_stack + sizeof init_stack, plan->clone_flags, NULL);
	int err = errno;
	call(SYS_close, init_pipe[1]);
	if (pid > 0)
		call(SYS_read, init_pipe[0], &byte, 1);
	call(SYS_close, init_pipe[0]);
	errno = err;
	return pid;
}

/* ---- requests ---- */

static void launch(void)
{
	report->step = report->err = 0;
	if (split(request.env, request.env_len, env_p + env_fixed, MAX_ENV - env_fixed) > MAX_ENV - env_fixed) {
		reply(request.id, 0, STEP_REQUEST, E2BIG);
		return;
	}
	int pid = plan->flags & F_INIT ? launch_init() : clone(child, stack + sizeof stack, plan->clone_flags, NULL);
	reply(request.id, pid < 0 ? 0 : pid, pid < 0 ? STEP_CLONE : report->step, pid < 0 ? errno : report->err);
}

/* Takes the next request; false when the broker is gone. */
static int receive(void)
{
	char control[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	struct iovec iov = {.iov_base = &request, .iov_len = sizeof request};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	long n = call(SYS_recvmsg, ctl, &msg, MSG_CMSG_CLOEXEC); /* no EINTR: every signal is blocked */
	if (n <= 0)
		return 0;
	unsigned got = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); /* SCM_RIGHTS: nothing else is enabled */
		memcpy(request_fds, CMSG_DATA(c), got * sizeof(int));
	}
	if ((size_t)n < REQUEST_HEAD || request.env_len != n - REQUEST_HEAD || got != request.nfds || got < 1 ||
	    msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		reply(request.id, 0, STEP_REQUEST, EBADMSG);
	else
		launch();
	for (unsigned i = 0; i < got; i++)
		call(SYS_close, request_fds[i]);
	return 1;
}

/* ---- casemated itself ---- */

/*
 * The broker's capabilities are cut here, before the Go runtime makes threads:
 * afterwards every thread would have to be cut on its own.
 */
static void cut_broker(void)
{
	if (geteuid() != 0)
		return; /* without root there is nothing to cut; casemated says what is missing */
	drop_bounding(BROKER_CAPS);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	set_caps(permitted_caps() & BROKER_CAPS, 0); /* casemated proves the outcome and refuses to start without */
}

__attribute__((constructor)) static void take_over(int argc, char **argv)
{
	if (argc < 1 || !argv[0])
		return;
	if (strcmp(argv[0], ZYGOTE_ARGV0) == 0) {
		enter();
		reply(REPLY_READY, getpid(), 0, 0);
		while (receive())
			;
		_exit(0);
	}
	const char *base = strrchr(argv[0], '/');
	if (strcmp(base ? base + 1 : argv[0], "casemated") == 0)
		cut_broker();
}
