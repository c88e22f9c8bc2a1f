package diff_test

import (
	"reflect"
	"slices"
	"testing"

	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/tests/need"
)

func shipped(t *testing.T, name string) *sandbox.Profile {
	t.Helper()
	for _, p := range lang.ShippedProfiles() {
		if p.Name == name {
			return &p
		}
	}
	t.Fatalf("no profile %q", name)
	return nil
}

// TestEveryPairMirrors: what B grants more than A, A grants less than B; nothing differs from itself. Of the shipped profiles
// it is each with itself, the next and one that is far, and with CASEMATE_RANDOM each with each.
func TestEveryPairMirrors(t *testing.T) {
	all := lang.ShippedProfiles()
	for i := range all {
		for k := i; k < len(all); k++ {
			if few := k-i > 1 && k-i != len(all)/2; few && need.Rounds(0) == 0 {
				continue
			}
			there, err := diff.Profiles(&all[i], &all[k])
			if err != nil {
				t.Fatal(err)
			}
			back, err := diff.Profiles(&all[k], &all[i])
			if err != nil {
				t.Fatal(err)
			}
			if there.Same() != back.Same() || there.Same() != (i == k) || len(there.Layers) != len(back.Layers) {
				t.Errorf("%s and %s: same %v, and back %v", all[i].Name, all[k].Name, there.Same(), back.Same())
				continue
			}
			for n, l := range there.Layers {
				b := back.Layers[n]
				// What is a number or a rank names both sides, the other one first.
				if l.Name == "resources" || l.Name == "syscalls" || l.Name == "network" || l.Name == "files" {
					if len(l.More) != len(b.Less) || len(l.Less) != len(b.More) {
						t.Errorf("%s and %s: %s: %q more, and back %q less", all[i].Name, all[k].Name, l.Name, l.More, b.Less)
					}
				} else if !reflect.DeepEqual(l.More, b.Less) || !reflect.DeepEqual(l.Less, b.More) {
					t.Errorf("%s and %s: %+v, and back %+v", all[i].Name, all[k].Name, l, b)
				}
			}
		}
	}
}

// TestTheLadderOnlyWidens: each of the shipped ladder grants no call less than the one before.
func TestTheLadderOnlyWidens(t *testing.T) {
	ladder := []string{"strict", "line", "files", "server", "login"}
	for i := 1; i < len(ladder); i++ {
		r, err := diff.Profiles(shipped(t, ladder[i-1]), shipped(t, ladder[i]))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range r.Layers {
			if len(l.Less) > 0 {
				t.Errorf("%s to %s: %s: less: %q", r.A, r.B, l.Name, l.Less)
			}
		}
		if r.Widened() == nil {
			t.Errorf("%s to %s does not widen", r.A, r.B)
		}
	}
}

