package warden

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"casemate/listener/host"
	"casemate/sandbox/zygote"
)

// ProvePrivileges fails unless every thread of this process is confined: its
// bounding, permitted, effective, inheritable and ambient capabilities are within
// the broker's, it has no_new_privs and a seccomp filter. The capabilities are cut
// before the Go runtime starts (zygote.c), where there is one thread to cut; the rest
// is seccomp.Withhold. It returns the names of what is permitted.
//
// There is no Landlock here: a process in a Landlock domain may mount nothing, nor
// may its children, and mounting is what builds the services' trees.
func ProvePrivileges() ([]string, error) {
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		return nil, fmt.Errorf("prove privileges: no /proc to read them from (%v)", err)
	}
	var permitted uint64
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // the thread has ended
		}
		var own uint64
		if err == nil {
			own, err = checkThread(string(text), zygote.BrokerCaps)
		}
		if err != nil {
			return nil, fmt.Errorf("%w (%s)", err, name)
		}
		permitted |= own
	}
	return zygote.CapNames(permitted), nil
}

// checkThread fails if no service could be started for want of a capability, as in a container, and
// says how it is given; or if a lock is open, or a set holds more than allowed or is missing.
func checkThread(text string, allowed uint64) (permitted uint64, err error) {
	s, names, sets := host.Status(text), []string{"CapInh", "CapPrm", "CapBnd", "CapAmb", "CapEff"}, make(map[string]uint64)
	for _, set := range names {
		if sets[set], err = strconv.ParseUint(s[set], 16, 64); err != nil {
			return 0, fmt.Errorf("prove privileges: %s: %w", set, err)
		}
	}
	// First: without CAP_SETPCAP nothing could be cut either.
	if missing := zygote.CapNames(zygote.Indispensable & allowed &^ sets["CapEff"]); len(missing) > 0 {
		add := strings.ReplaceAll(strings.Join(missing, ","), "CAP_", "")
		return 0, fmt.Errorf("needs %s to build sandboxes, and this process may not have it (a container?): start the container with --cap-add=%s, or the unit with it in CapabilityBoundingSet",
			strings.Join(missing, ", "), add)
	}
	for _, lock := range [][2]string{{"NoNewPrivs", "1"}, {"Seccomp", "2"}} {
		if got := s[lock[0]]; got != lock[1] {
			return 0, fmt.Errorf("prove privileges: %s is %q, not %s", lock[0], got, lock[1])
		}
	}
	for _, set := range names {
		if set == "CapEff" { // the last one
			allowed &^= zygote.LatentCaps
		}
		if extra := sets[set] &^ allowed; extra != 0 {
			return 0, fmt.Errorf("prove privileges: %s holds %s, which the broker does not need", set, strings.Join(zygote.CapNames(extra), ", "))
		}
	}
	return sets["CapPrm"], nil
}
