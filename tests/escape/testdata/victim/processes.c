/* Attempts on other processes and on the own identity: #7, #19-#23, #34, #38,
 * #39, #41, #65, #67. Process ids come as arguments. */
#include "victim.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static pid_t pid(char **v) { return atoi(v[1]); }

static int ptrace_(int c, char **v)
{
	if (ptrace(PTRACE_SEIZE, pid(v), 0, 0) == -1)
		return errno;
	return 0; /* the kernel detaches when we end */
}
static int traceme(int c, char **v) { return OUTCOME(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static int vm_read(int c, char **v)
{
	char buf[8];
	struct iovec to = {buf, sizeof buf}, from = {(void *)strtoul(v[2], NULL, 0), sizeof buf};
	int err = OUTCOME(process_vm_readv(pid(v), &to, 1, &from, 1, 0));

	return err == EFAULT ? 0 : err; /* a bad address: the call was let through */
}
static int vm_write(int c, char **v)
{
	char buf[8] = {0};
	struct iovec from = {buf, sizeof buf}, to = {NULL, sizeof buf};
	int err = OUTCOME(process_vm_writev(pid(v), &from, 1, &to, 1, 0));

	return err == EFAULT ? 0 : err;
}
static int pidfd_steal(int c, char **v)
{
	int fd = syscall(SYS_pidfd_open, pid(v), 0);

	if (fd < 0)
		return errno;
	return OUTCOME(syscall(SYS_pidfd_getfd, fd, 0, 0));
}
static int kcmp_(int c, char **v) { return OUTCOME(syscall(SYS_kcmp, pid(v), pid(v), 0, 0, 0)); }
/* Signal 0 asks for the right only. */
static int kill_(int c, char **v) { return OUTCOME(kill(pid(v), 0)); }
static int tgkill_(int c, char **v) { return OUTCOME(syscall(SYS_tgkill, pid(v), pid(v), 0)); }
static int sigqueue_(int c, char **v)
{
	return OUTCOME(sigqueue(pid(v), 0, (union sigval){.sival_int = 0}));
}
static int pidfd_signal(int c, char **v)
{
	int fd = syscall(SYS_pidfd_open, pid(v), 0);

	return fd < 0 ? errno : OUTCOME(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}
static int nice_other(int c, char **v) { return OUTCOME(setpriority(PRIO_PROCESS, pid(v), 19)); }
/* Never run without a pid namespace: it ends everything one may signal. */
static int kill_all(int c, char **v) { return OUTCOME(kill(-1, SIGKILL)); }
static int setown(int c, char **v) { return OUTCOME(fcntl(0, F_SETOWN, pid(v))); }

/* #23: turn a read-only, executable page of our own into something else. */
static int self_mem(int c, char **v)
{
	static char page[4096] __attribute__((aligned(4096)));
	int fd = open("/proc/self/mem", O_RDWR), err;

	if (fd < 0)
		return errno;
	if (mprotect(page, sizeof page, PROT_READ))
		return errno;
	err = OUTCOME(pwrite(fd, "x", 1, (off_t)(uintptr_t)page));
	close(fd);
	return err;
}

static int setuid_(int c, char **v) { return OUTCOME(syscall(SYS_setuid, 0)); }
static int setgid_(int c, char **v) { return OUTCOME(syscall(SYS_setgid, 0)); }
static int setresuid_(int c, char **v) { return OUTCOME(syscall(SYS_setresuid, 0, 0, 0)); }
static int setresgid_(int c, char **v) { return OUTCOME(syscall(SYS_setresgid, 0, 0, 0)); }
static int setreuid_(int c, char **v) { return OUTCOME(syscall(SYS_setreuid, 0, 0)); }
static int setfsuid_(int c, char **v)
{
	syscall(SYS_setfsuid, 12345);
	return (int)syscall(SYS_setfsuid, -1) == 12345 ? 0 : EPERM;
}
/* The lease beside our own, which the launch's filter lets through. */
static int neighbour(int c, char **v)
{
	uid_t other = getuid() ^ 1;

	return OUTCOME(syscall(SYS_setresuid, other, other, other));
}
static int setgroups_(int c, char **v)
{
	gid_t g[] = {0, 42};

	return OUTCOME(syscall(SYS_setgroups, 2, g));
}
static int capset_(int c, char **v)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	memset(d, 0, sizeof d);
	d[0].effective = d[0].permitted = 1u << CAP_SYS_CHROOT;
	return OUTCOME(syscall(SYS_capset, &h, d));
}
static int ambient(int c, char **v)
{
	return OUTCOME(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
}
/* Without it the program outlives a broker that is killed. */
static int untie(int c, char **v) { return OUTCOME(prctl(PR_SET_PDEATHSIG, strtoul(v[1], NULL, 0), 0, 0, 0)); }
static int ptracer(int c, char **v) { return OUTCOME(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)); }
static int subreaper(int c, char **v) { return OUTCOME(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); }
static int dumpable(int c, char **v) { return OUTCOME(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }
static int securebits(int c, char **v) { return OUTCOME(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0)); }
static int keepcaps(int c, char **v) { return OUTCOME(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)); }

/* #65 */
static int fifo(int c, char **v)
{
	struct sched_param p = {.sched_priority = 1};

	return OUTCOME(sched_setscheduler(0, SCHED_FIFO, &p));
}
static int deadline(int c, char **v)
{
	struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; } a =
		{48, SCHED_DEADLINE, 0, 0, 0, 1 << 20, 10 << 20, 10 << 20};

	return OUTCOME(syscall(SYS_sched_setattr, 0, &a, 0));
}
static int affinity(int c, char **v)
{
	cpu_set_t all;

	CPU_ZERO(&all);
	CPU_SET(0, &all);
	return OUTCOME(syscall(SYS_sched_setaffinity, 0, sizeof all, &all));
}
static int ioprio(int c, char **v) { return OUTCOME(syscall(SYS_ioprio_set, 1 /* PROCESS */, 0, 1 << 13 /* RT */)); }
static int lock_all(int c, char **v) { return OUTCOME(mlockall(MCL_CURRENT)); }
static int nice_(int c, char **v) { return OUTCOME(setpriority(PRIO_PROCESS, 0, -20)); }
static int rlimit_raise(int c, char **v)
{
	struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};

	if (getrlimit(RLIMIT_NOFILE, &r))
		return errno;
	r.rlim_max++;
	return OUTCOME(setrlimit(RLIMIT_NOFILE, &r));
}
static int rlimit_other(int c, char **v)
{
	struct rlimit r;

	return OUTCOME(prlimit(pid(v), RLIMIT_NOFILE, NULL, &r));
}

