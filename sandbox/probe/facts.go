// Package probe finds out what this kernel and this process can do for a
// sandbox, without changing anything: no namespace, group or filter is made.
package probe

import (
	"fmt"
	"strings"
	"sync"

	"casemate/sandbox/cgroup"
)

// Answer is what a probe says.
type Answer int

// The answers. Unknown is the zero value: the probe could not tell, for
// instance because a filter around this process answers in the kernel's place.
const (
	Unknown Answer = iota
	No
	Yes
)

// String is "unknown", "no" or "yes".
func (a Answer) String() string {
	switch a {
	case No:
		return "no"
	case Yes:
		return "yes"
	}
	return "unknown"
}

func answer(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// Facts are the host's facts. They are as of the first call of Host.
type Facts struct {
	// Release is the kernel's own name (uname -r).
	Release string
	// Admin says whether this process has CAP_SYS_ADMIN, which building root
	// trees and namespaces takes.
	Admin Answer

	// LandlockABI is 0 without Landlock; LandlockErrata is the set of fixed
	// errata (0 before Linux 6.15).
	LandlockABI, LandlockErrata int

	// Seccomp says for each action, as "kill_process", whether filters may return
	// it (seccomp(2), SECCOMP_GET_ACTION_AVAIL). Every name of Actions is in it.
	Seccomp map[string]Answer

	// Namespaces says for each kind, as "pid" (see NamespaceKinds), whether this
	// kernel has it and its limit in /proc/sys/user is not 0.
	Namespaces map[string]Answer

	// MountAPI is fsopen, open_tree, move_mount and mount_setattr (Linux 5.12);
	// Openat2, PidFD and CloseRange are the calls of these names.
	MountAPI, Openat2, PidFD, CloseRange Answer

	// Cgroup is whether a version 2 hierarchy is mounted, and where; CgroupKill
	// is whether groups have cgroup.kill (Linux 5.14).
	Cgroup     Answer
	Hierarchy  cgroup.Hierarchy
	CgroupKill Answer
}

// Host gives the facts of this host. Only the first call looks; later ones, from
// any goroutine, get a copy of the same answer.
func Host() Facts {
	f := host()
	f.Seccomp = clone(f.Seccomp)
	f.Namespaces = clone(f.Namespaces)
	f.Hierarchy.Controllers = append([]string(nil), f.Hierarchy.Controllers...)
	return f
}

var host = sync.OnceValue(look)

// clone keeps callers from writing into the cached facts.
func clone(m map[string]Answer) map[string]Answer {
	c := make(map[string]Answer, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// Line is one fact to print.
type Line struct {
	Name   string
	Answer Answer
	// Detail adds what a yes or no cannot say; may be "".
	Detail string
}

// Lines lists the facts in a fixed order for status.
func (f Facts) Lines() []Line {
	lines := []Line{
		{"kernel", answer(f.Release != ""), f.Release},
		{"cap_sys_admin", f.Admin, ""},
		{"landlock", answer(f.LandlockABI > 0), fmt.Sprintf("abi %d, errata %#x", f.LandlockABI, f.LandlockErrata)},
	}
	for _, a := range Actions {
		lines = append(lines, Line{"seccomp " + a.Name, f.Seccomp[a.Name], ""})
	}
	for _, k := range NamespaceKinds {
		lines = append(lines, Line{k + " namespace", f.Namespaces[k], ""})
	}
	controllers := "no controllers"
	if len(f.Hierarchy.Controllers) > 0 {
		controllers = strings.Join(f.Hierarchy.Controllers, " ")
	}
	if f.Cgroup == Yes {
		controllers += " at " + f.Hierarchy.Path
	}
	return append(lines,
		Line{"mount api", f.MountAPI, ""}, Line{"openat2", f.Openat2, ""},
		Line{"pidfd", f.PidFD, ""}, Line{"close_range", f.CloseRange, ""},
		Line{"cgroup v2", f.Cgroup, controllers}, Line{"cgroup.kill", f.CgroupKill, ""})
}
