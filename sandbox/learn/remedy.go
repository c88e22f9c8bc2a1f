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
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/launch"
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

// Remedy says what in a profile would grant what the fact was refused, or what else it
// was. What has a brace or an equals sign is HCL that can stand in the profile, with a condition as a comment.
func (c *Confines) Remedy(f *Fact) string {
	if (f.Killed || f.Err == syscall.EPERM || f.Err == syscall.ENOSYS || f.Err == syscall.EPROTONOSUPPORT) && !c.Allows(f) {
		return c.callRemedy(f)
	}
	switch f.Err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENXIO, syscall.ENODEV:
		return c.absent(f)
	case syscall.EROFS, syscall.EXDEV:
		return c.show(AttrWrite, changed(f))
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EADDRNOTAVAIL:
		return c.networkRemedy(f)
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EFBIG:
		return c.limited(f)
	case syscall.ENOSPC, syscall.EDQUOT:
		return c.full(f)
	case syscall.ENOSYS, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT:
		return "no attribute: the kernel does not have it"
	}
	return c.refused(f)
}

// limited is Remedy for what a limit on resources refused.
func (c *Confines) limited(f *Fact) string {
	switch {
	case f.Err == syscall.EMFILE && !strings.HasPrefix(f.Call, "inotify"): // of those a user has so many
		return c.raise(sandbox.OpenFiles)
	case f.Err == syscall.EFBIG:
		return c.raise(sandbox.FileSize)
	case strings.HasPrefix(f.Call, "mlock"):
		return c.raise(sandbox.Locked)
	case f.Err == syscall.EAGAIN:
		return c.raise(sandbox.Tasks, sandbox.Processes)
	case f.Err == syscall.ENOMEM:
		if remedy := c.raise(sandbox.AddressSpace, sandbox.Data); remedy != ownLimit {
			return remedy
		}
		return c.raise(sandbox.Memory) // of which the kernel's own is a part
	}
	return ownLimit
}

// full is Remedy for a file system without room.
func (c *Confines) full(f *Fact) string {
	own := under(f.Path, "/tmp") || under(f.Path, "/private") && !inState(f.Path) || under(f.Path, "/dev/shm") // one file system
	switch files := &c.Profile.Files; {
	case strings.HasPrefix(f.Call, "inotify"):
		return ownLimit // so many watches has a user
	case own && files.Shm > files.Tmp:
		return c.block("", "files", doubled("shm", files.Shm))
	case own, f.Path == "":
		return c.tmp()
	}
	return "no attribute: the host's file system is full"
}

// refused is Remedy for EACCES and EPERM of a call that the filter lets through.
func (c *Confines) refused(f *Fact) string {
	if (f.Call == "connect" || f.Call == "bind") && strings.HasPrefix(f.Addr, "inet") && !c.listed(f) {
		return c.networkRemedy(f)
	}
	if need := advise.Capability(f.Call); need != "" && !slices.Contains(c.Profile.Capabilities, need) && !under(f.Path, "/tmp") && !strings.HasPrefix(f.Addr, "unix") {
		if !slices.Contains(sandbox.Capabilities, need) {
			return "no attribute: the kernel asks for " + need + ", which no service gets"
		}
		return c.block("capabilities", "", fmt.Sprintf("capabilities = [%q] # if it has to be", need))
	}
	switch {
	case f.Path == "" && c.placed(f):
		return where(c.block("syscalls", "syscalls", `allow = ["execve"]`), advise.OwnPlaces)
	case f.Path == "":
		return "no attribute: the kernel allows it to a capability that no service gets, or to nobody"
	case c.Profile.Files.State && inState(f.Path):
		return "no attribute: what a state directory holds has its own mode, and is neither executed nor a link to follow"
	case f.Use() == Exec:
		return where(c.show(AttrExec, f.Host(f.Path)), "if the file's mode allows it")
	case changes(f.Use()):
		return where(c.show(AttrWrite, changed(f)), "if owner and mode allow it")
	case covered(c.Profile, f.Path):
		return "no attribute: its profile shows it, and the file's owner and mode on the host refuse it"
	}
	return where(c.show(AttrRead, f.Host(f.Path)), "if owner and mode allow it")
}

