package broker

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
		if err != nil {
			return nil, fmt.Errorf("prove privileges: %w", err)
		}
		if err := missingCaps(string(text)); err != nil { // first: without CAP_SETPCAP nothing could be cut either
			return nil, err
		}
		prm, err := checkThread(string(text), zygote.BrokerCaps)
		if err != nil {
			return nil, fmt.Errorf("prove privileges: %s: %w", name, err)
		}
		permitted |= prm
	}
	return zygote.CapNames(permitted), nil
}

// caps is one set of capabilities; it is an error where there is none.
func caps(status map[string]string, set string) (uint64, error) {
	mask, err := strconv.ParseUint(status[set], 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", set, err)
	}
	return mask, nil
}

// missingCaps fails if no service could be started for want of a capability, as
// in a container, and says how it is given.
func missingCaps(text string) error {
	have, err := caps(host.Status(text), "CapEff")
	if err != nil {
		return fmt.Errorf("prove privileges: %w", err)
	}
	missing := zygote.CapNames(zygote.Indispensable &^ have)
	if len(missing) == 0 {
		return nil
	}
	add := strings.ReplaceAll(strings.Join(missing, ","), "CAP_", "")
	return fmt.Errorf("needs %s to build sandboxes, and this process may not have it (a container?): start the container with --cap-add=%s, or the unit with it in CapabilityBoundingSet",
		strings.Join(missing, ", "), add)
}

// checkThread fails if a set holds more than allowed, a lock is open, or one is missing.
func checkThread(text string, allowed uint64) (permitted uint64, err error) {
	s := host.Status(text)
	for _, lock := range [][2]string{{"NoNewPrivs", "1"}, {"Seccomp", "2"}} {
		if got := s[lock[0]]; got != lock[1] {
			return 0, fmt.Errorf("%s is %q, not %s", lock[0], got, lock[1])
		}
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		mask, err := caps(s, set)
		if err != nil {
			return 0, err
		}
		if extra := mask &^ allowed; extra != 0 {
			return 0, fmt.Errorf("%s holds %s, which the broker does not need", set, strings.Join(zygote.CapNames(extra), ", "))
		}
	}
	return caps(s, "CapPrm")
}
