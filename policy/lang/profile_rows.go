package lang

import (
	"casemate/policy/granted"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/rootfs/nodes"
	"casemate/sandbox/seccomp"
)

// baseRow is read before all others, for they change what the base has.
var baseRow = Attribute{Name: "base", Example: "profile.line", Doc: "absent: profile.strict; see casemate profiles"}

// widensRow is read first of the others, for they say what it must hold.
var widensRow = Attribute{Name: "widens", Example: `["capabilities", "files", "network", "syscalls"]`, Words: valid.Widenable, Doc: "layers in which it grants more than its base"}

// noWrittenRow holds whatever else the block says.
var noWrittenRow = Attribute{Name: "deny_write_execute", Example: "true", Layer: "syscalls", Doc: "whatever else the block allows: no memory is written and executed, nor becomes executable, and no memfd_create, ptrace or userfaultfd. Without, that is so until @jit, @memfd or such a call is allowed"}

// profileTable is profile "NAME" { ... }. What is not written is the base's.
var profileTable = table[profile]{
	{rows: []row[profile]{
		{baseRow, nil},
		{widensRow, func(b *block, a *Attribute, p *profile) {
			words(func(w *widening) *[]string { return &w.declared })(b, a, b.w)
		}},
		{Attribute{Name: "best_effort", Example: `["cgroup"]`, Words: valid.Dispensable(), Doc: "what a host may lack"},
			extend(func(p *profile) *[]string { return &p.BestEffort })},
		{Attribute{Name: "because", Example: `"..."`, Doc: "needed for capabilities, the host's network, its processes and devices"},
			word(func(p *profile) *string { return &p.Because })},
		{Attribute{Name: "capabilities", Example: `["CAP_CHOWN"]`, Layer: "capabilities", Words: sandbox.Capabilities, Doc: "of root's powers"},
			extend(func(p *profile) *[]string { return &p.Capabilities })},
		{Attribute{Name: "init", Example: "true", Doc: "a tiny init before the program, which else is process 1: it reaps orphans, and SIGPIPE, SIGALRM and SIGTERM end the program"},
			flag(true, func(p *profile) *bool { return &p.Init })},
		{Attribute{Name: "user_namespace", Example: "false", Layer: "user_namespace", Doc: "true: one of its own"},
			flag(false, func(p *profile) *bool { return &p.UserNamespace })},
	}},
	{block: "network", done: sumSockets, rows: []row[profile]{
		{Attribute{Name: "mode", Example: `"host"`, Layer: "network", Words: spelled(sandbox.NetworkModes), Doc: "none: its socket and the peers that come to it; private: a loopback of each connection's own as well, with the sockets that sockets names (needs stdio = \"relay\", or unix listeners); listener: it sends datagrams to any address"},
			networkMode},
		{Attribute{Name: "connect", Example: `["https", "8000-8010"]`, Layer: "network", Doc: `the tcp ports that mode "host" leaves open, or ["any"], with the system calls for it`},
			portList(func(n *sandbox.Network) *[]uint16 { return &n.Connect }, connecting)},
		{Attribute{Name: "bind", Example: `["8080"]`, Layer: "network", Doc: "each of the two says nothing about the other"},
			portList(func(n *sandbox.Network) *[]uint16 { return &n.Bind }, binding)},
		{Attribute{Name: "sockets", Example: `["unix"]`, Layer: "network", Words: sortedKeys(socketWords), Doc: "kinds that it may make"},
			sockets},
	}},
	{block: "files", rows: []row[profile]{
		{Attribute{Name: "read", Example: `["/etc/passwd"]`, Doc: "host paths; what is not named does not exist"},
			extend(func(p *profile) *[]string { return &p.Files.Read })},
		{Attribute{Name: "exec", Example: `["/usr/lib"]`, Layer: "files", Doc: "programs and libraries"},
			extend(func(p *profile) *[]string { return &p.Files.Exec })},
		{Attribute{Name: "write", Example: `["/srv/data"]`, Layer: "files", Doc: "host paths that it may change"},
			extend(func(p *profile) *[]string { return &p.Files.Write })},
		{Attribute{Name: "devices", Example: `["/dev/ttyS0"]`, Layer: "files", Doc: "other character devices, which it shares with the host (ioctl as its system calls say: @tty sets a line's speed); needs because"},
			devices},
		{Attribute{Name: "optional", Example: `["/etc/passwd"]`, Doc: "those of the four lists that may be missing on a host"},
			extend(func(p *profile) *[]string { return &p.Files.Optional })},
		{Attribute{Name: "map", Example: `{ "/lib" = "/srv/alpine/lib" }`, Layer: "files", Doc: "where the host has what these lists and the command name: inside, /lib is its /srv/alpine/lib, \"/\" a whole root tree. It shows nothing by itself; links lead from name to name inside"},
			mapped},
		{Attribute{Name: "tmp", Example: `"1MiB"`, Bounds: sizeBounds(valid.SmallestTmp, granted.LargestTmp), Doc: "a private /tmp for each connection"},
			measure(parseSize, func(p *profile) *int64 { return &p.Files.Tmp })},
		{Attribute{Name: "shm", Example: `"16MiB"`, Bounds: sizeBounds(valid.SmallestTmp, granted.LargestTmp), Doc: "a private /dev/shm, on the file system of /tmp: together they hold the sum"},
			measure(parseSize, func(p *profile) *int64 { return &p.Files.Shm })},
		{Attribute{Name: "state", Example: "true", Layer: "files", Doc: "a directory of the service's own that stays, /var/lib/casemate/NAME on the host and /state inside (STATE_DIRECTORY): whatever uid a session has, all that sessions left in it is its own; what root puts there needs the directory's owner. Its sessions share it; no size holds it. A service that is served keeps the one it has: empty it, or remove it and reload"},
			flag(true, func(p *profile) *bool { return &p.Files.State })},
		{Attribute{Name: "log", Example: "true", Layer: "files", Doc: "a /dev/log: what syslog(3) says is in the log. Brings connect, sendmsg and unix datagram sockets, for tcp and unix stream services"},
			flag(true, func(p *profile) *bool { return &p.Files.Log })},
		{Attribute{Name: "proc", Example: "true", Layer: "files", Doc: "an own /proc, and /dev/fd, stdin, stdout, stderr; \"host\": the host's, read-only, for what watches its processes"},
			procWord},
		{Attribute{Name: "pty", Example: "true", Layer: "files", Doc: "an own /dev/pts for each connection, and /dev/tty"},
			flag(true, func(p *profile) *bool { return &p.Files.Pty })},
		{Attribute{Name: "dev", Example: `["null"]`, Words: nodes.Names, Doc: "device nodes"},
			extend(func(p *profile) *[]string { return &p.Files.Dev })},
	}},
	{block: "syscalls", more: []string{"rule"}, done: syscallRules, rows: []row[profile]{
		{noWrittenRow, flag(false, func(p *profile) *bool { return &p.Syscalls.NoWritten })}, // before allow, of which it takes
		{Attribute{Name: "allow", Example: `["@file-read", "openat"]`, Layer: "syscalls", Doc: "groups and calls; see casemate profiles --groups"},
			allowCalls},
		{Attribute{Name: "deny", Example: `["@threads"]`, Doc: "of those"},
			denyCalls},
		{Attribute{Name: "on_violation", Example: `"errno"`, Layer: "syscalls", Words: spelled(seccomp.Actions), Doc: "a call that is not allowed fails with EPERM (some with ENOSYS, as of a kernel without it), or the program dies of SIGSYS"},
			word(func(p *profile) *seccomp.Action { return &p.Syscalls.OnViolation }, seccomp.Actions...)},
		{Attribute{Name: "seal", Example: "true", Layer: "syscalls", Doc: "no launch calls after the start, at a price"},
			flag(false, func(p *profile) *bool { return &p.Syscalls.Seal })},
	}},
	{block: "resources", done: ownBounds, rows: resourceRows()},
	{block: "processor", rows: []row[profile]{
		{Attribute{Name: "store_bypass", Example: `"off"`, Layer: "processor", Words: valid.Kept[0].Words, Doc: "off: its programs do not speculate past stores (Spectre v4), at a price; best_effort says what a processor without the switch does"},
			kept(0, func(p *sandbox.Processor) *string { return &p.StoreBypass })},
		{Attribute{Name: "indirect_branch", Example: `"off"`, Layer: "processor", Words: valid.Kept[1].Words, Doc: "off: nor on indirect branches where another process may have trained them (Spectre v2)"},
			kept(1, func(p *sandbox.Processor) *string { return &p.IndirectBranch })},
		{Attribute{Name: "core", Example: `"service"`, Layer: "processor", Words: valid.Kept[2].Words, Doc: "who may be on the other threads of its core at the same time: the service's own sessions (service), or its own threads alone (session)"},
			kept(2, func(p *sandbox.Processor) *string { return &p.Core })},
	}},
}

// syscallTable is rule "CALL" { ... } of syscalls: the call is allowed where
// the argument under the mask is one of the values.
var syscallTable = table[sandbox.SyscallRule]{{rows: []row[sandbox.SyscallRule]{
	{Attribute{Name: "arg", Example: "0", Bounds: counts(0, 5), Doc: "the number of the argument"},
		number(func(r *sandbox.SyscallRule) *uint { return &r.Arg })},
	{Attribute{Name: "mask", Example: `"0xffffffff"`, Doc: "its bits that count"},
		maskBits},
	{Attribute{Name: "values", Example: "[1]", Doc: "what they may be"},
		maskedValues},
}}}