// TestEachAttributeCounts: each thing that a profile can grant more is more, in its layer, and
// the other way round less.
func TestEachAttributeCounts(t *testing.T) {
	for _, c := range []struct {
		layer, more string
		change      func(*sandbox.Profile)
	}{
		{"syscalls", "ptrace", func(p *sandbox.Profile) { p.Syscalls.Allow = append(slices.Clone(p.Syscalls.Allow), "ptrace") }},
		{"syscalls", "@tty", func(p *sandbox.Profile) { p.Syscalls.Allow = append(slices.Clone(p.Syscalls.Allow), "@tty") }},
		{"syscalls", "fcntl(1=0x400)", func(p *sandbox.Profile) {
			p.Syscalls.ByArgument = []sandbox.SyscallRule{{Name: "fcntl", Arg: 1, Values: []uint32{1024, 1}}} // F_GETFD it has
		}},
		{"files", "read /etc", func(p *sandbox.Profile) { p.Files.Read = []string{"/etc", "/usr/lib/sub"} }},
		{"files", "write /srv/a", func(p *sandbox.Profile) { p.Files.Write = []string{"/srv/a"} }},
		{"files", "private /tmp 2MiB, was 1MiB", func(p *sandbox.Profile) { p.Files.Tmp = 2 << 20 }},
		{"files", "private /dev/shm 1MiB, was none", func(p *sandbox.Profile) { p.Files.Shm = 1 << 20 }},
		{"files", "a state directory that stays and that its sessions share", func(p *sandbox.Profile) { p.Files.State = true }},
		{"files", "the host's /srv/etc as /etc", func(p *sandbox.Profile) { p.Files.Map = map[string]string{"/etc": "/srv/etc"} }},
		{"files", "/dev/pts", func(p *sandbox.Profile) { p.Files.Pty = true }},
		{"files", "the host's processes in /proc", func(p *sandbox.Profile) { p.Files.Proc, p.Files.HostProc = true, true }},
		{"network", "mode private, was none", func(p *sandbox.Profile) { p.Network.Mode = "private" }},
		{"network", "mode listener, was none", func(p *sandbox.Profile) { p.Network.Mode = "listener" }},
		{"network", "tcp connect to port 8000-8001", func(p *sandbox.Profile) { p.Network.Connect = []uint16{443, 8000, 8001} }},
		{"network", "tcp bind to port any", func(p *sandbox.Profile) { p.Network.Bind = []uint16{0} }},
		{"capabilities", "CAP_CHOWN", func(p *sandbox.Profile) { p.Capabilities = []string{"CAP_CHOWN"} }},
		{"resources", "tasks 33, was 32", func(p *sandbox.Profile) { p.Resources[sandbox.Tasks] = 33 }},
		{"resources", "tasks unlimited, was 32", func(p *sandbox.Profile) { p.Resources[sandbox.Tasks] = 0 }},
		{"namespaces", "the host's network namespace", func(p *sandbox.Profile) { p.Network.Mode = "host" }},
		{"best effort", "may start without landlock", func(p *sandbox.Profile) { p.BestEffort = []string{"cgroup", "landlock"} }},
	} {
		a, b := *shipped(t, "line"), *shipped(t, "line")
		a.Files.Tmp, b.Files.Tmp = 1<<20, 1<<20
		a.Files.Write, b.Files.Write = []string{"/srv/a/b"}, []string{"/srv/a/b"}
		a.Files.Read, b.Files.Read = []string{"/srv/a"}, []string{"/srv/a"}
		a.Network.Connect, b.Network.Connect = []uint16{443}, []uint16{443}
		c.change(&b)
		if c.layer == "files" && len(b.Files.Write) == 1 && b.Files.Write[0] == "/srv/a" {
			b.Files.Read = nil
		}
		r, err := diff.Profiles(&a, &b)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Layers, func(l diff.Layer) bool { return l.Name == c.layer })
		if i < 0 || !slices.Contains(r.Layers[i].More, c.more) || !slices.Contains(r.Widened(), r.Layers[i].Name) {
			t.Errorf("%s: not %q: %+v", c.layer, c.more, r.Layers)
		}
		if back, err := diff.Profiles(&b, &a); err != nil || back.Same() {
			t.Errorf("%s: %q: nothing the other way round (%v)", c.layer, c.more, err)
		}
	}
	a, b := shipped(t, "line"), *shipped(t, "line")
	b.Files.Read = []string{"/usr/lib/share"} // shown as it was, but for its programs
	r, err := diff.Profiles(a, &b)
	if err != nil || len(r.Layers) != 1 || !slices.Equal(r.Layers[0].Less, []string{"exec /usr/lib/share"}) || r.Widened() != nil {
		t.Errorf("a path without exec below one with: %+v (%v)", r, err)
	}
}

// TestWordsDoNotCount: the same rules in other words are the same.
func TestWordsDoNotCount(t *testing.T) {
	a, b := *shipped(t, "line"), *shipped(t, "line")
	a.Syscalls.Allow = append(slices.Clone(a.Syscalls.Allow), "setsid")
	b.Syscalls.Allow = append(slices.Clone(b.Syscalls.Allow), "@process-basic", "setsid")
	b.Syscalls.ByArgument = []sandbox.SyscallRule{{Name: "setsid", Arg: 0, Values: []uint32{5}}}
	b.Widens, b.Because, b.Base = []string{"syscalls"}, "so", nil
	if r, err := diff.Profiles(&a, &b); err != nil || !r.Same() {
		t.Errorf("%+v (%v)", r, err)
	}
}
