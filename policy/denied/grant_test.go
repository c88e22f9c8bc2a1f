package denied

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/spoken"
)

// tries are calls with arguments that filters tell apart; every other call is tried with zeros.
func tries() []spoken.Call {
	var out []spoken.Call
	add := func(name string, args ...uint64) {
		nr, _ := seccomp.Number(name)
		c := spoken.Call{Nr: nr}
		copy(c.Args[:], args)
		out = append(out, c)
	}
	for _, name := range seccomp.Names() {
		add(name)
		nr, _ := seccomp.Number(name)
		out = append(out, spoken.Call{Nr: nr, Blind: true})
	}
	for family := uint64(0); family < 46; family += 1 + family/11*3 {
		for kind := uint64(1); kind < 6; kind++ {
			add("socket", family, kind|0x80000, 0)
			add("socket", 1<<40|family, kind, 6)
			add("socketpair", family, kind, 0)
		}
	}
	for _, v := range []uint64{1, 2, 9, 15, 22, 36, 38, 53, 1 << 33, 0x5401, 0x5412, 0x5421, 0x8912, 0x541b, 1033, 1030} {
		add("ioctl", 0, v)
		add("prctl", v, 1)
		add("fcntl", 0, v)
		add("arch_prctl", v)
		add("personality", v)
		add("prlimit64", 0, v)
		add("setsockopt", 0, v, 2)
		add("clone", 17|v<<20)
		add("mmap", 0, 4096, 7, v)
		add("sendto", 0, 0, 0, v<<24, 1)
	}
	return out
}

// TestGrants: under each shipped profile, whatever call is denied, the lines that are said to grant it
// make a policy that compiles, and whose filter lets the call through; there are none only
// for what no profile can have. Profiles that differ in nothing that Grant looks at are tried once, and so
// is a profile that grants several calls.
func TestGrants(t *testing.T) {
	tried := map[string]string{}
	for _, base := range lang.ShippedProfiles() {
		before, err := calls.Resolve(&base.Syscalls)
		if err != nil {
			t.Fatal(err)
		}
		seen := fmt.Sprint(before, base.Network, base.Because == "")
		if by := tried[seen]; by != "" {
			t.Logf("%s: as %s", base.Name, by)
			continue
		}
		tried[seen] = base.Name
		t.Run(base.Name, func(t *testing.T) {
			of := Service{Service: "x", At: "a.cm.hcl:1:1", Profile: base}
			of.Profile.Name, of.Profile.Base = "own", []string{base.Name}
			var text strings.Builder
			text.WriteString("policy { edition = 1 }\nservice \"e\" {\nlisten = [\"tcp://:7\"]\nbuiltin = \"echo\"\nacl = acl.anyone\n}\n")
			names := map[string]string{} // of the profiles, by what they grant
			granted := map[string][]spoken.Call{}
			for i, c := range tries() {
				g := Grant(&of, c)
				rule := exact(c)
				if allows(before, rule) {
					continue
				}
				_, err := seccomp.Numbered([]seccomp.Rule{rule})
				if g == "" {
					if err == nil {
						t.Errorf("nothing grants %s", c)
					}
					continue
				}
				if IsNote(g) {
					if !slices.Contains(onSocket, c.Name()) && !(c.Name() == "socket" && c.Blind) || advise.Internet(before) || base.Network.Mode == sandbox.NetworkHost {
						t.Errorf("%s is only told of: %s", c, g)
					}
					if names[g] == "" {
						names[g] = fmt.Sprintf("n%d", i)
						fmt.Fprintf(&text, "profile %q {\nbase = profile.%s\n%s\n}\n", names[g], base.Name, HCL(g))
					}
					continue
				}
				granted[g] = append(granted[g], c)
				if names[g] != "" {
					continue
				}
				names[g] = fmt.Sprintf("p%d", i)
				lines := strings.NewReplacer(`"..."`, `"the test is about it"`, `"PORT"`, `"80"`).Replace(HCL(g))
				if !strings.Contains(lines, "because") {
					lines += "\nbecause = \"the test is about it\""
				}
				fmt.Fprintf(&text, "profile %q {\nbase = profile.%s\n%s\n}\n", names[g], base.Name, lines)
			}
			doc, found := lang.Compile([]policy.SourceFile{{Name: "a.cm.hcl", Data: []byte(text.String())}})
			for _, d := range found {
				if policy.HasErrors([]policy.Diagnostic{d}) {
					t.Errorf("%s", d.Summary)
				}
			}
			if doc == nil {
				t.Fatal("it does not compile")
			}
			if len(granted) < 20 {
				t.Errorf("only %d grants were tried", len(granted))
			}
			for g, list := range granted {
				p := doc.Policy.Profile(names[g])
				if p == nil {
					t.Fatalf("%s is gone", names[g])
				}
				after, err := calls.Resolve(&p.Syscalls)
				for _, c := range list {
					if err != nil || !allows(after, exact(c)) {
						t.Errorf("%s is not granted by %q (%v)", c, g, err)
					}
				}
			}
		})
	}
}