/* #34: run a copy of ourselves from where files can be written. */
static int copied(const char *path, int fd)
{
	char buf[65536];
	int from = open(path, O_RDONLY);
	ssize_t n;

	if (from < 0)
		return errno;
	while ((n = read(from, buf, sizeof buf)) > 0)
		if (write(fd, buf, n) != n)
			return errno;
	close(from);
	return n < 0 ? errno : 0;
}
static int exec_child(const char *path, int fd)
{
	char *args[] = {"victim", NULL}, *env[] = {NULL};
	volatile int failed = 0; /* written by the child, which shares our memory until it has executed something */
	int status, null;
	pid_t p = vfork();

	if (p == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null < 0 ? 2 : null, 0);
		if (path)
			execve(path, args, env);
		else
			syscall(SYS_execveat, fd, "", args, env, AT_EMPTY_PATH);
		failed = errno;
		_exit(1);
	}
	if (p < 0)
		return errno;
	if (waitpid(p, &status, 0) != p)
		return errno;
	return failed;
}
/* A new file that may be executed; path gets its name. */
static int program_in(const char *dir, const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s", dir, name);
	unlink(path);
	return open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
}
static int exec_copy(int c, char **v)
{
	char path[256];
	int fd, err;

	fd = program_in(v[2], "copy", path);
	if (fd < 0)
		return errno;
	err = copied(v[1], fd);
	close(fd);
	if (!err)
		err = exec_child(path, -1);
	unlink(path);
	return err;
}
static int exec_memfd(int c, char **v)
{
	int fd = memfd_create("x", 0), err;

	if (fd < 0)
		return errno;
	err = copied(v[1], fd);
	return err ? err : exec_child(NULL, fd);
}
/* A script that names an interpreter, which may be executed where the script may not. */
static int exec_script(int c, char **v)
{
	char path[256];
	int fd, err;

	fd = program_in(v[1], "script", path);
	if (fd < 0)
		return errno;
	err = dprintf(fd, "#!%s\n", v[2]) < 0 ? errno : 0;
	close(fd);
	if (!err)
		err = exec_child(path, -1);
	unlink(path);
	return err;
}
/* What a program gives back that worked; a file that is only mapped needs no right to be executed but that of the mapping. */
static int status_of(char **args)
{
	volatile int failed = 0;
	int status;
	pid_t p = vfork();

	if (p == 0) {
		execv(args[0], args);
		failed = errno;
		_exit(1);
	}
	if (p < 0)
		return errno;
	if (waitpid(p, &status, 0) != p)
		return errno;
	if (failed)
		return failed;
	if (WIFSIGNALED(status)) {
		note("died of signal %d", WTERMSIG(status));
		return ECHILD;
	}
	return WEXITSTATUS(status) == 127 ? ENOEXEC : WEXITSTATUS(status);
}
static int exec_loader(int c, char **v)
{
	char path[256], *args[] = {v[1], path, NULL};
	int fd, err;

	fd = program_in(v[3], "loaded", path);
	if (fd < 0)
		return errno;
	err = copied(v[2], fd);
	close(fd);
	if (!err)
		err = status_of(args);
	unlink(path);
	return err;
}
static int exec_status(int c, char **v) { return status_of((char *[]){v[1], NULL}); }
static int exec_path(int c, char **v) { return exec_child(v[1], -1); }

