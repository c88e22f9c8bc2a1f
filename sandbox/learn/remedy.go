package learn

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"syscall"

	"casemate/sandbox"
	"casemate/sandbox/rootfs/nodes"
	"casemate/sandbox/seccomp"
)

// Nowhere is the remedy of what the host does not have: none.
const Nowhere = "not on this host either"

// Confines is what a failure is held against: the profile that was in force and what
// can be asked about the host.
type Confines struct {
	Profile *sandbox.Profile
	Rules   []seccomp.Rule // what its filter allows, normalized
	// Exists tells whether a path is there on the host.
	Exists func(path string) bool
}

// Allows tells whether the filter lets the call of a fact through.
func (c *Confines) Allows(f *Fact) bool { return seccomp.Cover(c.Rules, f.Rule()) }

// Telling are the errors that say of what a sandbox may be the cause. The others are
// everyday answers.
var telling = []syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSYS,
	syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.ENXIO, syscall.ENODEV, syscall.EXDEV}

// Tells tells whether a sandbox may be the cause of how the call ended.
func (f *Fact) Tells() bool {
	forked := f.Err == syscall.EAGAIN && slices.Contains([]string{"clone", "clone3", "fork", "vfork"}, f.Call)
	return f.Killed || forked || slices.Contains(telling, f.Err)
}

// capabilityOf names the capability that a call needs which the filter lets through.
var capabilityOf = map[string]string{
	"setuid": "CAP_SETUID", "setreuid": "CAP_SETUID", "setresuid": "CAP_SETUID", "setfsuid": "CAP_SETUID",
	"setgid": "CAP_SETGID", "setregid": "CAP_SETGID", "setresgid": "CAP_SETGID", "setgroups": "CAP_SETGID", "setfsgid": "CAP_SETGID",
	"chroot": "CAP_SYS_CHROOT", "kill": "CAP_KILL", "bind": "CAP_NET_BIND_SERVICE",
	"chown": "CAP_CHOWN", "fchown": "CAP_CHOWN", "lchown": "CAP_CHOWN", "fchownat": "CAP_CHOWN",
	"chmod": "CAP_FOWNER", "fchmod": "CAP_FOWNER", "fchmodat": "CAP_FOWNER", "utimensat": "CAP_FOWNER",
}

// Remedy says what in a profile would grant what the fact was refused, or what else it was.
func (c *Confines) Remedy(f *Fact) string {
	if (f.Killed || f.Err == syscall.EPERM || f.Err == syscall.ENOSYS || f.Err == syscall.EPROTONOSUPPORT) && !c.Allows(f) {
		return callRemedy(f)
	}
	switch f.Err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENXIO, syscall.ENODEV:
		return c.absent(f)
	case syscall.EROFS, syscall.EXDEV:
		return fmt.Sprintf("files { write = [%q] }", changed(f))
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EADDRNOTAVAIL:
		return networkRemedy(f)
	case syscall.EMFILE, syscall.ENFILE:
		return "resources { open_files }"
	case syscall.ENOMEM:
		return "resources { address_space, data or memory }"
	case syscall.EAGAIN:
		return "resources { tasks }"
	case syscall.EFBIG:
		return "resources { file_size }"
	case syscall.ENOSPC, syscall.EDQUOT:
		if under(f.Path, "/tmp") || f.Path == "" {
			return "files { tmp }"
		}
		return "the host's file system is full"
	case syscall.ENOSYS, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT:
		return "the kernel does not have it"
	}
	return c.refused(f)
}

// refused is Remedy for EACCES and EPERM of a call that the filter lets through.
func (c *Confines) refused(f *Fact) string {
	if need := capabilityOf[f.Call]; need != "" && !slices.Contains(c.Profile.Capabilities, need) && !under(f.Path, "/tmp") {
		return fmt.Sprintf("capabilities = [%q], if it has to be", need)
	}
	switch {
	case f.Path == "":
		return "no attribute: the kernel allows it to a capability that no service gets, or to nobody"
	case f.Call == "connect":
		return networkRemedy(f)
	case f.Use() == Exec:
		return fmt.Sprintf("files { exec = [%q] }, if the file's mode allows it", f.Host(f.Path))
	case f.Use() == Write, f.Use() == Make, f.Use() == Listen:
		return fmt.Sprintf("files { write = [%q] }, if owner and mode allow it", changed(f))
	case covered(c.Profile, f.Path):
		return "the owner and the mode that the file has on the host: its profile shows it"
	}
	return fmt.Sprintf("files { read = [%q] }, if owner and mode allow it", f.Host(f.Path))
}