// TestGrantWords: how some grants are said.
func TestGrantWords(t *testing.T) {
	strict := lang.ShippedProfiles()[0]
	shipped := Service{At: "shipped/base.cm.hcl:1:1", Profile: strict}
	nr, _ := seccomp.Number("shmget")
	if got, want := Grant(&shipped, spoken.Call{Nr: nr}), "a profile with base = profile."+strict.Name+`: widens = ["syscalls"], syscalls { allow = ["@sysv-ipc"] }`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for call, want := range map[string]string{
		"chroot": `syscalls { allow = ["chroot"] }, # for what is not its own already the kernel asks for CAP_SYS_CHROOT too: widens = ["capabilities"], because = "...", capabilities = ["CAP_SYS_CHROOT"]`,
		"mount":  `syscalls { allow = ["mount"] }, # and then the kernel refuses it for want of CAP_SYS_ADMIN, which no service gets`,
	} {
		nr, _ := seccomp.Number(call)
		got := Grant(&shipped, spoken.Call{Nr: nr})
		if !strings.HasSuffix(got, want) || !strings.Contains(HCL(got), "\n# ") {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
		has := shipped
		has.Profile.Capabilities = []string{"CAP_SYS_CHROOT"}
		if got := Grant(&has, spoken.Call{Nr: nr}); strings.Contains(got, "#") != (call == "mount") {
			t.Errorf("%s with CAP_SYS_CHROOT: %q", call, got)
		}
	}
	nr, _ = seccomp.Number("mmap") // at an address of its own, as its rules allow and what executes once may not
	low := spoken.Call{Nr: nr, Args: [6]uint64{0x1759b000, 4096, 3, 0x32}}
	if got := Grant(&shipped, low); !strings.Contains(got, `syscalls { allow = ["execve"] }, # `) || !strings.HasSuffix(got, "for a Go program rather base = profile.go") {
		t.Errorf("memory below 4 GiB: %q", got)
	}
	own := shipped
	own.At, own.Profile.Name = "a.cm.hcl:3:1", "own"
	own.Profile.Syscalls.Deny = []string{"getcwd"}
	own.Profile.Syscalls.Allow = []string{"@line"}
	nr, _ = seccomp.Number("getcwd")
	if got, want := Grant(&own, spoken.Call{Nr: nr}), `profile.own: # take "getcwd" out of syscalls { deny }`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Grant(&Service{Service: "gone"}, spoken.Call{Nr: nr}); got != "" {
		t.Errorf("of a service that is gone: %q", got)
	}
}

// TestBindOfUDPAlone: a profile that makes UDP sockets alone is offered no ports of TCP to bind one.
func TestBindOfUDPAlone(t *testing.T) {
	for _, p := range lang.ShippedProfiles() {
		if p.Name != "tftpd" {
			continue
		}
		of := Service{Service: "tftp", At: "a.cm.hcl:1:1", Profile: p}
		of.Profile.Name = "own"
		of.Profile.Syscalls.Allow = slices.DeleteFunc(slices.Clone(p.Syscalls.Allow), func(s string) bool { return s == "bind" })
		nr, _ := seccomp.Number("bind")
		const want = `profile.own: widens = ["syscalls"], syscalls { allow = ["bind"] }`
		if g := Grant(&of, spoken.Call{Nr: nr}); g != want {
			t.Errorf("%q, want %q", g, want)
		}
		return
	}
	t.Error("no profile.tftpd")
}

// TestUnknownFamily: of a call on a socket whose family nobody sees, a profile that makes no
// internet sockets is offered no network of the host's.
func TestUnknownFamily(t *testing.T) {
	for _, base := range lang.ShippedProfiles() {
		rules, err := calls.Resolve(&base.Syscalls)
		if err != nil {
			t.Fatal(err)
		}
		if advise.Internet(rules) {
			continue
		}
		for _, mode := range []sandbox.NetworkMode{sandbox.NetworkNone, sandbox.NetworkListener, sandbox.NetworkHost} {
			of := Service{Service: "x", At: "a.cm.hcl:1:1", Profile: base}
			of.Profile.Name, of.Profile.Network.Mode = "own", mode
			for _, name := range []string{"bind", "listen", "connect", "setsockopt"} {
				nr, _ := seccomp.Number(name)
				c := spoken.Call{Nr: nr}
				if name == "setsockopt" {
					c.Args = [6]uint64{0, 1, 2} // SO_REUSEADDR
				}
				if allows(rules, exact(c)) {
					continue
				}
				g := Grant(&of, c)
				switch host := mode == sandbox.NetworkHost; {
				case !host && !IsNote(g), name == "bind" && !host && !(strings.Contains(g, "of a unix socket") && strings.Contains(g, "of a TCP or UDP socket")):
					t.Errorf("%s, mode %s: %s: %q", base.Name, mode, name, g)
				case host && name != "setsockopt" && g != fmt.Sprintf(`profile.own: widens = ["syscalls"], syscalls { allow = [%q] }`, name):
					t.Errorf("%s, mode %s: %s: %q", base.Name, mode, name, g)
				}
			}
		}
	}
}

// TestGrantsUnderDenyWriteExecute: what the attribute denies is granted by lines that take it back, with the calls
// beside it that the lists lack; what it does not deny leaves it alone.
func TestGrantsUnderDenyWriteExecute(t *testing.T) {
	text := "policy { edition = 1 }\nservice \"e\" {\nlisten = [\"tcp://:7\"]\nbuiltin = \"echo\"\nacl = acl.anyone\n}\n" +
		"profile \"kept\" {\nbase = profile.files\nsyscalls {\ndeny_write_execute = true\nallow = [\"mprotect\"]\n}\n}\n"
	doc, found := lang.Compile([]policy.SourceFile{{Name: "a.cm.hcl", Data: []byte(text)}})
	if doc == nil || doc.Policy.Profile("kept") == nil {
		t.Fatalf("%+v", found)
	}
	of := Service{Service: "x", At: "a.cm.hcl:1:1", Profile: *doc.Policy.Profile("kept")}
	for name, want := range map[string]string{
		"mprotect":     `syscalls { deny_write_execute = false }`,
		"mmap":         `syscalls { deny_write_execute = false, allow = ["@jit"] }`,
		"memfd_create": `syscalls { deny_write_execute = false, allow = ["@memfd"] }`,
		"shmget":       `syscalls { allow = ["@sysv-ipc"] }`,
	} {
		nr, _ := seccomp.Number(name)
		c := spoken.Call{Nr: nr, Args: [6]uint64{2: 7}}
		got := Grant(&of, c)
		if got != `profile.kept: widens = ["syscalls"], `+want {
			t.Errorf("%s: %q, want %q", name, got, want)
			continue
		}
		more := text + "profile \"more\" {\nbase = profile.kept\n" + HCL(got) + "\n}\n"
		doc, found := lang.Compile([]policy.SourceFile{{Name: "a.cm.hcl", Data: []byte(more)}})
		if doc == nil || len(found) > 0 {
			t.Errorf("%s: %s\n%+v", name, got, found)
			continue
		}
		rules, err := calls.Resolve(&doc.Policy.Profile("more").Syscalls)
		if err != nil || !allows(rules, exact(c)) {
			t.Errorf("%s is not granted by %q (%v)", name, got, err)
		}
	}
}
