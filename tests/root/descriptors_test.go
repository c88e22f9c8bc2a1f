package root

import (
	"fmt"
	"strings"
	"testing"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"

	"casemate/tests/need"
)

// descriptorPolicy serves one program under each profile with many open files,
// which tells its own limit, and a built-in.
func descriptorPolicy(t *testing.T, extra string) (text string, ports map[string]string) {
	t.Helper()
	program := rig.Compile(t, "testdata/manners.c")
	ports = map[string]string{"server": rig.Port(t), "login": rig.Port(t), "builtin": rig.Port(t)}
	text = allOrNothing(head) + fmt.Sprintf("profile \"worker\" {\n  base = profile.builtin\n  %s\n}\n", extra)
	for _, name := range []string{"server", "login"} {
		text += service(name, "tcp4://127.0.0.1:"+ports[name], []string{program, "limits"}, "profile = profile."+name)
	}
	return text + fmt.Sprintf("\nservice \"builtin\" {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  builtin = \"daytime\"\n  acl = acl.loopback\n  profile = profile.worker\n}\n", ports["builtin"]), ports
}

// TestDescriptorLimits: whatever limits the broker was started with (those of
// systemd, those of a kernel's first process), its services have exactly their
// profiles' open_files. Where it may not raise its own, the limit is named.
func TestDescriptorLimits(t *testing.T) {
	bin := rig.Root(t)
	// Without the capability the host itself makes every case a bounded one.
	able := mayRaise(t)
	bounded := []string{"setpriv", "--bounding-set", "-sys_resource", "--"}
	need.Programs(t, "setpriv", "prlimit")
	for _, c := range []struct {
		name, nofile, extra string
		bounded             bool
		refused, lost       string // where the capability is missing
	}{
		{name: "systemd's defaults", nofile: "1024:20000"},
		{name: "a first process's", nofile: "4096:4096", refused: "RLIMIT_NOFILE of 4103"},
		{name: "few", nofile: "256:256", refused: "RLIMIT_NOFILE of 1031"},
		{name: "systemd's defaults, no CAP_SYS_RESOURCE", nofile: "1024:20000", bounded: true},
		{name: "a first process's, no CAP_SYS_RESOURCE", nofile: "4096:4096", bounded: true, refused: "RLIMIT_NOFILE of 4103"},
		{name: "the same, best effort", nofile: "4096:4096", bounded: true, extra: `best_effort = ["resources.open_files"]`, lost: "4089 in place of 4096"},
		{name: "few, no CAP_SYS_RESOURCE", nofile: "256:256", bounded: true, refused: "RLIMIT_NOFILE of 1031"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if able && !c.bounded {
				c.refused = ""
			}
			text, ports := descriptorPolicy(t, c.extra)
			under := []string{"prlimit", "--nofile=" + c.nofile, "--"}
			if c.bounded {
				under = append(under, bounded...)
			}
			b, err := rig.Start(rig.Options{Bin: bin, Under: under, Files: map[string]string{"test.cm.hcl": text}})
			if c.refused != "" {
				if err == nil {
					b.Stop()
					t.Fatal("serves")
				}
				for _, want := range []string{c.refused, "CAP_SYS_RESOURCE", "LimitNOFILE", "open_files"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the refusal does not say %q: %v", want, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer b.Stop()
			for _, name := range []string{"server", "login"} {
				if got, err := rig.Exchange(ports[name], ""); err != nil || !strings.Contains(got, "nofile 1024 1024\n") {
					t.Errorf("%s: %q (%v), want nofile 1024 1024", name, got, err)
				}
			}
			if got, err := rig.Exchange(ports["builtin"], ""); err != nil || len(got) < 10 {
				t.Errorf("daytime: %q (%v)", got, err)
			}
			s, err := b.Service("builtin")
			if err != nil || c.lost == "" && len(rig.Uncommon(s.Losses)) > 0 || !strings.Contains(strings.Join(s.Losses, " "), c.lost) {
				t.Errorf("losses %q (%v), want %q", s.Losses, err, c.lost)
			}
		})
	}
}

// mayRaise reports whether CAP_SYS_RESOURCE is in this process's bounding set.
func mayRaise(t *testing.T) bool {
	t.Helper()
	const sysResource = 24
	in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, sysResource, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("CAP_SYS_RESOURCE: %v", in == 1)
	return in == 1
}
