package escape

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestHostDevices: a service has the devices of the host that its profile names, as far
// as their modes let its user, and no other; what is the host itself is refused, under
// whatever name.
func TestHostDevices(t *testing.T) {
	rig.Root(t)
	restingUser(t)
	victim := compileVictim(t)
	node := func(name string, mode, major, minor uint32) string {
		t.Helper()
		at := fmt.Sprintf("/dev/casemate-test-%d-%s", os.Getpid(), name)
		if err := unix.Mknod(at, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor))); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(at) })
		if err := os.Chmod(at, os.FileMode(mode)); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return at
	}
	// Zeros without end under other names, and the host's memory.
	named, other, closed, memory := node("named", 0o666, 1, 5), node("other", 0o666, 1, 5), node("closed", 0o600, 1, 5), node("memory", 0o600, 1, 1)
	link := memory + "-link"
	if err := os.Symlink(memory, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(link) })

	profile := func(devices ...string) string {
		return fmt.Sprintf("  base = profile.server\n  widens = [\"files\"]\n  init = false\n  because = \"tests\"\n  files { devices = [\"%s\"] }\n", strings.Join(devices, `", "`))
	}
	ports := map[string]string{}
	text := policyHead
	for name, body := range map[string]string{"devices": profile(closed, named), "memory": profile(memory), "link": profile(link)} {
		ports[name] = rig.Port(t)
		text += serviceText(name, ports[name], victim, body)
	}
	b := rig.Serve(t, text)
	for _, a := range []attempt{
		{8, "open-device " + named, "ok", asNobody, ""},
		{8, "open-device " + other, unseen, asNobody, ""},
		{8, "open-device " + closed, "EACCES", asRoot, ""},
		{8, "open-device " + memory, unseen, uncontrolled, ""},
		{8, "chmod " + named, readonly, asRoot, "chmod " + other},
		{8, "unlink " + named, readonly + "|EBUSY", asRoot, "unlink " + other},
		{8, "mknod-chr /dev/new", shut, uncontrolled, ""},
	} {
		attempted(t, ports["devices"], a, a.line)
		line := a.line
		if a.controlLine != "" {
			line = a.controlLine
		}
		if a.control == uncontrolled {
			continue
		}
		if o := outside(t, victim, line, a.control); o.result != "ok" {
			t.Errorf("%s outside of the sandbox: %s, so its denial inside proves nothing", line, o)
		}
	}
	for _, name := range []string{"memory", "link"} {
		s, err := b.Service(name)
		if err != nil || !s.Broken || !strings.Contains(s.Error, "(1:1) is the host's memory") {
			t.Errorf("%s: %+v (%v), want it refused", name, s, err)
		}
	}
}
