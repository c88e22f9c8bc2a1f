package escape

import (
	"testing"

	"casemate/tests/root/rig"
)

// parking are the calls that a zygote parks an init with. Under a profile that has
// none of them they are open with the zygote's arguments alone, and of no use then.
var parking = []attempt{
	{87, "park-setns 67", "EBADF", uncontrolled, ""}, // the zygote's own descriptor: open_files and 3 more
	{87, "park-setns 0", "EPERM", uncontrolled, ""},
	{87, "park-setns-own", "EPERM|ENOENT", asRoot, ""},
	{87, "park-unshare", "EPERM", asRoot, ""},
	{87, "park-clone 0", "EPERM", asRoot, ""},
	{87, "park-clone 0x20000000", "EPERM", asRoot, ""}, // with a pid namespace
	{87, "park-clone 0x8000", "EPERM", asRoot, ""},     // for its parent
	{87, "park-pidfd 1", shut, asNobody, ""},
	{87, "park-wait", "EPERM", asNobody, ""},
}

// onInit are attempts on process 1, which shares its zygote's memory and is root's.
var onInit = []attempt{
	{87, "kill 1", nobodyIs, uncontrolled, ""},
	{87, "pidfd-signal 1", nobodyIs, uncontrolled, ""},
	{87, "pidfd-steal 1", nobodyIs, uncontrolled, ""},
	{87, "ptrace 1", nobodyIs, uncontrolled, ""},
	{87, "vm-read 1 0", nobodyIs, uncontrolled, ""},
	{87, "vm-write 1", nobodyIs, uncontrolled, ""},
	{87, "rlimit-other 1", nobodyIs, uncontrolled, ""},
	{87, "nice-other 1", nobodyIs, uncontrolled, ""},
	{87, "kcmp 1", nobodyIs, uncontrolled, ""},
	{87, "open-read /proc/1/mem", unreal, uncontrolled, ""},
	{87, "open-read /proc/1/maps", unreal, uncontrolled, ""},
	{87, "open-read /proc/1/root", unreal, uncontrolled, ""},
	{87, "open-read /proc/1/ns/mnt", unreal, uncontrolled, ""},
	{87, "list /proc/1/fd", unreal, uncontrolled, ""},
}

// TestInitItself: a service reaches its init by no call. Its control is a process of its own: itself.
func TestInitItself(t *testing.T) {
	rig.Root(t)
	victim, port := compileVictim(t), rig.Port(t)
	rig.Serve(t, policyHead+serviceText("child", port, victim, "  base = profile.server"))
	for _, a := range onInit {
		attempted(t, port, a, a.line)
	}
	for _, line := range []string{"kill 2", "nice-other 2", "list /proc/2/fd", "open-read /proc/2/maps"} {
		if o := inside(t, port, line); o.result != "ok" {
			t.Errorf("%s: %s, so that process 1 is out of reach proves nothing", line, o)
		}
	}
}

// TestInitLaunchCalls: what a service has more in its filter because it has an init.
func TestInitLaunchCalls(t *testing.T) {
	rig.Root(t)
	victim, port := compileVictim(t), rig.Port(t)
	rig.Serve(t, policyHead+serviceText("parked", port, victim, "  base = profile.line\n  init = true"))
	for _, a := range parking {
		attempted(t, port, a, a.line)
		if a.control == uncontrolled {
			continue
		}
		if o := outside(t, victim, a.line, a.control); o.result != "ok" {
			t.Errorf("#%d %s: %s outside of the sandbox, so its denial inside proves nothing", a.number, a.line, o)
		}
	}
}