/* #67: the filter goes with a fork, a thread and an exec. */
static int namespace_try(int c, char **v) { return OUTCOME(syscall(SYS_unshare, CLONE_NEWUTS)); }
static int forked(int c, char **v) { return in_child(namespace_try, c, v); }
static void *thread_try(void *out)
{
	*(int *)out = namespace_try(0, NULL);
	return NULL;
}
static int threaded(int c, char **v)
{
	pthread_t t;
	int out = 0, err = pthread_create(&t, NULL, thread_try, &out);

	if (err) {
		note("pthread_create: %s", strerrorname_np(err));
		return EDEADLK; /* the profile promises threads: no expected answer */
	}
	pthread_join(t, NULL);
	return out;
}
/* #26 */
static int forks(int c, char **v)
{
	int i, err = 0, n = atoi(v[1]);
	pid_t p;

	signal(SIGTERM, SIG_DFL);

	for (i = 0; i < n; i++) {
		p = fork();
		if (p == 0) {
			pause();
			_exit(0);
		}
		if (p < 0) {
			err = errno;
			break;
		}
	}
	note("%d children", i);
	if (c > 2) /* for who counts from outside */
		usleep(atoi(v[2]) * 1000);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	return err;
}

/* Processes, each of which waits in vfork(2) for the next, by clone(2) with its flags. */
static int chain(int left, int *made)
{
	pid_t p = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);

	if (p == 0)
		_exit(++*made < left ? chain(left, made) : 0);
	if (p < 0)
		return errno;
	return 0;
}
static int vforks(int c, char **v)
{
	int *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), err = chain(atoi(v[1]), made);

	note("%d children", *made);
	return err ? err : *made < atoi(v[1]) ? EAGAIN : 0;
}
/* Threads that only wait, with the flags of Go's, or with others: those of the zygote's own, but on arm64, where they are Go's. */
#ifdef __aarch64__
enum { GO_THREADS = 0 };
#else
enum { GO_THREADS = CLONE_SETTLS };
#endif
static long waiting_thread(unsigned long flags)
{
	static char stack[4096] __attribute__((aligned(16))), tls[4096];
#ifdef __aarch64__
	register long x8 __asm__("x8") = SYS_clone, x0 __asm__("x0") = flags, x1 __asm__("x1") = (long)(stack + sizeof stack);
	register long x2 __asm__("x2") = 0, x3 __asm__("x3") = (long)(tls + 2048), x4 __asm__("x4") = 0;

	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n2:\tmov x0, xzr\n\tmov x1, xzr\n\tmov x2, xzr\n\tmov x3, xzr\n\tmov x8, %[ppoll]\n\tsvc #0\n\tb 2b\n1:"
			 : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [ppoll] "i"(SYS_ppoll) : "memory", "cc");
	return x0;
