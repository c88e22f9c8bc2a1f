package facts

import (
	"os"
	"strconv"
	"strings"
	"time"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/landlock"
)

// Where the facts are.
const (
	kernelNumbers = "/proc/sys/kernel/"
	memInfo       = "/proc/meminfo"
)

// controllerFiles are those of the root of the version 2 tree, not of this
// process's own group: the broker is somewhere else.
var controllerFiles = []string{"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"}

// Gather reads what there is to know of this host before a policy asks anything. What cannot be read is not known. Questions
// that are asked of the facts afterwards go to the host, and their answers stay.
func Gather(n *Net, worker string) *Facts {
	hostpath.Self = 0
	f := here()
	f.Gathered = time.Now().UTC().Format(time.DateOnly)
	f.Root = os.Geteuid() == 0
	f.LandlockABI = landlock.ABI()
	f.Kernel = read(kernelNumbers + "osrelease")
	f.Memory = memory()
	for _, name := range []string{"threads-max", "pid_max"} {
		if n, err := strconv.ParseInt(read(kernelNumbers+name), 10, 64); err == nil && (f.Tasks == 0 || n < f.Tasks) {
			f.Tasks = n
		}
	}
	for _, name := range controllerFiles {
		if text, err := os.ReadFile(name); err == nil {
			f.Controllers = strings.Fields(string(text))
			break
		}
	}
	services, _ := os.ReadFile("/etc/services")
	f.Services = string(services)
	f.Worker = worker
	f.StateFS = unmappedAt(sandbox.StateDir)
	f.Sockets, f.Addresses, f.Vsock = n.Sockets(), n.own, n.vsock
	return f
}

func read(name string) string {
	text, _ := os.ReadFile(name)
	return strings.TrimSpace(string(text))
}

// memory is MemTotal and SwapTotal of proc_meminfo(5).
func memory() (bytes int64) {
	text, _ := os.ReadFile(memInfo)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "MemTotal:" || f[0] == "SwapTotal:") {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			bytes += n << 10
		}
	}
	return bytes
}

// accounts are those of this host; without its files there are none.
func (f *Facts) accounts() *host.Accounts {
	if f.read == nil {
		var err error
		if f.read, err = host.ReadAccounts(); err != nil {
			f.read = host.ParseAccounts("", "")
		}
	}
	return f.read
}

// User is the ids of a user by name or number.
func (f *Facts) User(name string) (uid, gid uint32, err error) {
	a, ok := f.Users[name]
	switch {
	case ok:
	case f.live == nil:
		return 0, 0, &Unknown{"user " + name}
	default:
		if a.UID, a.GID, err = f.accounts().User(name); err != nil {
			a.Error = err.Error()
		}
		f.Users[name] = a
	}
	if a.Error != "" {
		return 0, 0, recorded{&Fault{Text: a.Error}}
	}
	return a.UID, a.GID, nil
}

// Group is likewise.
func (f *Facts) Group(name string) (gid uint32, err error) {
	a, ok := f.Groups[name]
	switch {
	case ok:
	case f.live == nil:
		return 0, &Unknown{"group " + name}
	default:
		if a.GID, err = f.accounts().Group(name); err != nil {
			a.Error = err.Error()
		}
		f.Groups[name] = a
	}
	if a.Error != "" {
		return 0, recorded{&Fault{Text: a.Error}}
	}
	return a.GID, nil
}

// CheckDir says why casemated puts no unix socket into a directory.
func (f *Facts) CheckDir(dir string) error {
	a, err := f.ask("directory "+dir, func() *Answer { return &Answer{Error: fault(listener.CheckDir(dir))} })
	if err != nil {
		return err
	}
	return a.Error.err()
}

// Writable are the directories that the services of p may write, as casemated finds them.
func (f *Facts) Writable(p *policy.Policy) (ids []hostpath.ID) {
	for i := range p.Services {
		files := &p.Profile(p.Services[i].Profile).Files
		for _, name := range files.Write {
			if file, err := f.Find(files.Map, name); err == nil {
				ids = append(ids, file.ID())
			}
		}
	}
	return ids
}
