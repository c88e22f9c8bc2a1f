package escape

// The errors that answer for a whole family of attempts.
const (
	unseen   = "ENOENT|EACCES"               // not in the tree
	readonly = "EROFS|EACCES|EPERM"          // in the tree, but not to change
	shut     = "EPERM|ENOSYS|EACCES"         // the call itself
	nobodyIs = "ESRCH|EPERM|ENOSYS|EINVAL"   // no such process from in here
	apart    = "EXDEV|EROFS|EACCES|EPERM"    // two trees
	unreal   = "ENOENT|EPERM|EACCES|ENOTDIR" // no such thing from in here
)

// fileAttempts are about files, mounts and devices.
var fileAttempts = []attempt{
	{1, "open-read /etc/shadow", unseen, asRoot, ""},
	{1, "open-read {dir}/hidden", unseen, asNobody, ""},
	{1, "open-read {policy}", unseen, asRoot, ""},
	{1, "open-read {log}", unseen, asRoot, ""},
	{1, "list {dir}/..", "ENOENT|EACCES|ok", asNobody, ""}, // the folders on the way exist; what they hold is asked in TestTreeHoldsOnlyGrants
	{2, "create /new", readonly, asNobody, "create {dir}/write/new"},
	{2, "create /usr/new", readonly + "|ENOENT", asRoot, "create {dir}/read/new"},
	{2, "create /etc/new", readonly + "|ENOENT", asRoot, "create {dir}/read/new2"},
	{2, "create {dir}/new", readonly, asRoot, ""},
	{2, "open-write {victim}", readonly + "|ETXTBSY", asNobody, "open-write {dir}/read/f"},
	{2, "unlink {victim}", readonly + "|EBUSY", asNobody, "unlink {dir}/write/g"},
	{2, "unlink {dir}/read/f", readonly, asNobody, ""},
	{2, "mkdir {dir}/read/new", readonly, asNobody, ""},
	{2, "symlink /etc {dir}/read/link", readonly, asNobody, ""},
	{3, "truncate {dir}/read/f", readonly, asNobody, ""},
	{3, "open-trunc {dir}/read/f", readonly, asNobody, ""},
	{3, "open-write {dir}/read/f", readonly, asNobody, ""},
	{4, "rename {dir}/write/f {dir}/read/h", apart, asNobody, ""},
	{4, "link {dir}/read/f {dir}/write/h", apart, asNobody, ""},
	{4, "exchange {dir}/write/f {dir}/read/f", apart + "|ENOSYS", asNobody, ""},
	{4, "whiteout {dir}/write/f {dir}/write/w", "EPERM|ENOSYS|EACCES|EINVAL", asRoot, ""},
	{5, "chmod {dir}/read/f", readonly, asNobody, ""},
	{5, "chown {dir}/read/f", readonly, asNobody, ""},
	{5, "utime {dir}/read/f", readonly, asNobody, ""},
	{5, "setxattr {dir}/read/f", readonly + "|ENOSYS", asNobody, ""},
	{6, "suid {dir}/write", "EPERM|EACCES", asNobody, ""},
	{8, "mknod-chr {dir}/write/c", shut, asRoot, ""},
	{8, "mknod-blk {dir}/write/b", shut, asRoot, ""},
	{8, "open-device /dev/mem", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/kmsg", unseen, asRoot, ""},
	{8, "open-device /dev/kvm", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/fuse", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/vsock", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/userfaultfd", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/net/tun", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/vda", unseen, asRoot, "open-device /dev/null"},
	{8, "open-device /dev/tty", "ENOENT|EACCES|ENXIO", asRoot, "open-device /dev/null"},
	{9, "fds", "EBADF", asNobody, ""},
	{9, "proc-fds", "EBADF|ENOENT|EACCES", asNobody, ""},
	{10, "cwd", "ENOENT", uncontrolled, ""}, // outside it takes a lost root to see
	{10, "fchdir-escape", "EBADF|ENOTDIR|EPERM|EACCES", asNobody, ""},
	{10, "dirfd-escape", "EBADF|ENOTDIR|EPERM|EACCES", asNobody, ""},
	{11, "open-read /proc/{sleeper}/root/etc/passwd", unreal, asRoot, ""},
	{11, "open-read /proc/{sleeper}/cwd", unreal, asNobody, ""},
	{11, "open-read /proc/{sleeper}/fd/0", unreal, asNobody, ""},
	{11, "open-read /proc/1/root/etc/shadow", unreal, uncontrolled, ""}, // a host's first process may be out of reach even for root
	{12, "chroot", shut, asRoot, ""},
	{12, "pivot-root", shut, uncontrolled, ""}, // refuses a root that is no mount of its own
	{12, "mount-tmpfs {dir}/write", shut, asRoot, ""},
	{12, "mount-tmpfs {dir}/write 14", shut, asRoot, ""}, // nosuid,nodev,noexec: the launch's own flags
	{12, "mount-tmpfs {dir}/write 0x10000000e", shut + "|EINVAL", uncontrolled, ""},
	{12, "mount-proc {dir}/write 15", shut, asRoot, ""},
	{12, "mount-bind / {dir}/write", shut, asRoot, ""},
	{12, "remount /", shut, asRoot, ""},
	{12, "umount /proc", shut, asRoot, ""},
	{12, "umount /", shut, asRoot, ""},
	{12, "open-tree", shut, asRoot, ""},
	{12, "move-mount {dir}/write", shut, asRoot, ""},
	{12, "fsopen", shut, asRoot, ""},
	{12, "mount-setattr", shut, asRoot, ""},
	{13, "handle {dir}/read/f", shut + "|EOPNOTSUPP|EINVAL", asRoot, ""},
	{14, "through-link {dir}/write/l {dir}/read/f", "ELOOP", asNobody, ""},
	{16, "fill /tmp 131072", "ENOSPC", asNobody, "fill {dir}/write 4096"},
	{16, "inodes /tmp 20000", "ENOSPC", asNobody, "inodes {dir}/write 500"},
	{18, "core", "EPERM", asNobody, ""},
	{24, "open-write /proc/sys/kernel/core_pattern", readonly + "|ENOENT", asRoot, ""},
	{24, "open-write /proc/sysrq-trigger", readonly + "|ENOENT", uncontrolled, ""}, // not in every kernel
	{24, "open-write /sys/kernel/mm/transparent_hugepage/enabled", unseen, asRoot, ""},
	{24, "list /sys", unseen, asNobody, ""},
	{25, "mount-cgroup {dir}/write", shut, asRoot, ""},
	{25, "list /sys/fs/cgroup", unseen, asNobody, ""},
	{32, "setns self mnt", shut + "|ENOENT", asRoot, ""},
	{32, "setns self net", shut + "|ENOENT", asRoot, ""},
	{32, "setns-call", shut, asRoot, ""},
	{34, "exec-copy {victim} /tmp", shut, asNobody, "exec-copy {victim} {dir}/write"},
	{34, "exec-copy {victim} {dir}/write", shut, asNobody, ""},
	{34, "exec-memfd {victim}", shut, asNobody, ""},
	{34, "exec-script {dir}/write /bin/true", shut, asNobody, ""},
	{34, "exec-script /tmp /bin/true", shut, asNobody, "exec-script {dir}/write /bin/true"},
	{34, "exec-loader " + loader + " /bin/true /tmp", shut + "|ENOEXEC", asNobody, "exec-loader " + loader + " /bin/true {dir}/write"},
	{34, "exec-path {dir}/read/prog", shut, asNobody, ""},
}

// namespaces are the CLONE_NEW* flags of clone(2), for attempts 32 and 33.
var namespaces = map[string]string{
	"mnt": "0x20000", "cgroup": "0x2000000", "uts": "0x4000000", "ipc": "0x8000000",
	"user": "0x10000000", "pid": "0x20000000", "net": "0x40000000",
}

// namespaceAttempts tries each flag by each of the three calls.
func namespaceAttempts() []attempt {
	var out []attempt
	for _, flag := range namespaces {
		out = append(out,
			attempt{32, "unshare " + flag, shut, asRoot, ""},
			attempt{32, "clone " + flag, shut, asRoot, ""},
			attempt{33, "clone3 " + flag, "ENOSYS", asRoot, ""})
	}
	return append(out,
		attempt{32, "unshare 0x80", shut, asRoot, ""},                                    // a time namespace
		attempt{32, "clone 0x2c020000", shut, asRoot, ""},                                // the launch's own set of namespaces
		attempt{32, "clone 0x110000000", "EPERM|EINVAL|ENOSYS|EACCES", uncontrolled, ""}, // high bits: no flags to the kernel
		attempt{33, "clone3 0x200000000", "ENOSYS", uncontrolled, ""},                    // into a cgroup, of which there must be a descriptor
		attempt{33, "clone3 0", "ENOSYS", asNobody, ""})
}
