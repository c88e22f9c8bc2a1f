// Package peers knows which system calls others allow, for comparing: facts about
// their lists, none of which casemate applies.
package peers

import (
	"slices"
	"strings"
)

// List is what somebody else allows on x86-64.
type List struct {
	// Name heads its column, Source says what it is and of which version.
	Name, Source string
	whole, some  []string
}

// Has tells whether the list has a call, and whether with some arguments alone.
func (l *List) Has(call string) (has, some bool) {
	_, whole := slices.BinarySearch(l.whole, call)
	some = slices.Contains(l.some, call)
	return whole || some, some
}

// Lists are the ones that the shipped profiles were reviewed against, from the narrowest to the widest.
var Lists = []*List{
	{
		Name: "openssh", Source: "the filter of OpenSSH's process before authentication (sandbox-seccomp-filter.c); newer versions ask for arguments of more calls",
		whole: strings.Fields(`
			brk clock_gettime clock_nanosleep close exit exit_group futex geteuid getpgid getpid getrandom gettimeofday getuid
			madvise mremap munmap nanosleep poll pselect6 read rt_sigprocmask select shutdown time write`),
		some: strings.Fields("mmap mprotect"),
	},
	{
		Name: "systemd", Source: "@system-service of systemd 252, with @default, which it always allows",
		whole: strings.Fields(`
			accept accept4 access add_key alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
			clock_nanosleep clone clone3 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
			epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve
			execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat
			fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex
			futex_waitv futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
			geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
			getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch
			inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
			io_uring_enter io_uring_register io_uring_setup ioctl ioprio_get ioprio_set kcmp keyctl kill lchown lgetxattr link
			linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise mbind membarrier memfd_create
			migrate_pages mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap move_pages mprotect mq_getsetattr mq_notify
			mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
			name_to_handle_at nanosleep newfstatat open openat openat2 pause personality pidfd_open pidfd_send_signal pipe
			pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise process_vm_readv process_vm_writev pselect6
			pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
			removexattr rename renameat renameat2 request_key restart_syscall rmdir rseq rt_sigaction rt_sigpending
			rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
			sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
			sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select semctl semget semop semtimedop
			sendfile sendmmsg sendmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area
			set_tid_address setfsgid setfsuid setgid setgroups setitimer setns setpgid setpriority setregid setresgid setresuid
			setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
			signalfd4 socket socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee
			tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
			timerfd_settime times tkill truncate umask uname unlink unlinkat unshare uretprobe userfaultfd utime utimensat
			utimes vfork vmsplice wait4 waitid write writev`),
	},
	{
		Name: "docker", Source: "the default profile of Docker 25 for a container without further capabilities",
		whole: strings.Fields(`
			accept accept4 access adjtimex alarm arch_prctl bind brk capget capset chdir chmod chown clock_adjtime clock_getres
			clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
			epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve
			execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchown
			fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex
			futex_waitv futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
			getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit
			getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
			inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get
			ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
			listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create memfd_secret mincore
			mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open
			mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
			name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
			pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
			process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom
			recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
			rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
			sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
			sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
			semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
			setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit
			setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
			splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
			timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
			tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev`),
		some: strings.Fields("socket personality clone"),
	},
}
