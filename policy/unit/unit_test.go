package unit_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"casemate/policy/lang"
	"casemate/policy/unit"
	"casemate/sandbox"
	"casemate/tests/need"
)

func shipped(t *testing.T, name string) sandbox.Profile {
	t.Helper()
	for _, p := range lang.ShippedProfiles() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no profile %q", name)
	return sandbox.Profile{}
}

func service(t *testing.T, p sandbox.Profile) string {
	t.Helper()
	units, err := unit.Units(&p)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units: %v", len(units), err)
	}
	return units[1].Text
}

// judge is what systemd-analyze security says of a service, 0 to 10.
func judge(t *testing.T, text string) float64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "judged.service")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	_, rest, found := strings.Cut(string(out), "Overall exposure level for judged.service: ")
	if err != nil || !found {
		t.Fatalf("%v\n%s", err, out)
	}
	level, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return level
}

// TestJudgedFromOutside: systemd-analyze security, which knows nothing of casemate, says that
// what comes nearest to the shipped profiles exposes less than the bounds; and that a
// profile which grants more exposes more, so that it is the profile which is judged.
func TestJudgedFromOutside(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		need.Skip(t, "there is no systemd-analyze: %v", err)
	}
	levels := map[string]float64{}
	for name, bound := range map[string]float64{"strict": 1.0, "line": 1.5, "files": 1.5, "server": 1.5, "login": 1.5, "go": 1.0, "perl": 1.5, "python": 1.5, "shell": 1.5, "git": 1.5, "node": 1.5, "jvm": 1.5, "classic": 1.5, "classic_wait": 1.5, "classic_login": 2.5, "builtin": 1.0} {
		if levels[name] = judge(t, service(t, shipped(t, name))); levels[name] >= bound {
			t.Errorf("%s: %v, want below %v", name, levels[name], bound)
		}
	}
	wide := shipped(t, "line")
	wide.Network = sandbox.Network{Mode: sandbox.NetworkHost, Connect: []uint16{0}, Bind: []uint16{0}}
	wide.Capabilities = []string{"CAP_SETUID", "CAP_CHOWN"}
	wide.Syscalls.Allow = append([]string{"@socket-server", "ptrace"}, wide.Syscalls.Allow...)
	if level := judge(t, service(t, wide)); level < levels["line"]+1 {
		t.Errorf("with the host's network, capabilities and ptrace %v, without %v", level, levels["line"])
	}
}

