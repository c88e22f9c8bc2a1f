package escape

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestMissingLayer: on a kernel without Landlock nothing is served that asks for
// it, unless its profile allows the loss by name (attempt 74).
func TestMissingLayer(t *testing.T) {
	bin := rig.Root(t)
	victim, without := compileVictim(t), rig.Compile(t, "testdata/without.c")
	for _, c := range []struct{ name, extra string }{
		{"asked for", ""},
		{"another layer is best effort", "\n  best_effort = [\"cgroup\"]"},
		{"best effort", "\n  best_effort = [\"landlock\"]"},
	} {
		port := rig.Port(t)
		b, err := rig.Start(rig.Options{Bin: bin, Under: []string{without, noLandlock}, Files: map[string]string{
			"test.cm.hcl": policyHead + serviceText("victim", port, victim, "  base = profile.server\n  init = false"+c.extra),
		}})
		if !strings.Contains(c.extra, "landlock") {
			if err == nil {
				b.Stop()
				t.Errorf("%s: served without Landlock", c.name)
			} else if !strings.Contains(strings.ToLower(err.Error()), "landlock") {
				t.Errorf("%s: the error does not name the layer: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s, err := b.Service("victim"); err != nil || !strings.Contains(strings.Join(s.Losses, " "), "landlock") {
			t.Errorf("%s: status %+v (%v) does not show the loss", c.name, s, err)
		}
		if o := inside(t, port, "open-read /etc/shadow"); !denied(unseen, o) {
			t.Errorf("%s: %s: the other layers are off as well", c.name, o)
		}
		b.Stop()
	}
}

// noLandlock is a kernel without landlock_create_ruleset(2), for testdata/without.c.
var noLandlock = without(unix.SYS_LANDLOCK_CREATE_RULESET, "0:0:0:38")

// without is a system call, by its number on this architecture, that fails so.
func without(call int, how string) string { return fmt.Sprintf("%d:%s", call, how) }

// lacking are kernels without something that the sandbox is made of: what fails (testdata/without.c), and what the refusal must
// say. None of it can be given up: the compiler of the policy runs in such a sandbox itself.
var lacking = []struct{ name, without, says string }{
	{"seccomp", without(unix.SYS_SECCOMP, "0:0:0:38"), "seccomp"},
	{"filters for all threads", without(unix.SYS_SECCOMP, "1:0xffffffff:1:22"), "seccomp"},
	{"no_new_privs", without(unix.SYS_PRCTL, "0:0xffffffff:38:22"), "no_new_privs"},
	{"the bounding set", without(unix.SYS_PRCTL, "0:0xffffffff:24:22"), "CapBnd"},
	{"securebits", without(unix.SYS_PRCTL, "0:0xffffffff:28:22"), "securebits"},
	{"ambient capabilities", without(unix.SYS_PRCTL, "0:0xffffffff:47:22"), "bounding set"},
	{"parent-death signals", without(unix.SYS_PRCTL, "0:0xffffffff:1:22"), "parent-death signal"},
	{"capabilities", without(unix.SYS_CAPSET, "0:0:0:38"), "CapPrm"},
	{"mount namespaces", without(unix.SYS_UNSHARE, "0:0x20000:0x20000:22"), "mount namespace"},
	{"network namespaces", without(unix.SYS_UNSHARE, "0:0x40000000:0x40000000:22"), "make namespaces"},
	{"ipc namespaces", without(unix.SYS_UNSHARE, "0:0x8000000:0x8000000:22"), "make namespaces"},
	{"uts namespaces", without(unix.SYS_UNSHARE, "0:0x4000000:0x4000000:22"), "make namespaces"},
	{"cgroup namespaces", without(unix.SYS_UNSHARE, "0:0x2000000:0x2000000:22"), "make namespaces"},
	{"pid namespaces", without(unix.SYS_CLONE, "0:0x20000000:0x20000000:22"), "clone"},
	{"joining namespaces", without(unix.SYS_SETNS, "0:0:0:38"), "join the finished tree"},
	{"rules of Landlock", without(unix.SYS_LANDLOCK_ADD_RULE, "0:0:0:38"), "landlock: /: add rule"},
	{"being restricted by Landlock", without(unix.SYS_LANDLOCK_RESTRICT_SELF, "0:0:0:38"), "restrict with landlock"},
	{"the mount interface", without(unix.SYS_FSOPEN, "0:0:0:38"), "rootfs: open tmpfs"},
	{"mount attributes", without(unix.SYS_MOUNT_SETATTR, "0:0:0:38"), "make the root read-only"},
	{"pivot_root", without(unix.SYS_PIVOT_ROOT, "0:0:0:38"), "pivot_root"},
	{"close_range", without(unix.SYS_CLOSE_RANGE, "0:0:0:38"), "start zygote"},
	{"execveat", without(unix.SYS_EXECVEAT, "0:0:0:38"), "exec"},
	{"memfd_create", without(unix.SYS_MEMFD_CREATE, "0:0:0:38"), "memfd_create"},
	{"openat2", without(unix.SYS_OPENAT2, "0:0:0:38"), "open mount point"},
	{"personality", without(unix.SYS_PERSONALITY, "0:0:0:38"), "personality"},
}

// TestKernelWithout starts casemated where the kernel lacks a layer: it refuses, names the layer and the kernel, and nothing listens.
func TestKernelWithout(t *testing.T) {
	bin := rig.Root(t)
	victim, without := compileVictim(t), rig.Compile(t, "testdata/without.c")
	var u unix.Utsname
	try(t, unix.Uname(&u))
	kernel := "(kernel: Linux " + unix.ByteSliceToString(u.Release[:]) + ")"
	for _, k := range lacking {
		port := rig.Port(t)
		b, err := rig.Start(rig.Options{Bin: bin, Under: []string{without, k.without}, Files: map[string]string{
			"test.cm.hcl": "policy {\n  edition = 1\n  on_broken = \"refuse\"\n}\nlimit \"wide\" { session = \"2m\" }\n" + serviceText("victim", port, victim, "  base = profile.server\n  init = false"),
		}})
		if err == nil {
			answer, _ := rig.Exchange(port, "identity\n")
			log, _ := os.ReadFile(b.LogFile)
			t.Errorf("%s: served: %q\n%s", k.name, answer, log[max(0, len(log)-600):])
			b.Stop()
			continue
		}
		for _, word := range []string{k.says, kernel} {
			if strings.HasPrefix(k.says, "Cap") && word == kernel {
				continue // what it has too much of, no kernel's answer says
			}
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the refusal does not say %q: %v", k.name, word, err)
			}
		}
		if c, err := rig.Dial(port); err == nil {
			c.Close()
			t.Errorf("%s: something listens", k.name)
		}
	}
}

// TestEachLandlockABI: with each version of Landlock's interface a service is refused that needs a later one, by the name of what it
// needs and of what the kernel has, and nothing listens for it; one that gives that up by name serves, and its status says so.
func TestEachLandlockABI(t *testing.T) {
	bin := rig.Root(t)
	if now := landlock.ABI(); now < landlock.ABIScopes {
		need.Kernel(t, "it has Landlock ABI %d: no step is left to take away", now)
	}
	victim, under := compileVictim(t), rig.Compile(t, "testdata/abi.c")
	const ports, any = "connect = [1]", "connect = [\"any\"]\n    bind = [\"any\"]"
	for abi := 1; abi <= landlock.ABIScopes; abi++ {
		at, text := map[string]string{}, policyHead
		for name, profile := range map[string]string{
			"plain":  "  base = profile.line",
			"net":    hostProfile(ports, `best_effort = ["landlock.scopes"]`),
			"scopes": hostProfile(any, ""),
			"given":  hostProfile(ports, `best_effort = ["landlock.net", "landlock.scopes"]`),
		} {
			at[name] = rig.Port(t)
			text += serviceText(name, at[name], victim, profile)
		}
		b, err := rig.Start(rig.Options{Bin: bin, Under: []string{under, strconv.Itoa(abi)}, Files: map[string]string{"test.cm.hcl": text}})
		if err != nil {
			t.Fatalf("ABI %d: %v", abi, err)
		}
		for name, needs := range map[string]int{"plain": 0, "net": landlock.ABINet, "scopes": landlock.ABIScopes, "given": 0} {
			s, err := b.Service(name)
			try(t, err)
			if abi >= needs {
				if o := inside(t, at[name], "open-read /etc/shadow"); s.Broken || !denied(unseen, o) {
					t.Errorf("ABI %d, %s: %+v, and %s", abi, name, s, o)
				}
				continue
			}
			if said := fmt.Sprintf("landlock.%s: this kernel has Landlock ABI %d, and it takes %d (Linux 6.", name, abi, needs); !s.Broken || !strings.Contains(s.Error, said) {
				t.Errorf("ABI %d, %s: broken %v: %q, want %q", abi, name, s.Broken, s.Error, said)
			}
			if c, err := rig.Dial(at[name]); err == nil {
				c.Close()
				t.Errorf("ABI %d, %s: something listens", abi, name)
			}
		}
		given, err := b.Service("given")
		try(t, err)
		for word, needs := range map[string]int{"landlock.net: ": landlock.ABINet, "landlock.scopes: ": landlock.ABIScopes} {
			if lost := strings.Contains(strings.Join(given.Losses, "\n"), word); lost != (abi < needs) {
				t.Errorf("ABI %d: losses %q, of which %s%v is wanted", abi, given.Losses, word, abi < needs)
			}
		}
		b.Stop()
	}
}
