package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leased is a process of the host with a leased uid.
type leased struct {
	pid int
	uid uint32
}

// leasedProcesses looks through all processes of the host.
func leasedProcesses() ([]leased, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for survivors: %w", err)
	}
	var out []leased
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if uid, ok := leasedUID(pid); ok {
				out = append(out, leased{pid, uid})
			}
		}
	}
	return out, nil
}

// end kills it, unless the pid has gone to somebody else.
func (p leased) end() bool {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	uid, ok := leasedUID(p.pid)
	return ok && uid == p.uid && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// leasedUID is the leased uid that a process has.
func leasedUID(pid int) (uint32, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	return parseLeased(string(text))
}

// parseLeased reads the text of /proc/PID/status (proc_pid_status(5)). A
// service is one pid namespace below its broker's: what is deeper has a broker
// in a container, which shares the numbers and nothing else with ours.
func parseLeased(status string) (uid uint32, ok bool) {
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		switch name {
		case "Uid":
			for _, s := range f {
				if n, err := strconv.ParseUint(s, 10, 32); err == nil && uint32(n)-leaseFirst < leaseCount {
					uid, ok = uint32(n), true
				}
			}
		case "State":
			if len(f) == 0 || f[0] == "Z" {
				return 0, false // it has ended
			}
		case "NSpid":
			if len(f) > 2 {
				return 0, false
			}
		}
	}
	return uid, ok
}