// TestSystemdReadsIt: systemd knows every word of the units, and takes every path as it is meant.
func TestSystemdReadsIt(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		need.Skip(t, "there is no systemd-analyze: %v", err)
	}
	all := lang.ShippedProfiles()
	odd := shipped(t, "server")
	odd.Name = "odd"
	odd.Files.Read = []string{"/srv/a b", "/srv/a:b", "/srv/100%", `/srv/"q"`, "/srv/ünï"}
	odd.Files.Write, odd.Files.Devices, odd.Files.Optional = []string{"/home/x"}, []string{"/dev/ttyS0"}, []string{"/srv/a b"}
	odd.Files.Map = map[string]string{"/srv/a:b": "/opt/c:d", "/srv/100%": "/opt/2 100%", "/home/x": "/srv/y"}
	odd.Files.Shm, odd.Resources[sandbox.CPU], odd.Resources[sandbox.CPUTime] = 1<<20, 500, 10
	odd.Resources[sandbox.Processes], odd.Resources[sandbox.FileSize] = 8, 1<<20
	odd.Network = sandbox.Network{Mode: sandbox.NetworkHost, Bind: []uint16{8080}}
	dir := t.TempDir()
	var files []string
	var every [][]unit.Unit
	for _, p := range append(all, odd) {
		units, err := unit.Units(&p)
		if err != nil {
			t.Fatal(err)
		}
		every = append(every, units)
	}
	doc := compile(t)
	for i := range doc.Policy.Services {
		units, err := unit.OfService(doc.Policy, &doc.Policy.Services[i])
		if err != nil {
			t.Fatal(err)
		}
		every = append(every, units)
	}
	for _, units := range every {
		for _, u := range units {
			file := filepath.Join(dir, u.Name)
			if err := os.WriteFile(file, []byte(strings.NewReplacer("/usr/sbin/PROGRAM", "/bin/true", "/usr/lib/systemd/systemd-socket-proxyd", "/bin/true").Replace(u.Text)), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) { // it goes on after what it does not know
		t.Errorf("systemd says: %v\n%s", err, out)
	}
}

// TestUnitFollowsTheProfile: each thing that a profile grants stands in its unit, and goes with it.
func TestUnitFollowsTheProfile(t *testing.T) {
	for _, c := range []struct {
		line   string
		change func(*sandbox.Profile)
	}{
		{"PrivateNetwork=yes", func(p *sandbox.Profile) { p.Network.Mode = sandbox.NetworkHost }},
		{"IPAddressDeny=any", func(p *sandbox.Profile) { p.Network.Mode = sandbox.NetworkHost }},
		{"RestrictAddressFamilies=none", func(p *sandbox.Profile) { p.Syscalls.Allow = []string{"@line", "@socket-unix"} }},
		{"RestrictAddressFamilies=none", func(p *sandbox.Profile) { p.Syscalls.Allow = []string{"@line", "socket"} }},
		{"MemoryDenyWriteExecute=yes", func(p *sandbox.Profile) { p.Syscalls.Allow = []string{"@line", "@jit"} }},
		{"CapabilityBoundingSet=", func(p *sandbox.Profile) { p.Capabilities = []string{"CAP_CHOWN"} }},
		{"PrivateUsers=yes", func(p *sandbox.Profile) { p.Capabilities = []string{"CAP_CHOWN"} }},
		{"BindReadOnlyPaths=/lib /lib64 /usr/lib", func(p *sandbox.Profile) { p.Files.Exec = nil }},
		{"ExecPaths=/usr/sbin/PROGRAM /lib /lib64 /usr/lib", func(p *sandbox.Profile) { p.Files.Exec = nil }},
		{"ProtectHome=yes", func(p *sandbox.Profile) { p.Files.Write = []string{"/home/x"} }},
		{"InaccessiblePaths=-/var/tmp -/tmp -/dev/shm", func(p *sandbox.Profile) { p.Files.Tmp = 1 << 20 }},
		{"PrivateDevices=yes", func(p *sandbox.Profile) { p.Files.Devices = []string{"/dev/ttyS0"} }},
		{"ProtectProc=invisible", func(p *sandbox.Profile) { p.Files.Proc, p.Files.HostProc = true, true }},
		{"SystemCallErrorNumber=EPERM", func(p *sandbox.Profile) { p.Syscalls.OnViolation = "kill" }},
		{"LimitNPROC=32", func(p *sandbox.Profile) { p.Resources[sandbox.Tasks] = 0 }},
		{"MemoryMax=536870912", func(p *sandbox.Profile) { p.Resources[sandbox.Memory] = 0 }},
	} {
		p := shipped(t, "line")
		has := func() bool { return strings.Contains("\n"+service(t, p), "\n"+c.line+"\n") }
		if !has() {
			t.Errorf("%s: not in the unit of line", c.line)
		}
		if c.change(&p); has() {
			t.Errorf("%s: still there", c.line)
		}
	}
	for i, row := range sandbox.ResourceRows {
		p := shipped(t, "line")
		before := service(t, p)
		if p.Resources[i] = row.Max; service(t, p) == before {
			t.Errorf("%s is not in the unit", row.Name)
		}
	}
	wait, err := unit.Units(&[]sandbox.Profile{shipped(t, "classic_wait")}[0])
	if text, _ := json.Marshal(wait); err != nil || wait[1].Name != "classic_wait.service" || !strings.Contains(string(text), "Accept=no") {
		t.Errorf("a service with wait: %s (%v)", text, err)
	}
}

// TestUnitOfPrivateNetwork: a network of each connection's own is one, with its loopback.
func TestUnitOfPrivateNetwork(t *testing.T) {
	p := shipped(t, "line")
	p.Network.Mode = sandbox.NetworkPrivate
	text := service(t, p)
	for _, line := range []string{"\nPrivateNetwork=yes\n", "\nIPAddressDeny=any\n", "\nIPAddressAllow=localhost\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %s", line, text)
		}
	}
}
