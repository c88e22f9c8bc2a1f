package foresee

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/seccomp/launch"
	"casemate/tests/need"
)

// TestLookForeseesPrepare: what Look reports is what Prepare refuses, by the same word, and
// nothing of what it takes.
func TestLookForeseesPrepare(t *testing.T) {
	need.Root(t, "prepares sandboxes")
	dir, err := os.MkdirTemp("/var/tmp", "casemate-foresee-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	script := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	shell := script("shell", "#!/bin/sh\necho\n")
	if err := os.Symlink("/bin/cat", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.WriteFile(hidden, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	libs := []string{"/lib", "/lib64", "/usr/lib"}
	for _, c := range []struct {
		name, program string
		files         sandbox.Files
		refused       string // "" is not at all
	}{
		{"a program", "/bin/cat", sandbox.Files{Exec: libs}, ""},
		{"by a link", filepath.Join(dir, "link"), sandbox.Files{Exec: libs}, ""},
		{"without libraries", "/bin/cat", sandbox.Files{}, "its dynamic loader"},
		{"libraries that are only read", "/bin/cat", sandbox.Files{Read: libs}, "its dynamic loader"},
		{"a loader inside of what is read", "/bin/cat", sandbox.Files{Read: []string{"/usr"}, Exec: libs}, ""},
		{"a script", shell, sandbox.Files{Exec: append([]string{"/bin", "/usr/bin"}, libs...)}, ""},
		{"a script without its interpreter", shell, sandbox.Files{Exec: libs}, "its interpreter /bin/sh cannot be executed inside"},
		{"the interpreter alone", shell, sandbox.Files{Exec: []string{"/bin/sh"}}, "its dynamic loader"},
		{"a path that is not there", "/bin/cat", sandbox.Files{Exec: libs, Read: []string{"/nothing-here"}}, "read /nothing-here"},
		{"a path on procfs", "/bin/cat", sandbox.Files{Exec: libs, Read: []string{"/proc/sys"}}, "procfs"},
		{"a device", "/bin/cat", sandbox.Files{Exec: libs, Read: []string{"/dev/null"}}, "is a device node"},
		{"in what a service may write", "/bin/cat", sandbox.Files{Exec: libs, Read: []string{filepath.Join(dir, "shell")}, Write: []string{dir}}, "lies in " + dir},
		{"under a private /tmp", hidden, sandbox.Files{Exec: append([]string{"/bin", "/usr/bin"}, libs...), Tmp: 1 << 20}, "the profile's private /tmp (or /dev/shm) hides the host's: put it elsewhere"},
		{"libraries of another place", "/bin/cat", sandbox.Files{Exec: libs, Map: map[string]string{"/lib64": filepath.Join(dir, "none")}}, "open " + dir + "/none"},
		{"a program of another place", "/opt/elsewhere/cat", sandbox.Files{Exec: libs, Map: map[string]string{"/opt/elsewhere": "/bin"}}, ""},
		{"a program that the place lacks", "/opt/elsewhere/shell", sandbox.Files{Exec: libs, Map: map[string]string{"/opt/elsewhere": "/bin"}}, "open /usr/bin/shell: no such file"},
		{"a place in what a service may write", "/bin/cat", sandbox.Files{Exec: libs, Write: []string{dir}, Read: []string{"/opt/data"}, Map: map[string]string{"/opt/data": filepath.Join(dir, "sub")}}, "lies in " + dir},
		{"the host's /proc", "/bin/cat", sandbox.Files{Exec: libs, Proc: true, HostProc: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := sandbox.NewPlan(sandbox.Profile{Network: sandbox.Network{Mode: sandbox.NetworkNone}, Files: c.files, Syscalls: sandbox.Syscalls{OnViolation: "kill"}},
				sandbox.Command{Service: "s", Path: c.program, Argv: []string{"s"}, Dynamic: true, Sockets: 1})
			if err != nil {
				t.Fatal(err)
			}
			plan.Filter = launch.Compile(plan.Shape(sandbox.ABI()))
			faults := Look(Here{}, plan, nil)
			box, err := sandbox.Prepare(plan, sandbox.Options{})
			if err == nil {
				defer box.Close()
			}
			if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("prepare: %v, want %q", err, c.refused)
			}
			if (len(faults) > 0) != (err != nil) || err != nil && !strings.HasSuffix(err.Error(), faults[0].Error()) {
				t.Errorf("foreseen %v, and prepare says %v", faults, err)
			}
		})
	}
}
