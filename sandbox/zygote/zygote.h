/* The wire between the broker (wire.go, kept equal by a test) and the zygote. */
#ifndef CASEMATE_ZYGOTE_H
#define CASEMATE_ZYGOTE_H

#include <stdint.h>
#include <sys/mount.h>

#define ZYGOTE_ARGV0 "casemate-zygote"

/* FD_PLAN begins with a page of marks (struct reply[MAX_WORKERS]), and then the plan. */
enum { FD_PLAN = 3, FD_CTL = 4, MARKS_SIZE = 4096 };
/* Descriptors from plan.high on: control socket, Landlock ruleset, program, own pid namespace, socket of /dev/log and, before that, of the relay,
 * a child's mount namespace, what wakes the maker. */
enum { FD_LANDLOCK = 1, FD_EXEC, FD_PIDNS, FD_LOG, FD_MNTNS, FD_WAKE, FD_COUNT };
enum { MAX_ARGS = 1024, MAX_ENV = 512, MAX_FDS = 68, MAX_GROUPS = 64, MAX_RLIMITS = 16, MAX_WORKERS = 4, MAX_SLOTS = 32 };

enum { STDIO_SOCKET, STDIO_ALL, STDIO_FDS, STDIO_RELAY };
enum { KEPT_CORE_SERVICE = 4, KEPT_CORE_SESSION = 8 };

/* clone(2) flags of a further worker; the filter, which comes later, allows it on arm64 where a profile has threads, as Go makes them. */
#define WORKER_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

/* clone(2) flags of an init. The uts namespace is there for the capability that it needs. */
#define INIT_FLAGS (CLONE_VM | CLONE_NEWUTS | SIGCHLD)

#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)
#define TMP_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define TMP_PATH "/private/tmp"
#define LOG_PATH TMP_PATH "/.log"
#define STATE_PATH "/private/state"
#define PTY_FLAGS (MS_NOSUID | MS_NOEXEC)
#define PTY_OPTIONS "newinstance,ptmxmode=0666,mode=0620,max=16"
/* tty, as Debian, Red Hat and systemd number it: login programs insist on that group and
 * could not set it themselves. A user namespace has no such group. */
#define PTY_GROUP ",gid=5"

/* In the order of Steps in wire.go. */
enum {
	STEP_NONE, STEP_SIGNALS, STEP_PDEATHSIG, STEP_PLAN, STEP_SETSID, STEP_CGROUP, STEP_NAMESPACES,
	STEP_MNTNS, STEP_FDS, STEP_CHDIR, STEP_RLIMIT, STEP_GROUPS, STEP_GID,
	STEP_BOUNDING, STEP_SECUREBITS, STEP_CAPS, STEP_NNP, STEP_VERIFY, STEP_SECCOMP, STEP_REQUEST, STEP_CLONE,
	STEP_PROC, STEP_TMP, STEP_STDIO, STEP_CLOSE, STEP_UID, STEP_LANDLOCK, STEP_SEAL, STEP_EXEC, STEP_INIT, STEP_USERNS,
	STEP_PTY, STEP_OOM, STEP_PERSONALITY, STEP_GATE, STEP_LOG, STEP_NICE, STEP_STATE, STEP_PROCESSOR,
	STEP_RELAY, STEP_LOOPBACK
};

/*
 * The page of the gate (call.h), and the address behind the system call in it, Gate of sandbox/seccomp: the filter lets
 * nothing be executed from elsewhere, and a service can have no executable memory there.
 */
#ifdef __aarch64__
enum { GATE_PAGE = 0x8000 };
#else
enum { GATE_PAGE = 0x100000 };
#endif
enum { GATE = GATE_PAGE + 8, GATE_SIZE = 4096 };

struct plan {
	uint32_t size;
	int32_t fd_mnt, fd_cgroup, fd_landlock, fd_exec;
	uint32_t namespaces; /* unshare(2) flags: empty ones, for the sessions that this process starts */
	uint32_t high; /* first descriptor number above the service's RLIMIT_NOFILE */
	uint32_t clone_flags, stdio, umask;
	uint8_t workers; /* threads that take requests, 1 to MAX_WORKERS */
	uint8_t keeps; /* 1: a slot keeps its /tmp where no session has touched that */
	uint16_t slots; /* mount namespaces that are made ahead at most; 0: none, and no maker */
	int32_t nice; /* 0: as the broker's */
	uint32_t uid, gid, ngroups;
	/* 1 for yes: */
	uint8_t dynamic;    /* uid and gid come with each request */
	uint8_t proc;	    /* mount a /proc of its own */
	uint8_t tmp;	    /* mount a private /tmp */
	uint8_t pty;	    /* mount a /dev/pts of its own */
	uint8_t init;	    /* a parked init is PID 1 and the service PID 2 */
	uint8_t leave;	    /* the session may outlive the broker (on_stop = "leave") */
	uint8_t chdir_late; /* the working directory lies in /tmp */
	uint8_t userns;	    /* a user namespace around everything, mapped by the broker */
	uint8_t outputs;    /* so many descriptors of each request after the sockets become 2, and 1 */
	uint8_t log;	    /* the next one is bound to LOG_PATH, where /dev/log leads */
	uint8_t state;	    /* the last one is a mount, which goes to STATE_PATH */
	uint8_t listen;	    /* what the filter denies with EPERM waits for an answer instead: REPLY_READY brings its listener */
	uint64_t caps;	      /* kept by the service */
	uint64_t zygote_caps; /* kept by the zygote */
	uint64_t kept; /* 1 << PR_SPEC_* of the speculations to go without, and KEPT_* */
	uint64_t rlimits[MAX_RLIMITS]; /* soft and hard */
	uint32_t groups[MAX_GROUPS];
	uint32_t path_off, dir_off, tmp_off; /* NUL-terminated, from the start of the plan */
	uint32_t argv_off, argv_len, env_off, env_len;
	uint32_t filter_off, filter_len, seal_off, seal_len; /* bytes of struct sock_filter[] */
	uint32_t oom_off; /* what goes into oom_score_adj, as text */
};

struct request {
	uint64_t id;
	uint32_t uid, gid, nfds, env_len;
	char env[32 * 1024]; /* NUL-terminated strings */
};
#define REQUEST_HEAD 24

/* reply.id values that answer no request */
#define REPLY_READY 0ull
#define REPLY_MAP (~0ull)

/* Also the mark of what a thread is starting: its process, and the step that it is at or has failed. */
struct reply {
	uint64_t id;
	int32_t pid;
	uint32_t step;
	int32_t err, init; /* init: process 1 of its namespace, where that is one of ours */
};

/* CAP_CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
 * NET_ADMIN, SYS_CHROOT, SYS_ADMIN, SYS_RESOURCE, AUDIT_READ: kept equal with BrokerCaps by a test. */
#define BROKER_CAPS \
	(1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 8 | 1ull << 10 | 1ull << 12 | \
	 1ull << 18 | 1ull << 21 | 1ull << 24 | 1ull << 37)
/* Those that zygotes need and the broker does not: no thread of its may use them. */
#define LATENT_CAPS (1ull << 12)

void casemate_cut_broker(void);
void casemate_quiet_children(void);
long casemate_rests(int user);
long casemate_spawn(const int32_t *from, unsigned n);

#endif
