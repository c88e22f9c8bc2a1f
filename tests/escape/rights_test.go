package escape

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/root/rig"

	"casemate/tests/need"
)

// hostProfile is a profile in the host's network whose filter lets it make
// sockets of every kind: Landlock alone holds what it does with them.
func hostProfile(ports, extra string) string {
	return "  base = profile.server\n  widens = [\"network\", \"syscalls\"]\n  init = false\n  because = \"tests\"\n  network {\n    mode = \"host\"\n    " + ports + "\n  }\n" +
		"  syscalls { allow = [\"@socket-server\"] }\n  " + extra
}

// TestEachNetworkRightAlone: a list of ports that is "any" frees its own right
// and no other (attempt 60 and 54 under a host-network profile).
func TestEachNetworkRightAlone(t *testing.T) {
	rig.Root(t)
	if abi := landlock.ABI(); abi < landlock.ABIScopes {
		need.Kernel(t, "it has Landlock ABI %d: such profiles are refused, see TestOldKernel", abi)
	}
	victim, c := compileVictim(t), plant(t)
	var policy strings.Builder
	policy.WriteString(policyHead)
	cases := []struct {
		name, ports   string
		connect, bind string // what answers for it
	}{
		{"any-connect", `connect = ["any"]`, "ok", "EACCES"},
		{"any-bind", `bind = ["any"]`, "EACCES", "ok"},
		{"any-of-both", "connect = [\"any\"]\n    bind = [\"any\"]", "ok", "ok"},
		{"one-connect", `connect = [1]`, "EACCES", "EACCES"},
		{"one-bind", `bind = [1]`, "EACCES", "EACCES"},
		{"none", "", "EACCES", "EACCES"},
	}
	port, free := map[string]string{}, rig.Port(t)
	for _, k := range cases {
		port[k.name] = rig.Port(t)
		policy.WriteString(serviceText(k.name, port[k.name], victim, hostProfile(k.ports, "")))
	}
	rig.Serve(t, policy.String())
	values := c.values(victim, free)
	connect, bind := fill(t, "tcp 127.0.0.1 {tcp}", values), fill(t, "listen 127.0.0.1 {port}", values)
	for _, k := range cases {
		before := c.touched.Load()
		if o := inside(t, port[k.name], connect); o.result != k.connect {
			t.Errorf("%s: %s: %s, want %s", k.name, connect, o, k.connect)
		}
		if k.connect == "ok" {
			if err := rig.Until(30*time.Second, func() error {
				if c.touched.Load() == before {
					return errors.New("the canary was not reached")
				}
				return nil
			}); err != nil {
				t.Errorf("%s: %v", k.name, err)
			}
		} else if time.Sleep(20 * time.Millisecond); c.touched.Load() > before {
			t.Errorf("%s: the canary was reached", k.name)
		}
		if o := inside(t, port[k.name], bind); o.result != k.bind {
			t.Errorf("%s: %s: %s, want %s", k.name, bind, o, k.bind)
		}
		if o := inside(t, port[k.name], fill(t, "unix-abstract {abstract}", values)); o.result != "EPERM" {
			t.Errorf("%s: an abstract unix socket of the host: %s, want EPERM", k.name, o)
		}
	}
	for _, line := range []string{connect, bind} {
		if o := outside(t, victim, line, asNobody); o.result != "ok" {
			t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", line, o)
		}
	}
}

