package script

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/inject"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestConfined: while a verb waits for its input it can read what it was told to
// read, write what it writes, and nothing else.
func TestConfined(t *testing.T) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 4 {
		need.Kernel(t, "the test is about Landlock with tcp, and it has ABI %d (%v)", abi, errno)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	silent := filepath.Join(t.TempDir(), "s")
	control, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	for name, c := range map[string]struct {
		verb         string
		reads, write bool
	}{
		"check":      {"check LINK -", true, false},
		"fmt":        {"fmt LINK -", true, true},
		"fmt file":   {"fmt LINK/p.cm.hcl -", true, true},
		"fmt check":  {"fmt --check LINK -", true, false},
		"compile":    {"compile LINK -", true, false},
		"stdin":      {"compile --stdin", false, false},
		"status":     {"status --control " + silent, false, false},
		"explain":    {"explain e 192.0.2.1 LINK -", true, false},
		"diff":       {"diff LINK -", true, false},
		"diff git":   {"diff - git:HEAD:LINK", false, false},
		"report":     {"report LINK -", true, false},
		"unconfined": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			told, other := filepath.Join(dir, "told"), filepath.Join(dir, "other")
			for _, d := range []string{told, other} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(d, "p.cm.hcl"), []byte("policy { edition = 1 }\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(dir, "link")
			if err := os.Symlink(told, link); err != nil {
				t.Fatal(err)
			}
			free := c.verb == ""
			cmd := exec.Command("sleep", "1000")
			if !free {
				cmd = exec.Command(filepath.Join(bin, "casemate"), strings.Fields(strings.ReplaceAll(c.verb, "LINK", link))...)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			p := inject.Stop(t, cmd.Process.Pid, !free)
			may := func(yes bool) error {
				if yes || free {
					return nil
				}
				return unix.EACCES
			}
			p.Open(filepath.Join(other, "p.cm.hcl"), unix.O_PATH, nil) // it is there
			p.Open(filepath.Join(other, "p.cm.hcl"), unix.O_RDONLY, may(false))
			p.Open(filepath.Join(other, "new"), unix.O_WRONLY|unix.O_CREAT, may(false))
			p.Open(filepath.Join(told, "p.cm.hcl"), unix.O_RDONLY, may(c.reads))
			p.Open(filepath.Join(told, "new"), unix.O_WRONLY|unix.O_CREAT, may(c.write))
			p.Connect(l.Addr().(*net.TCPAddr).Port, may(false))
		})
	}
}
