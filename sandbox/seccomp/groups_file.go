package seccomp

// Flags of open(2) and bits of a file mode.
const (
	oCreat   = 0o100
	oTrunc   = 0o1000
	oTmpfile = 0o20000000 // __O_TMPFILE

	sSuidSgid = 0o6000
	sIFMT     = 0o170000
	sIFIFO    = 0o010000
	sIFREG    = 0o100000
	sIFSOCK   = 0o140000
)

// Commands of fcntl(2) and requests of ioctl(2) (asm-generic/fcntl.h, ioctls.h).
const (
	fDupfd, fGetfd, fSetfd, fGetfl, fSetfl = 0, 1, 2, 3, 4
	fGetlk, fSetlk, fSetlkw                = 5, 6, 7
	fOfdGetlk, fOfdSetlk, fOfdSetlkw       = 36, 37, 38
	fDupfdQuery, fDupfdCloexec             = 1027, 1030
	fSetpipeSz, fGetpipeSz                 = 1031, 1032
	fAddSeals, fGetSeals                   = 1033, 1034

	tcGets, tcSets, tcSetsw, tcSetsf = 0x5401, 0x5402, 0x5403, 0x5404
	tcSbrk, tcXonc, tcFlsh           = 0x5409, 0x540a, 0x540b
	tiocSctty, tiocGpgrp, tiocSpgrp  = 0x540e, 0x540f, 0x5410
	tiocOutq, tiocGwinsz, tiocSwinsz = 0x5411, 0x5413, 0x5414
	fionread, fionbio                = 0x541b, 0x5421
	tiocNotty, tiocGsid              = 0x5422, 0x5429
	tcGets2, tcSets2                 = 0x802c542a, 0x402c542b
	tcSetsw2, tcSetsf2               = 0x402c542c, 0x402c542d
	tiocGptn, tiocSptlck             = 0x80045430, 0x40045431
	tiocGptpeer, tiocPkt             = 0x5441, 0x5420
	fionclex, fioclex                = 0x5450, 0x5451
	fiClone, fiCloneRange            = 0x40049409, 0x4020940d
	fsIocFiemap, fsIocGetflags       = 0xc020660b, 0x80086601
)

// openThere opens what is there, makes nothing and empties nothing. Programs open
// /dev/null for reading and writing, and a filter sees no path: what may be written
// the mounts and Landlock decide.
var openThere = append(
	without("openat", 2, oCreat|oTrunc|oTmpfile),
	without("open", 1, oCreat|oTrunc|oTmpfile)...)

// noSetID is a mode without set-user-id and set-group-id at an argument.
func noSetID(name string, index uint) []Rule { return without(name, index, sSuidSgid) }

// node makes fifos, files and sockets with mknod(2), no device and no set-id bit.
func node(name string, index uint) []Rule {
	var out []Rule
	for _, kind := range []uint32{0, sIFIFO, sIFREG, sIFSOCK} {
		out = append(out, all(name, Arg{Index: index, Mask: sIFMT | sSuidSgid, Value: kind})...)
	}
	return out
}

var fileGroups = map[string]group{
	"@stdio": {
		doc: "reading, writing and waiting on descriptors it has",
		calls: []string{
			"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
			"close", "lseek", "dup", "dup2", "dup3", "fstat", "pipe", "pipe2",
			"poll", "ppoll", "select", "pselect6",
			"sendfile", // read and write in one
		},
		rules: [][]Rule{
			is("fcntl", 1, fDupfd, fGetfd, fSetfd, fGetfl, fSetfl, fDupfdQuery, fDupfdCloexec, fSetpipeSz, fGetpipeSz),
			// isatty(3), and the ioctl forms of fcntl. FIONREAD is SIOCINQ too; no other request of a socket is here.
			is("ioctl", 1, tcGets, tcGets2, tiocGwinsz, fionread, fionbio, fioclex, fionclex),
		},
	},
	"@dir": {
		doc: "listing directories and moving among them",
		calls: []string{
			"getdents", "getdents64", "getcwd", "chdir", "fchdir", "statfs", "fstatfs",
		},
	},
	"@file-read": {
		doc:      "opening files that are there, their attributes and locks",
		includes: []string{"@dir"},
		calls: []string{
			"stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
			"readlink", "readlinkat", "fadvise64", "readahead", "flock",
			"getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
		},
		rules: [][]Rule{
			openThere, // openat2 has its flags behind a pointer and answers ENOSYS
			is("fcntl", 1, fGetlk, fSetlk, fSetlkw, fOfdGetlk, fOfdSetlk, fOfdSetlkw, fGetSeals),
		},
	},
	"@file-write": {
		doc:      "making, changing and removing files; no device, no set-id bit",
		includes: []string{"@file-read"},
		calls: []string{
			"ftruncate", "truncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "msync",
			"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "link", "linkat", "symlink", "symlinkat",
			"utime", "utimes", "futimesat", "utimensat", "copy_file_range",
		},
		rules: [][]Rule{
			// The mode counts only when a file may be made.
			without("openat", 2, oCreat|oTmpfile), noSetID("openat", 3),
			without("open", 1, oCreat|oTmpfile), noSetID("open", 2),
			noSetID("creat", 1), noSetID("chmod", 1), noSetID("fchmod", 1), noSetID("fchmodat", 2), noSetID("fchmodat2", 2),
			is("ioctl", 1, fiClone, fiCloneRange, fsIocFiemap, fsIocGetflags), // cp(1) and its like ask for them first
			node("mknod", 1), node("mknodat", 2),
			is("renameat2", 4, 0, 1), // plain and RENAME_NOREPLACE; neither EXCHANGE nor WHITEOUT
		},
	},
	"@file-attr": {
		doc: "owners and extended attributes: with no capability only what the owner of a file may do",
		calls: []string{
			"chown", "fchown", "lchown", "fchownat",
			"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
		},
	},
	"@watch": {
		doc:   "inotify. What it watches is kernel memory, counted by user over the whole host",
		calls: []string{"inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"},
	},
	"@memfd": {
		doc:   "files in memory. A program that may also map executable pages can run what it writes there",
		calls: []string{"memfd_create", "ftruncate"},
		rules: [][]Rule{is("fcntl", 1, fAddSeals, fGetSeals)},
	},
	"@tty": {
		doc: "modes and job control of a terminal; not TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS",
		rules: [][]Rule{
			is("ioctl", 1, tcGets, tcGets2, tcSets, tcSetsw, tcSetsf, tcSets2, tcSetsw2, tcSetsf2, tcSbrk, tcXonc, tcFlsh,
				tiocGpgrp, tiocSpgrp, tiocGsid, tiocGwinsz, tiocSwinsz, tiocOutq, tiocNotty),
		},
	},
	"@pty": {
		doc:      "making a pseudo-terminal and giving it to a session",
		includes: []string{"@tty"},
		calls:    []string{"setsid"},
		rules: [][]Rule{
			openThere, // /dev/ptmx, for reading and writing
			is("ioctl", 1, tiocGptn, tiocSptlck, tiocGptpeer, tiocSctty, tiocPkt),
		},
	},
}
