package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/sandbox/rootfs"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// script writes a script of root's and returns its path, in a directory that a
// sandbox can show.
func script(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "casemate-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "service")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// A script is bound by the descriptor it was verified through: one that takes
// its name afterwards is not, whether the tree shows the script alone or the
// directory around it, and whether the first one keeps another name or is gone.
func TestScriptSwappedAfterTheCheck(t *testing.T) {
	needRoot(t)
	for _, c := range []struct{ around, gone bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		name := script(t, "#!/bin/sh\necho good\n")
		p, cmd := realistic(), shell("")
		cmd.Path, cmd.Argv = name, []string{"service"}
		if c.around {
			p.Files.Exec = append(p.Files.Exec, filepath.Dir(name))
		}
		pl, err := planOf(t, p, cmd)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := openProgram(name)
		if err != nil {
			t.Fatal(err)
		}
		defer prog.close()
		if !c.gone {
			if err := os.Rename(name, name+".old"); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name+".new", []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
		var text []byte
		ns, err := rootfs.Build(pl.treeWith(prog, nil), func() (err error) {
			text, err = os.ReadFile(name)
			return err
		})
		switch {
		case err == nil:
			unix.Close(ns)
			if c.gone || !strings.Contains(string(text), "good") {
				t.Errorf("%+v: inside is %q", c, text)
			}
		case !c.gone || !strings.Contains(err.Error(), "was removed or replaced while it was looked at: load the policy again"):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestScriptRefused(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name, first, want string
		edit              func(t *testing.T, script string, p *Profile)
	}{
		{"missing interpreter", "#!/no/such/shell", `its interpreter "/no/such/shell": open /no: no such file`, nil},
		{"carriage return", "#!/bin/sh\r", `its first line "#!/bin/sh\r" ends in a carriage return`, nil},
		{"carriage return behind an argument", "#!/usr/bin/env sh\r", `its first line "#!/usr/bin/env sh\r" ends in a carriage return`, nil},
		{"relative interpreter", "#! sh -e", "names no interpreter by an absolute path", nil},
		{"empty line", "#!", "names no interpreter", nil},
		{"interpreter that is data", "#!/etc/passwd", `its interpreter "/etc/passwd": not executable`, nil},
		{"interpreter outside the tree", "#!/bin/sh", `its interpreter /bin/sh cannot be executed inside: add it`, func(_ *testing.T, _ string, p *Profile) { p.Files.Exec = nil }},
		{"interpreter that is only read", "#!/bin/sh", `its interpreter /bin/sh cannot be executed inside: add it`, func(_ *testing.T, _ string, p *Profile) {
			p.Files.Read, p.Files.Exec = p.Files.Exec, nil
		}},
		{"no first line", "echo hello", "neither an ELF program of 64 bits nor a script", nil},
		{"cut off program", "\x7fELF\x02\x01", "neither an ELF program of 64 bits nor a script", nil},
		{"program of another machine", "\x7fELF\x02\x01" + strings.Repeat("\x00", 60), "for another machine", nil},
		{"interpreter without its loader", "#!/bin/sh", "its dynamic loader /lib64/ld-linux-x86-64.so.2 cannot be executed inside: add it", func(_ *testing.T, _ string, p *Profile) {
			p.Files.Exec = []string{"/bin", "/usr/bin"}
		}},
		{"somebody's interpreter", "#!{dir}/own", "belongs to uid 1000, who may change it", func(t *testing.T, s string, _ *Profile) {
			own := filepath.Join(filepath.Dir(s), "own")
			if err := os.WriteFile(own, []byte("x\x00y"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(own, 1000, 1000); err != nil {
				t.Fatal(err)
			}
		}},
		{"program linked where the launch has its path", "\x7fELF\x02\x01" + strings.Repeat("\x00", 10) + "\x02\x00\x3e\x00" + strings.Repeat("\x00", 12) + "\x40" + strings.Repeat("\x00", 21) +
			"\x38\x00\x01\x00" + strings.Repeat("\x00", 6) + "\x01" + strings.Repeat("\x00", 17) + "\x10" + strings.Repeat("\x00", 37), "linked to the address 0x100000", nil},
		{"interpreters without end", "#!{dir}/service", "too many interpreters", nil},
		{"somebody's directory", "#!/bin/sh", "belongs to uid 1000, who could put something else in place of service", func(t *testing.T, s string, _ *Profile) {
			if err := os.Chown(filepath.Dir(s), 1000, 1000); err != nil {
				t.Fatal(err)
			}
		}},
		{"in what the service writes", "#!/bin/sh", "which a service of the policy may write", func(_ *testing.T, s string, p *Profile) {
			p.Files.Write = []string{filepath.Dir(s)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := script(t, "")
			if err := os.WriteFile(name, []byte(strings.ReplaceAll(c.first, "{dir}", filepath.Dir(name))+"\necho\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			p, cmd := realistic(), shell("")
			cmd.Path, cmd.Argv = name, []string{"service"}
			if c.edit != nil {
				c.edit(t, name, &p)
			}
			refused(t, p, cmd, c.want)
		})
	}
}

// refused prepares the sandbox of a plan that must be refused with these words.
func refused(t *testing.T, p Profile, c Command, want string) {
	t.Helper()
	pl, err := planOf(t, p, c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Prepare(pl, Options{})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// A program that the profile names as well, or that lies in what it grants, still runs, and one whose
// dynamic loader is not in the tree is refused with its name.
func TestProgramInTheTree(t *testing.T) {
	for _, c := range []struct {
		name       string
		read, exec []string
		refused    string
	}{
		{"loader missing", nil, nil, "its dynamic loader /lib64/ld-linux-x86-64.so.2 cannot be executed inside: add it"},
		{"loader only read", []string{"/lib64", "/usr/lib"}, nil, "its dynamic loader /lib64/ld-linux-x86-64.so.2 cannot be executed inside"},
		{"read names it", []string{"/usr/bin/env"}, []string{"/lib", "/lib64", "/usr/lib"}, ""},
		{"read names its directory", []string{"/usr/bin"}, []string{"/lib", "/lib64", "/usr/lib"}, ""},
		{"missing exec inside exec", nil, []string{"/lib", "/lib64", "/usr/lib", "/usr/lib/no-such-thing"}, "/usr/lib/no-such-thing"},
		{"exec inside exec", nil, []string{"/lib", "/lib64", "/usr/bin/env", "/usr/lib", "/usr/lib/x86_64-linux-gnu"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			needRoot(t)
			p, cmd := realistic(), shell("")
			p.Files.Read, p.Files.Exec = c.read, c.exec
			cmd.Path, cmd.Argv, cmd.Env = "/usr/bin/env", []string{"env"}, []string{"A=ran"}
			if c.refused == "" {
				if out, r, ws := once(t, start(t, p, cmd), zygote.Request{}); r.Err() != nil || !strings.Contains(out, "A=ran\n") {
					t.Errorf("output %q (status %v, %v)", out, ws, r.Err())
				}
				return
			}
			refused(t, p, cmd, c.refused)
		})
	}
}