// absent is Remedy for what was not found.
func (c *Confines) absent(f *Fact) string {
	p := f.Host(f.Path)
	switch name := strings.TrimPrefix(f.Path, "/dev/"); {
	case f.Path == "":
		return "no attribute: what it asked for does not exist"
	case f.Path == "/dev/log":
		return "files { log = true }"
	case f.Path == "/dev/ptmx" || f.Path == "/dev/tty" || under(f.Path, "/dev/pts"):
		return "files { pty = true }"
	case under(f.Path, "/dev/shm"):
		return `files { shm = "16MiB" }`
	case name != f.Path && slices.Contains(nodes.Names, name):
		return fmt.Sprintf("files { dev = [%q] }", name)
	case under(f.Path, "/proc") && !c.Profile.Files.Proc:
		return "files { proc = true }, if it is about its own processes"
	case under(f.Path, "/tmp") && c.Profile.Files.Tmp == 0:
		return `files { tmp = "16MiB" }`
	case f.Use() == Make || f.Use() == Listen:
		if c.Exists(path.Dir(p)) {
			return fmt.Sprintf("files { write = [%q] }", path.Dir(p))
		}
		return Nowhere
	case under(f.Path, "/tmp"), under(f.Path, "/proc"):
		return "nothing: its own " + "/" + strings.SplitN(f.Path, "/", 3)[1] + " has no such file"
	case !c.Exists(p):
		return Nowhere
	case f.Use() == Exec:
		return fmt.Sprintf("files { exec = [%q] }", p)
	case f.Use() == Write:
		return fmt.Sprintf("files { write = [%q] }", p)
	}
	return fmt.Sprintf("files { read = [%q] }", p)
}

// changed is the path that has to be writable for a call: the directory of what is made.
func changed(f *Fact) string {
	p := f.Host(f.Path)
	if f.Use() == Make || f.Use() == Listen {
		return path.Dir(p)
	}
	return p
}

// callRemedy is Remedy for what the filter refuses.
func callRemedy(f *Fact) string {
	if word := SocketWord(f); word != "" {
		if word == "unix" {
			return `network { sockets = ["unix"] }`
		}
		return fmt.Sprintf(`network { mode = "host"  sockets = [%q] }`, word)
	}
	switch f.Call {
	case "connect", "bind", "listen", "accept", "accept4":
		return networkRemedy(f)
	}
	if g := Group(f.Rule()); g != "" {
		return fmt.Sprintf("syscalls { allow = [%q] }", g)
	}
	if _, ok := seccomp.Number(f.Call); !ok {
		return "no attribute: it is no call of this machine's"
	}
	if _, err := seccomp.Resolve([]string{f.Call}, nil); err != nil {
		return "no attribute: no service can have it"
	}
	if len(f.Args) > 0 {
		return fmt.Sprintf("syscalls { rule %q { arg = %d  values = [%#x] } }", f.Call, f.Args[0].Index, f.Args[0].Value)
	}
	return fmt.Sprintf("syscalls { allow = [%q] }", f.Call)
}

// networkRemedy is Remedy for what the namespace does not reach.
func networkRemedy(f *Fact) string {
	list := map[string]string{"bind": "bind", "listen": "bind"}[f.Call]
	if list == "" {
		list = "connect"
	}
	kind, rest, _ := strings.Cut(f.Addr, " ")
	if kind == "unix" {
		if f.Path != "" {
			return fmt.Sprintf("files { write = [%q] } with network { sockets = [\"unix\"] }", f.Host(f.Path))
		}
		return "no attribute: abstract unix sockets of others are out of reach"
	}
	if at, err := netip.ParseAddrPort(rest); err == nil {
		return fmt.Sprintf(`network { mode = "host"  %s = ["%d"] }`, list, at.Port())
	}
	return `network { mode = "host" }`
}

// SocketWord is the word of network { sockets } for a call that makes a socket, "" of others.
func SocketWord(f *Fact) string {
	if f.Call != "socket" {
		return ""
	}
	switch family, kind := f.arg(0), f.arg(1)&0xf; {
	case family == syscall.AF_UNIX:
		return "unix"
	case (family == syscall.AF_INET || family == syscall.AF_INET6) && kind == syscall.SOCK_STREAM:
		return "tcp"
	case (family == syscall.AF_INET || family == syscall.AF_INET6) && kind == syscall.SOCK_DGRAM:
		return "udp"
	case family == syscall.AF_NETLINK && f.arg(2) == 0:
		return "netlink-route"
	}
	return ""
}

// Group is the group with the fewest rules that allows a call, "" where none does. The
// lists of the shipped profiles are no answer: they are made of the others.
func Group(r seccomp.Rule) string {
	best := ""
	for _, g := range Leaves() {
		rules := seccomp.GroupRules(g)
		if seccomp.Cover(rules, r) && (best == "" || len(rules) < len(seccomp.GroupRules(best))) {
			best = g
		}
	}
	return best
}

// whole are the groups that are lists of profiles.
var whole = []string{"@strict", "@line", "@files", "@server", "@login", "@builtin"}

// Leaves are the groups that say what a program does, not which profile it has.
func Leaves() []string {
	return slices.DeleteFunc(seccomp.Groups(), func(g string) bool { return slices.Contains(whole, g) })
}

// under tells whether a path is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// covered tells whether a profile shows a path.
func covered(p *sandbox.Profile, at string) bool {
	for _, list := range p.Files.Paths {
		if slices.ContainsFunc(list, func(dir string) bool { return under(at, dir) }) {
			return true
		}
	}
	return false
}
