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

// TestInitLaunchCalls: what a service has more in its filter because it has an init.
func TestInitLaunchCalls(t *testing.T) {
	rig.Root(t)
	victim, port := compileVictim(t), rig.Port(t)
	rig.Serve(t, policyHead+serviceText("parked", port, victim, "  base = profile.line\n  init = true"))
	for _, a := range parking {
		if o := inside(t, port, a.line); !denied(a.want, o) {
			t.Errorf("#%d %s: %s, want %s", a.number, a.line, o, a.want)
		}
		if a.control == uncontrolled {
			continue
		}
		if o := outside(t, victim, a.line, a.control); o.result != "ok" {
			t.Errorf("#%d %s: %s outside of the sandbox, so its denial inside proves nothing", a.number, a.line, o)
		}
	}
}
