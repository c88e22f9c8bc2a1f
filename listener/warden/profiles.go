package warden

import (
	"casemate/policy/input"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// The broker's own helpers run in the same sandbox as services do. Their
// profiles are constants here, because they must hold before any policy does.

// roles are the profiles of what casemate-worker does for casemated itself.
var roles = map[string]func() sandbox.Profile{"names": namesProfile, "log": logProfile, "denials": denialsProfile, "relay": relayProfile, "shield": shieldProfile}

// helperProfile is what a static Go program needs that talks over one socket.
func helperProfile(name string, memory int64, more ...string) sandbox.Profile {
	return sandbox.Profile{
		Name:     name,
		Network:  sandbox.Network{Mode: sandbox.NetworkNone},
		Syscalls: sandbox.Syscalls{Allow: append(more, "@go", "@landlock", "@socket-io"), OnViolation: "kill"},
		Resources: sandbox.Resources{
			sandbox.AddressSpace: 4 << 30, // Go reserves address space it never uses
			sandbox.Data:         memory,
			sandbox.OpenFiles:    64,
			sandbox.FileSize:     1,
			sandbox.Tasks:        64,
		},
		// Without it a helper still has no file, no network and no call to get one
		// with; refusing would leave a policy that allows the loss unloadable.
		BestEffort: []string{"landlock", "resources.open_files"},
	}
}

// compileProfile is for `casemate compile --stdin`: no file, no network, no
// other socket; seconds of processor and a bound on memory, since a policy may
// be made to cost both.
func compileProfile() sandbox.Profile {
	p := helperProfile("casemate-compile", input.CompileMemory)
	p.Resources[sandbox.CPUTime] = 10
	return p
}

// namesProfile is for `casemate-worker names`: DNS, and the resolver's files.
func namesProfile() sandbox.Profile {
	p := helperProfile("casemate-names", 256<<20, "connect", "newfstatat", "@socket-tcp", "@socket-udp")
	p.Network = sandbox.Network{Mode: sandbox.NetworkHost, Connect: []uint16{53}}
	p.Because = "asks the name servers of the host"
	// An old kernel does not keep it to the port of DNS over TCP, as none does over
	// UDP: it is still a leased uid with three files.
	p.BestEffort = []string{"landlock.net", "landlock.scopes", "resources.open_files"}
	p.Files.Read = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}
	p.Files.Optional = p.Files.Read
	p.Resources[sandbox.OpenFiles] = 256
	return p
}

// logProfile is for `casemate-worker log`: pipes and sockets arrive over its link, up
// to two for each live session, and its lines leave over it.
func logProfile() sandbox.Profile {
	p := helperProfile("casemate-log", 256<<20, "@fd-passing")
	p.Resources[sandbox.OpenFiles] = 32768
	return p
}

// denialsProfile is for `casemate-worker denials`: listeners of filters arrive over its link,
// which it may read and answer, but not with a descriptor (seccomp_unotify(2)), and look whether a file is there. It sees the host's processes, for whose parents tell whose they are.
func denialsProfile() sandbox.Profile {
	p := helperProfile("casemate-denials", 256<<20, "@fd-passing", "newfstatat")
	p.Files.Proc, p.Files.HostProc = true, true
	p.Resources[sandbox.OpenFiles] = 4096
	for _, request := range []uint32{unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unix.SECCOMP_IOCTL_NOTIF_SEND, unix.SECCOMP_IOCTL_NOTIF_RECV} { // in order
		p.Syscalls.Rules = append(p.Syscalls.Rules, []uint32{unix.SYS_IOCTL, 1, 0, request})
	}
	return p
}

// brokerProfile is for `casemate-worker broker`: no file, no capability. It accepts on the sockets that it is given and hands
// what it has accepted on; it begins the connections of redirects, and asks who waits at a listener.
func brokerProfile(files int64) sandbox.Profile {
	p := helperProfile("casemate-broker", 0, "@socket-accept", "@fd-passing", "@socket-unix", "@socket-tcp",
		"connect", "setsockopt", "getsockopt", "ioctl", "fcntl", "pipe2", "fchmod", "splice", "getpriority", "prlimit64", "pread64", "pwrite64", "fdatasync", "ftruncate", "memfd_create", "poll", "ppoll", "bind")
	p.Network = sandbox.Network{Mode: sandbox.NetworkHost, Connect: []uint16{0}}
	p.Because = "accepts for services, and begins the connections of redirects"
	p.BestEffort = []string{"landlock", "landlock.net", "landlock.scopes", "resources.open_files"}
	p.Resources = sandbox.Resources{sandbox.OpenFiles: files}
	p.Syscalls.OnViolation = "errno" // all sessions' records end with it
	p.Syscalls.Rules = append(p.Syscalls.Rules, []uint32{unix.SYS_SOCKET, 0, 0, unix.AF_NETLINK, 2, 0, unix.NETLINK_SOCK_DIAG})
	return p
}

// relayProfile is for `casemate-worker relay`: the clients of stdio = "relay" arrive over its link, and it makes
// socket pairs. Each session takes six descriptors, and one more while it starts.
func relayProfile() sandbox.Profile {
	p := helperProfile("casemate-relay", 256<<20, "@relay", "@fd-passing")
	p.Resources[sandbox.OpenFiles] = 65536
	p.Syscalls.Rules = append(p.Syscalls.Rules, []uint32{unix.SYS_SETSOCKOPT, 1, 0, unix.SOL_SOCKET, 2, 0, unix.SO_PASSRIGHTS})
	return p
}

// shieldProfile is for `casemate-worker shield`: listeners and filters for them arrive over its link. It has CAP_NET_ADMIN, which Linux
// asks for one of TCP, and no call to use it with but that one option of what it is handed.
func shieldProfile() sandbox.Profile {
	p := helperProfile("casemate-shield", 256<<20, "@fd-passing", "pread64")
	p.Capabilities, p.Because = []string{"CAP_NET_ADMIN"}, "attaches filters to listeners"
	p.Syscalls.Rules = append(p.Syscalls.Rules, []uint32{unix.SYS_SETSOCKOPT, 1, 0, unix.SOL_SOCKET, 2, 0, unix.SO_ATTACH_FILTER})
	return p
}

// filterProfile is for casemate-filter, whose own filter has to be there before it: that is program.First, whatever calls are named here.
func filterProfile() sandbox.Profile {
	p := helperProfile("casemate-filter", input.CompileMemory)
	p.Resources[sandbox.CPUTime], p.Resources[sandbox.FileSize] = 20, 1<<20 // libseccomp writes a program into a memfd
	return p
}

func (w *Warden) helperPlan(p sandbox.Profile, argv ...string) (*sandbox.Plan, error) {
	var env []string
	if w.conf.Journal {
		env = []string{"JOURNAL_STREAM=casemated"} // lines begin with their priority
	}
	return sandbox.NewPlan(p.Present(), sandbox.Command{
		Service: p.Name, Path: w.libexec(argv[0]), Argv: argv, Env: env,
		Dir: "/", Dynamic: true, Umask: 0o077, Stdio: sandbox.StdioSocket, Sockets: 1, HostPIDs: p.Files.HostProc,
	})
}

func confined(plan *sandbox.Plan) (Cell, error) {
	// Its stderr goes nowhere: nobody but the broker holds the log, where what another one
	// writes would pass for records.
	box, err := sandbox.Prepare(plan, sandbox.Options{})
	if err != nil {
		return nil, err
	}
	return prepared{box}, nil
}