#else
	register long r10 __asm__("r10") = 0, r8 __asm__("r8") = (long)(tls + 2048);
	long r;

	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n2:\tmov $34,%%eax\n\tsyscall\n\tjmp 2b\n1:"
			 : "=a"(r) : "0"(SYS_clone), "D"(flags), "S"(stack + sizeof stack), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
#endif
}
static int threads(int c, char **v)
{
	unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | (v[0][0] == 't' ? GO_THREADS : GO_THREADS ^ CLONE_SETTLS);
	int i, n = atoi(v[1]);
	long r = 0;

	for (i = 0; i < n && (r = waiting_thread(flags)) >= 0; i++)
		;
	note("%d threads", i);
	if (c > 2)
		usleep(atoi(v[2]) * 1000);
	return r < 0 ? -r : 0;
}

/* #87: the calls that park an init, with its arguments and with others. */
static int park_setns(int c, char **v) { return OUTCOME(setns(atoi(v[1]), CLONE_NEWPID)); }
static int park_setns_own(int c, char **v)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY);

	return fd < 0 ? errno : OUTCOME(setns(fd, CLONE_NEWPID));
}
static int park_unshare(int c, char **v) { return OUTCOME(syscall(SYS_unshare, CLONE_NEWPID)); }
static int park_clone(int c, char **v)
{
	long r = waiting_thread(CLONE_VM | CLONE_NEWUTS | SIGCHLD | strtoul(v[1], NULL, 0));

	if (r > 0)
		kill(r, SIGKILL);
	return r < 0 ? -r : 0;
}
static int park_pidfd(int c, char **v) { return OUTCOME(syscall(SYS_pidfd_open, atoi(v[1]), 0)); }
static int park_wait(int c, char **v) { return syscall(SYS_wait4, -1, NULL, WNOHANG, NULL) == -1 && errno != ECHILD ? errno : 0; }

const struct attempt process_attempts[] = {
	{"ptrace", ptrace_}, {"traceme", traceme}, {"vm-read", vm_read}, {"vm-write", vm_write},
	{"pidfd-steal", pidfd_steal}, {"pidfd-signal", pidfd_signal}, {"nice-other", nice_other}, {"neighbour", neighbour},
	{"deadline", deadline}, {"affinity", affinity}, {"ioprio", ioprio}, {"mlockall", lock_all}, {"exec-script", exec_script},
	{"exec-loader", exec_loader}, {"exec-status", exec_status}, {"kcmp", kcmp_}, {"kill", kill_}, {"tgkill", tgkill_},
	{"sigqueue", sigqueue_}, {"kill-all", kill_all}, {"setown", setown}, {"self-mem", self_mem},
	{"setuid", setuid_}, {"setgid", setgid_}, {"setresuid", setresuid_}, {"setresgid", setresgid_},
	{"setreuid", setreuid_}, {"setfsuid", setfsuid_}, {"setgroups", setgroups_}, {"capset", capset_},
	{"ambient", ambient}, {"securebits", securebits}, {"keepcaps", keepcaps}, {"untie", untie}, {"ptracer", ptracer}, {"subreaper", subreaper}, {"dumpable", dumpable}, {"fifo", fifo}, {"nice", nice_},
	{"rlimit-raise", rlimit_raise}, {"rlimit-other", rlimit_other}, {"exec-copy", exec_copy},
	{"exec-memfd", exec_memfd}, {"exec-path", exec_path}, {"forked", forked}, {"threaded", threaded},
	{"forks", forks}, {"vforks", vforks}, {"threads", threads}, {"raw-threads", threads},
	{"park-setns", park_setns}, {"park-setns-own", park_setns_own}, {"park-unshare", park_unshare}, {"park-clone", park_clone},
	{"park-pidfd", park_pidfd}, {"park-wait", park_wait}, {NULL, NULL},
};