// TestOldKernel: on a kernel whose Landlock knows no ports and no scopes
// (Debian 12's own, ABI 2) every shipped profile serves, and what Landlock would
// hold is held. What it alone holds is refused by name, or given up by name.
func TestOldKernel(t *testing.T) {
	bin := rig.Root(t)
	victim, c := compileVictim(t), plant(t)
	under := []string{rig.Compile(t, "testdata/abi.c"), "2"}
	text := policyHead
	ports := map[string]string{}
	for _, name := range []string{"strict", "line", "files", "server", "login"} {
		ports[name] = rig.Port(t)
		text += serviceText("old-"+name, ports[name], victim, "  base = profile."+name+"\n  init = false")
	}
	day := rig.Port(t)
	text += fmt.Sprintf("service \"day\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"daytime\"\n  acl = acl.localhost\n}\n", day)
	b, err := rig.Start(rig.Options{Bin: bin, Under: under, Files: map[string]string{"test.cm.hcl": text}})
	if err != nil {
		t.Fatal(err)
	}
	values := c.values(victim, rig.Port(t))
	for name, port := range ports {
		for _, a := range everywhere {
			line := fill(t, a.line, values)
			if o := inside(t, port, line); !denied(a.want+"|killed", o) {
				t.Errorf("%s: #%d %s: %s, want %s", name, a.number, line, o, a.want)
			}
		}
		s, err := b.Service("old-" + name)
		if err != nil {
			t.Fatal(err)
		}
		// The kernel is made older by a listener of its own, and there is one for all filters.
		lost := slices.DeleteFunc(rig.Uncommon(s.Losses), func(l string) bool { return strings.HasPrefix(l, "denied calls are not named") })
		if name == "login" && len(lost) > 0 && strings.HasPrefix(lost[0], "files.log: this kernel has Landlock ABI 2,") {
			lost = lost[1:] // a grant that it does without
		} else if name == "login" {
			t.Errorf("login: losses %q, want its log", s.Losses)
		}
		if len(lost) != 0 {
			t.Errorf("%s: losses %q, want none: other layers hold all of it", name, s.Losses)
		}
		if o := inside(t, port, "log x"); !denied(noSocket+"|killed", o) {
			t.Errorf("%s: /dev/log: %s", name, o)
		}
	}
	if got, err := rig.Exchange(day, ""); err != nil || len(got) < 10 {
		t.Errorf("the built-in answered %q (%v)", got, err)
	}
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	b.Stop()
	testGivenUp(t, bin, victim, under, c)
}

// testGivenUp: a host-network profile on the old kernel.
func testGivenUp(t *testing.T, bin, victim string, under []string, c *canaries) {
	values := c.values(victim, rig.Port(t))
	for _, k := range []struct{ ports, effort, refused, lost string }{
		{"connect = [1]", "", `best_effort = ["landlock.net"]`, ""},
		{"connect = [1]", `"landlock.net"`, `best_effort = ["landlock.scopes"]`, ""},
		{"connect = [1]", `"landlock.scopes"`, `best_effort = ["landlock.net"]`, ""},
		{"connect = [1]", `"landlock.net", "landlock.scopes"`, "", "landlock.net: this kernel has Landlock ABI 2, and it takes 4 (Linux 6.7) landlock.scopes"},
		{"connect = [1]", `"landlock"`, "", "landlock.net"},
		{"connect = [\"any\"]\n    bind = [\"any\"]", `"landlock.scopes"`, "", "landlock.scopes"},
	} {
		port := rig.Port(t)
		name := k.ports + " " + k.effort
		b, err := rig.Start(rig.Options{Bin: bin, Under: under, Files: map[string]string{
			"test.cm.hcl": policyHead + serviceText("host", port, victim, hostProfile(k.ports, "best_effort = ["+k.effort+"]")),
		}})
		if k.refused != "" {
			if err == nil {
				b.Stop()
				t.Errorf("%s: serves", name)
			} else if !strings.Contains(err.Error(), k.refused) || !strings.Contains(err.Error(), "ABI 2") {
				t.Errorf("%s: the refusal does not say %q: %v", name, k.refused, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s, err := b.Service("host"); err != nil || !strings.Contains(strings.Join(s.Losses, " "), k.lost) {
			t.Errorf("%s: losses %q (%v), want %q", name, s.Losses, err, k.lost)
		}
		if o := inside(t, port, fill(t, "tcp 127.0.0.1 {tcp}", values)); o.result != "ok" {
			t.Errorf("%s: %s, but the right is what was given up", name, o)
		}
		if o := inside(t, port, "open-read /etc/shadow"); !denied(unseen, o) {
			t.Errorf("%s: %s: other layers are off as well", name, o)
		}
		b.Stop()
	}
}
