/* Attempts on the kernel's own interfaces: #42-#48, #64, #66. Those that would
 * harm a host if they worked are asked with arguments that cannot work: then
 * only EPERM and ENOSYS say that the call itself is shut. */
#include "victim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>

/* A call that fails for another reason than being shut is open. */
static int shut(long r)
{
	return r == -1 && (errno == EPERM || errno == ENOSYS || errno == EACCES) ? errno : 0;
}

static int add_key(int c, char **v) { return shut(syscall(SYS_add_key, "user", "casemate", "x", 1, -2)); }
static int request_key(int c, char **v) { return shut(syscall(SYS_request_key, "user", "casemate", NULL, 0)); }
static int keyctl_(int c, char **v) { return shut(syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 0)); }

/* #43: typing into somebody's terminal; fd 0 is none, so ENOTTY says "let through". */
static int tiocsti(int c, char **v) { return shut(syscall(SYS_ioctl, 0, 0x5412UL, "x")); }
static int tiocsti_high(int c, char **v) { return shut(syscall(SYS_ioctl, 0, (1UL << 32) | 0x5412UL, "x")); }
static int tioclinux(int c, char **v) { return shut(syscall(SYS_ioctl, 0, 0x541cUL, "x")); }
static int tiocsetd(int c, char **v) { return shut(syscall(SYS_ioctl, 0, 0x5423UL, "x")); }

static int uring_setup(int c, char **v)
{
	char params[120] = {0};

	return shut(syscall(425, 1, params));
}
static int uring_enter(int c, char **v) { return shut(syscall(426, -1, 0, 0, 0, 0, 0)); }
static int uring_register(int c, char **v) { return shut(syscall(427, -1, 0, 0, 0)); }

static int bpf_(int c, char **v)
{
	uint32_t attr[18] = {2 /* ARRAY */, 4, 4, 1};

	return shut(syscall(SYS_bpf, 0, attr, sizeof attr));
}
static int perf(int c, char **v)
{
	uint64_t attr[14] = {1 /* SOFTWARE */ | (uint64_t)112 << 32, 0};

	return shut(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}
static int userfault(int c, char **v) { return shut(syscall(SYS_userfaultfd, 0)); }
static int fanotify(int c, char **v) { return shut(syscall(SYS_fanotify_init, 0, 0)); }
static int name_to_handle(int c, char **v) { return shut(syscall(SYS_name_to_handle_at, -1, NULL, NULL, NULL, 0)); }
static int open_by_handle(int c, char **v) { return shut(syscall(SYS_open_by_handle_at, -1, NULL, 0)); }
static int syslog_(int c, char **v) { return shut(syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0)); }
static int lsm_attr(int c, char **v) { return shut(syscall(460, 100, NULL, 0, 0)); }
/* The rest gets arguments that the kernel refuses before it does anything. */
static int kexec_load(int c, char **v) { return shut(syscall(SYS_kexec_load, 0, 1000, NULL, 0xffffffff)); }
static int kexec_file(int c, char **v) { return shut(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0xffffffff)); }
static int init_module_(int c, char **v) { return shut(syscall(SYS_init_module, NULL, 0, NULL)); }
static int finit_module_(int c, char **v) { return shut(syscall(SYS_finit_module, -1, "", 0)); }
static int delete_module_(int c, char **v) { return shut(syscall(SYS_delete_module, NULL, 0)); }
static int acct_(int c, char **v) { return shut(syscall(SYS_acct, (char *)1)); }
static int swapon_(int c, char **v) { return shut(syscall(SYS_swapon, (char *)1, 0)); }
static int reboot_(int c, char **v) { return shut(syscall(SYS_reboot, 0, 0, 0, NULL)); } /* wrong magic */
static int quotactl_(int c, char **v) { return shut(syscall(SYS_quotactl, 0xffffffff, NULL, 0, NULL)); }
static int settime(int c, char **v) { return shut(syscall(SYS_settimeofday, (void *)1, NULL)); }
static int clock_set(int c, char **v) { return shut(syscall(SYS_clock_settime, 0, (void *)1)); }
static int adjtime_(int c, char **v) { return shut(syscall(SYS_adjtimex, (void *)1)); }
static int clock_adj(int c, char **v) { return shut(syscall(SYS_clock_adjtime, 0, (void *)1)); }
static int hostname(int c, char **v) { return OUTCOME(sethostname(v[1], strlen(v[1]))); }
static int domainname(int c, char **v) { return OUTCOME(setdomainname(v[1], strlen(v[1]))); }
static int tsc(int c, char **v) { return OUTCOME(prctl(PR_SET_TSC, PR_TSC_ENABLE)); }
static int speculation(int c, char **v) { return OUTCOME(prctl(PR_GET_SPECULATION_CTRL, 0, 0, 0, 0)); }
#ifdef __x86_64__
static int ldt(int c, char **v)
{
	uint32_t d[4] = {0, 0, 0, 0x28};

	return shut(syscall(SYS_modify_ldt, 1, d, sizeof d));
}
static int set_gs(int c, char **v) { return OUTCOME(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, 0)); }
static int iopl_(int c, char **v) { return shut(syscall(SYS_iopl, 3)); }
static int ioperm_(int c, char **v) { return shut(syscall(SYS_ioperm, 0x80, 1, 1)); }

