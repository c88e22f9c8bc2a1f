package learn

// Flags of open(2).
const (
	oWronly, oRdwr = 0o1, 0o2
	oCreat         = 0o100
	oTrunc         = 0o1000
	oDirectory     = 0o200000
	oPath          = 0o10000000
	oTmpfile       = 0o20000000
)

// Use is what a call does with the path that it names.
type Use string

// The uses of a path.
const (
	Look   Use = "look"   // its attributes, or into a link
	Read   Use = "read"   // its content
	Exec   Use = "exec"   // as a program or a library
	Write  Use = "write"  // of what is there
	Make   Use = "make"   // of a name in its directory: also to remove and to rename
	Listen Use = "listen" // a socket in its directory
)

// paths says where a call has its paths: the argument of the path, the one of the directory
// that it is relative to (-1 is the working directory), and what it does with it.
type paths struct {
	path, dir   int
	to, toDir   int // of a second path, 0 is none
	use         Use
	flags, mode int // arguments that have the flags and the mode of open(2), 0 is none
}

// access has every call that takes a path, by name.
var access = func() map[string]paths {
	m := map[string]paths{
		"open":     {path: 0, dir: -1, use: Read, flags: 1, mode: 2},
		"openat":   {path: 1, dir: 0, use: Read, flags: 2, mode: 3},
		"openat2":  {path: 1, dir: 0, use: Read},
		"creat":    {path: 0, dir: -1, use: Make},
		"execve":   {path: 0, dir: -1, use: Exec},
		"execveat": {path: 1, dir: 0, use: Exec},
		"rename":   {path: 0, dir: -1, to: 1, toDir: -1, use: Make},
		"renameat": {path: 1, dir: 0, to: 3, toDir: 2, use: Make},
		"linkat":   {path: 1, dir: 0, to: 3, toDir: 2, use: Make},
		"link":     {path: 0, dir: -1, to: 1, toDir: -1, use: Make},
		"symlink":  {path: 1, dir: -1, use: Make},
	}
	m["renameat2"] = m["renameat"]
	m["symlinkat"] = paths{path: 2, dir: 1, use: Make}
	for use, names := range map[Use][]string{
		Look:  {"stat", "lstat", "access", "readlink", "chdir", "chroot", "statfs", "getxattr", "lgetxattr", "listxattr", "llistxattr", "inotify_add_watch"},
		Write: {"truncate", "chmod", "chown", "lchown", "utime", "utimes", "setxattr", "lsetxattr", "removexattr", "lremovexattr"},
		Make:  {"mkdir", "rmdir", "unlink", "mknod"},
	} {
		for _, n := range names {
			m[n] = paths{path: 0, dir: -1, use: use}
		}
	}
	m["inotify_add_watch"] = paths{path: 1, dir: -1, use: Look}
	for use, names := range map[Use][]string{
		Look:  {"newfstatat", "statx", "faccessat", "faccessat2", "readlinkat"},
		Write: {"fchmodat", "fchmodat2", "fchownat", "futimesat", "utimensat"},
		Make:  {"mkdirat", "unlinkat", "mknodat"},
	} {
		for _, n := range names {
			m[n] = paths{path: 1, dir: 0, use: use}
		}
	}
	return m
}()

// PathAt says which argument of a call is a path, and which the descriptor of the
// directory it is relative to; -1 is the working directory. second is for the call's other path.
func PathAt(call string, second bool) (path, dir int, ok bool) {
	a, ok := access[call]
	if second {
		return a.to, a.toDir, ok && a.to > 0
	}
	return a.path, a.dir, ok
}

// Use is what the call of the fact does with its path.
func (f *Fact) Use() Use {
	switch f.Call {
	case "mmap", "mprotect":
		return Exec // recorded with a path when it maps one for execution alone
	case "bind":
		return Listen
	case "connect":
		return Write
	case "getdents", "getdents64":
		return Read // recorded with the path of their descriptor
	}
	a := access[f.Call]
	if a.flags == 0 {
		return a.use
	}
	flags := f.arg(uint(a.flags))
	switch {
	case flags&(oCreat|oTmpfile)&^oDirectory != 0:
		return Make
	case flags&(oDirectory|oPath) != 0:
		return Look // what lies in it is read by other calls
	case flags&(oWronly|oRdwr|oTrunc) != 0:
		return Write
	}
	return Read
}

// arg is the value of an argument that rules compare, 0 of another.
func (f *Fact) arg(index uint) uint32 {
	for _, a := range f.Args {
		if a.Index == index {
			return a.Value
		}
	}
	return 0
}
