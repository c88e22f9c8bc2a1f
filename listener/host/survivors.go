package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"casemate/sandbox"

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
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status") // of one that has gone, nothing
	return parseLeased(string(text))
}

// Status is the text of a /proc/PID/status (proc_pid_status(5)), as the values of its lines.
func Status(text string) map[string]string {
	s := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		s[name] = strings.TrimSpace(value)
	}
	return s
}

// parseLeased looks for one in a Status. A service is one pid namespace below its
// broker's: what is deeper has a broker in a container, which shares the numbers and
// nothing else with ours. A process that has ended has none.
func parseLeased(text string) (uid uint32, ok bool) {
	s := Status(text)
	if state := s["State"]; state == "" || state[0] == 'Z' || len(strings.Fields(s["NSpid"])) > 2 {
		return 0, false
	}
	for _, f := range strings.Fields(s["Uid"]) {
		if n, err := strconv.ParseUint(f, 10, 32); err == nil && uint32(n)-sandbox.LeaseBase < sandbox.LeaseCount {
			uid, ok = uint32(n), true
		}
	}
	return uid, ok
}