// placed tells whether a call was refused since a program that executes once may not say where
// below 4 GiB its memory lies.
func (c *Confines) placed(f *Fact) bool {
	rules, err := seccomp.Numbered(c.Rules)
	return err == nil && slices.Contains(advise.Places, f.Call) && c.Profile.Resources.Bounded() && launch.Once(rules)
}

// where adds a condition to what can be written.
func where(remedy, condition string) string {
	if strings.HasSuffix(remedy, "}") {
		return remedy + " # " + condition
	}
	return remedy
}

// absent is Remedy for what was not found.
func (c *Confines) absent(f *Fact) string {
	p := f.Host(f.Path)
	switch name := strings.TrimPrefix(f.Path, "/dev/"); {
	case f.Path == "":
		return "no attribute: what it asked for does not exist"
	case f.Path == "/dev/log":
		return c.block("files", "files", "log = true")
	case f.Path == "/dev/ptmx" || f.Path == "/dev/tty" || under(f.Path, "/dev/pts"):
		return c.block("files", "files", "pty = true")
	case under(f.Path, "/dev/shm"):
		return c.block("", "files", `shm = "16MiB"`)
	case name != f.Path && slices.Contains(nodes.Names, name):
		return c.block("", "files", fmt.Sprintf("dev = [%q]", name))
	case under(f.Path, "/proc") && !c.Profile.Files.Proc:
		return where(c.block("files", "files", "proc = true"), "if it is about its own processes")
	case p != "/tmp" && under(p, "/tmp") && c.Exists(p):
		return "no attribute: no profile shows what the host has in /tmp: put it elsewhere, as below /srv, or have the program make it"
	case under(f.Path, "/tmp") && c.Profile.Files.Tmp == 0:
		return c.tmp()
	case under(f.Path, "/tmp"), under(f.Path, "/proc"):
		return "nothing: its own " + "/" + strings.SplitN(f.Path, "/", 3)[1] + " has no such file"
	case f.Use() == Make || f.Use() == Listen:
		if c.Exists(path.Dir(p)) {
			return c.show(AttrWrite, path.Dir(p))
		}
		return Nowhere
	case !c.Exists(p):
		return Nowhere
	case f.Use() == Exec:
		return c.show(AttrExec, p)
	case f.Use() == Write:
		return c.show(AttrWrite, p)
	}
	return c.show(AttrRead, p)
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
func (c *Confines) callRemedy(f *Fact) string {
	switch word := SocketWord(f); {
	case word == "unix":
		return c.block("network", "network", `sockets = ["unix"]`)
	case word != "":
		return c.network(fmt.Sprintf("sockets = [%q]", word))
	}
	switch f.Call {
	case "connect", "bind", "listen":
		return c.filtered(f)
	}
	one := f.Rule()
	if _, ok := seccomp.Number(f.Call); !ok {
		return "no attribute: it is no call of this machine's"
	}
	if _, err := seccomp.Resolve([]string{f.Call}, nil); err != nil {
		return "no attribute: no service can have it"
	}
	if g := Group(one); g != "" {
		return c.calls(seccomp.GroupRules(g), fmt.Sprintf("allow = [%q]", g))
	}
	if len(f.Args) > 0 {
		one.Args = one.Args[:1]
		return c.calls([]seccomp.Rule{one}, fmt.Sprintf("rule %q {\n    arg = %d\n    values = [\"%#x\"]\n  }", f.Call, f.Args[0].Index, f.Args[0].Value))
	}
	return c.calls([]seccomp.Rule{one}, fmt.Sprintf("allow = [%q]", f.Call))
}

// calls is block for rules, with the network that they reach.
func (c *Confines) calls(rules []seccomp.Rule, attr string) string {
	lines := c.block("syscalls", "syscalls", attr)
	if strings.HasPrefix(attr, "rule") {
		lines = strings.Replace(c.block("syscalls", "syscalls", attr, ""), "\n  \n}", "\n}", 1)
	}
	switch mode := c.Profile.Network.Mode; {
	case mode == sandbox.NetworkPrivate && len(advise.Unlisted(rules)) == 0:
		return lines
	case mode == sandbox.NetworkHost && len(advise.Unlisted(rules)) > 0:
		return "no attribute alone: no list of ports holds such a socket"
	case mode == sandbox.NetworkHost, len(advise.Reach(rules)) == 0:
		return lines
	case len(advise.Reach(rules, "@socket-accept")) > 0:
		return "no attribute without the host's network: the socket that it is handed would reach that"
	case mode == sandbox.NetworkListener:
		return lines
	}
	own := *c.Profile
	own.Widens = append(slices.Clone(own.Widens), "network")
	return (&Confines{Profile: &own}).block("syscalls", "syscalls", attr) + "\n" + `network { mode = "listener" }`
}

// filtered is Remedy for a connect, bind or listen that the filter refuses, which does not
// see of which family the socket is.
func (c *Confines) filtered(f *Fact) string {
	kind, _, _ := strings.Cut(f.Addr, " ")
	switch host := c.Profile.Network.Mode == sandbox.NetworkHost; {
	case f.Call == "connect" && f.Path == "/dev/log":
		return c.block("files", "files", "log = true")
	case f.Call == "connect" && f.Path != "" && !c.Exists(f.Host(f.Path)):
		return Nowhere
	case kind != "netlink" && c.Profile.Network.Mode == sandbox.NetworkPrivate:
		return c.block("syscalls", "syscalls", fmt.Sprintf("allow = [%q]", f.Call))
	case kind == "netlink":
		return c.network(`sockets = ["netlink-route"]`)
	case kind != "unix" && (kind != "" || advise.Internet(c.Rules)):
		return c.networkRemedy(f)
	case host:
		return c.block("syscalls", "syscalls", fmt.Sprintf("allow = [%q]", f.Call))
	case f.Call == "connect":
		return "no attribute: casemate grants no connect to a unix socket but /dev/log without the host's network"
	}
	return ownSocket
}

// listed tells whether the profile lists the port of a connect or bind.
func (c *Confines) listed(f *Fact) bool {
	ports := map[string][]uint16{"connect": c.Profile.Network.Connect, "bind": c.Profile.Network.Bind}[f.Call]
	_, rest, _ := strings.Cut(f.Addr, " ")
	at, err := netip.ParseAddrPort(rest)
	return slices.Contains(ports, 0) || err == nil && at.Port() != 0 && slices.Contains(ports, at.Port())
}

// networkRemedy is Remedy for what the namespace does not reach.
func (c *Confines) networkRemedy(f *Fact) string {
	list := "connect"
	if f.Call == "bind" || f.Call == "listen" {
		list = "bind"
	}
	kind, rest, _ := strings.Cut(f.Addr, " ")
	at, err := netip.ParseAddrPort(rest)
	switch {
	case kind == "unix" && f.Path == "":
		return "no attribute: abstract unix sockets of others are out of reach"
	case kind == "unix", c.listed(f):
		return "nothing: nobody answers there"
	case kind == "" && !advise.Internet(c.Rules):
		return "no attribute is known: the address is not"
	case err == nil && at.Port() != 0:
		return c.network(fmt.Sprintf(`%s = ["%d"]`, list, at.Port()))
	}
	return c.network(list + ` = ["any"]`)
}

// ownSocket is the remedy of bind(2) and listen(2) on a unix socket: the filter cannot tell
// them from those on the socket that the program is handed, which reaches the host's network.
const ownSocket = "no attribute: casemate grants no unix server socket without the host's network: " +
	"run the program without it, or have casemate listen there"

// Ungranted gives what sessions were refused or did not find that no attribute grants: what they
// minded, or all of it where nothing says that they minded any.
func Ungranted(sessions []*Session, c *Confines) []Failure {
	var all, minded []Failure
	for _, s := range sessions {
		for _, f := range Tell(s, c) {
			if !strings.HasPrefix(f.Remedy, noAttribute) || f.Found != "" {
				continue
			}
			if all = append(all, f); f.Before != "" {
				minded = append(minded, f)
			}
		}
	}
	if len(minded) > 0 {
		return minded
	}
	return all
}

// noAttribute is how remedies begin that are none.
const noAttribute = "no attribute: "

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
