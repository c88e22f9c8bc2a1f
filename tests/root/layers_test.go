package root

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// session waits for a running program of the service and returns it.
func session(t *testing.T, b *rig.Broker, service string) control.SessionStatus {
	t.Helper()
	var found control.SessionStatus
	err := rig.Until(30*time.Second, func() error {
		s, err := b.Status()
		if err != nil {
			return err
		}
		for _, x := range s.Sessions {
			if x.Service == service {
				found = x
				return nil
			}
		}
		return fmt.Errorf("no session of %s is running", service)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// leaves is what a profile leaves open of the layers that are otherwise on.
type leaves struct {
	namespaces []string // shared with the host, as "net"
	caps       uint64   // kept by the service, bit by capability number
	groups     string   // that one of its processes may have set for itself
}

// confined looks at the session's processes from outside and reports every
// layer that is not on.
func confined(t *testing.T, b *rig.Broker, s control.SessionStatus, g leaves) {
	t.Helper()
	checked := 0
	for _, pid := range family(t, s.PID) {
		err := layersOf(b.PID, pid, s.UID, g)
		if errors.Is(err, fs.ErrNotExist) {
			continue // ended in between
		}
		if err != nil {
			t.Errorf("%s, process %d: %v", s.Service, pid, err)
		}
		checked++
	}
	if checked == 0 {
		t.Errorf("%s: the session's process %d was gone before it was looked at", s.Service, s.PID)
	}
}

// family is pid with all its descendants.
func family(t *testing.T, pid int) []int {
	t.Helper()
	all, err := rig.Processes()
	if err != nil {
		t.Fatal(err)
	}
	out := []int{pid}
	for i := 0; i < len(out); i++ {
		for _, p := range all {
			if p.PPID == out[i] {
				out = append(out, p.PID)
			}
		}
	}
	return out
}

// layersOf checks one process: identity, rights, filter, namespaces, mounts.
func layersOf(broker, pid int, uid uint32, g leaves) error {
	s, err := rig.Status(pid)
	if err != nil {
		return err
	}
	var bad []error
	id := strings.TrimSpace(strings.Repeat(strconv.Itoa(int(uid))+" ", 4))
	caps := fmt.Sprintf("%016x", g.caps)
	for _, want := range [][2]string{
		{"Uid", id}, {"NoNewPrivs", "1"}, {"Seccomp", "2"},
		{"CapInh", caps}, {"CapPrm", caps}, {"CapEff", caps}, {"CapBnd", caps}, {"CapAmb", caps},
	} {
		if s[want[0]] != want[1] {
			bad = append(bad, fmt.Errorf("%s is %q, want %q", want[0], s[want[0]], want[1]))
		}
	}
	if s["Groups"] != "" && s["Groups"] != g.groups {
		bad = append(bad, fmt.Errorf("Groups is %q, want none or %q", s["Groups"], g.groups))
	}
	if uid == 0 || s["Gid"] == "0 0 0 0" {
		bad = append(bad, fmt.Errorf("runs with root's ids: uid %d, gid %s", uid, s["Gid"]))
	}
	bad = append(bad, namespacesOf(broker, pid, g.namespaces), mountsOf(pid))
	return errors.Join(bad...)
}

func namespacesOf(broker, pid int, shared []string) error {
	var bad []error
	for _, kind := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		own, err := rig.Namespace(pid, kind)
		if err != nil {
			return err
		}
		host, err := rig.Namespace(broker, kind)
		if err != nil {
			return err
		}
		want := false
		for _, s := range shared {
			want = want || s == kind
		}
		if (own == host) != want {
			bad = append(bad, fmt.Errorf("%s namespace %s, the broker's is %s", kind, own, host))
		}
	}
	return errors.Join(bad...)
}

// mountsOf: a read-only root that is no disk of the host's, and nothing in it
// that honours set-uid bits or, but for the device nodes, devices.
func mountsOf(pid int) error {
	mounts, err := rig.Mounts(pid)
	if err != nil {
		return err
	}
	var bad []error
	for _, m := range mounts {
		has := func(option string) bool { return strings.Contains(","+m.Options+",", ","+option+",") }
		if m.Point == "/" && (!has("ro") || m.Type != "tmpfs") {
			bad = append(bad, fmt.Errorf("the root is %s (%s), want a read-only tmpfs", m.Type, m.Options))
		}
		if !has("nosuid") || !has("nodev") && !strings.HasPrefix(m.Point, "/dev/") {
			bad = append(bad, fmt.Errorf("%s is mounted %s, want nosuid,nodev", m.Point, m.Options))
		}
		if !has("ro") && !has("noexec") && !strings.HasPrefix(m.Point, "/dev/") {
			bad = append(bad, fmt.Errorf("%s is mounted %s: writable and executable", m.Point, m.Options))
		}
	}
	if len(mounts) == 0 {
		bad = append(bad, errors.New("no mounts at all"))
	}
	return errors.Join(bad...)
}

// gone waits until no process of the list is left.
func gone(limit time.Duration, pids ...int) error {
	return rig.Until(limit, func() error {
		for _, pid := range pids {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
				s, _ := rig.Status(pid)
				return fmt.Errorf("process %d (%s, %s) is still there", pid, s["Name"], s["State"])
			}
		}
		return nil
	})
}