/* #47: the 32-bit entry. */
static int int80(int c, char **v)
{
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "0"(20) : "r8", "r9", "r10", "r11", "memory");
	note("int 0x80 getpid: %d", r);
	return r < 0 ? -r : 0;
}
/* #48: the x32 numbers. */
static int x32(int c, char **v) { return shut(syscall(0x40000000L | SYS_getpid)); }
#define HERE {"set-gs", set_gs}, {"modify-ldt", ldt}, {"iopl", iopl_}, {"ioperm", ioperm_}, {"int80", int80}, {"x32", x32},
#define ENDS(nr) ((nr) == SYS_fork || (nr) == SYS_vfork || (nr) == SYS_pause)
#else
#define HERE
#define ENDS(nr) 0
#endif

/* #46: every number with arguments that mean nothing, in children with a
 * deadline. The note lists those that are not shut. */
static int sweep_within(long nr, struct timeval most)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct itimerval t = {.it_value = most};

		signal(SIGALRM, SIG_DFL);
		setitimer(ITIMER_REAL, &t, NULL);
		syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
		_exit(errno == EPERM || errno == ENOSYS ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return -2;
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
/* A call that is shut waits for who names it, and a slow host takes its time: what is late is open only if it is late again. */
static int sweep_one(long nr)
{
	int open = sweep_within(nr, (struct timeval){.tv_usec = 20000});

	if (open == -2)
		open = sweep_within(nr, (struct timeval){.tv_sec = 3});
	return open == -2 ? 1 : open;
}
static int sweep(int c, char **v)
{
	long nr, last = atol(v[1]);
	int open;

	for (nr = -1; nr <= last; nr++) {
		/* Those that would end or stop the child before it can tell. */
		if (nr == SYS_exit || nr == SYS_exit_group || ENDS(nr) || nr == SYS_clone ||
		    nr == SYS_rt_sigreturn || nr == SYS_kill || nr == SYS_shutdown)
			continue;
		open = sweep_one(nr);
		if (open < 0)
			return EDEADLK;
		if (open)
			note("open %ld", nr);
	}
	return 0;
}

const struct attempt kernel_attempts[] = {
	{"add-key", add_key}, {"request-key", request_key}, {"keyctl", keyctl_}, {"tiocsti", tiocsti},
	{"tiocsti-high", tiocsti_high}, {"tioclinux", tioclinux}, {"tiocsetd", tiocsetd},
	{"uring-setup", uring_setup}, {"uring-enter", uring_enter}, {"uring-register", uring_register},
	{"bpf", bpf_}, {"tsc", tsc}, {"speculation", speculation}, {"perf", perf}, {"userfaultfd", userfault}, {"fanotify", fanotify},
	{"name-to-handle", name_to_handle}, {"open-by-handle", open_by_handle}, {"syslog", syslog_},
	{"lsm-attr", lsm_attr}, {"kexec-load", kexec_load}, {"kexec-file", kexec_file},
	{"init-module", init_module_}, {"finit-module", finit_module_}, {"delete-module", delete_module_},
	{"acct", acct_}, {"swapon", swapon_}, {"reboot", reboot_}, {"quotactl", quotactl_}, {"settimeofday", settime},
	{"clock-settime", clock_set}, {"adjtimex", adjtime_}, {"clock-adjtime", clock_adj},
	{"sethostname", hostname}, {"setdomainname", domainname}, HERE {"sweep", sweep}, {NULL, NULL},
};
