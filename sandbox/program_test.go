package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/machine"
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
		prog, err := (&Plan{Command: Command{Path: name}}).OpenProgram()
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
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
		ns, err := rootfs.Build(pl.TreeWith(prog, nil), func() (err error) {
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

// elfWith is the head of a program of this architecture with segments: kind, flags and address of each.
func elfWith(kind uint16, segments ...uint64) string {
	le, n := binary.LittleEndian, len(segments)/3
	b := append([]byte("\x7fELF\x02\x01"), make([]byte, 58+56*n)...)
	le.PutUint16(b[16:], kind)
	le.PutUint16(b[18:], machine.ELF)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(n))
	for i := range n {
		s := b[64+56*i:]
		le.PutUint32(s, uint32(segments[3*i]))
		le.PutUint32(s[4:], uint32(segments[3*i+1]))
		le.PutUint64(s[16:], segments[3*i+2])
	}
	return string(b)
}

// TestExecutableStack: a program has one where its profile lets it make code, and nowhere else.
func TestExecutableStack(t *testing.T) {
	needRoot(t)
	name := script(t, elfWith(3, 0x6474e551, 7, 0))
	for code, want := range map[bool]string{true: "", false: "executable stack"} {
		pl := &Plan{Command: Command{Path: name}}
		if code {
			pl.Filter.Code = true
		}
		p, err := pl.OpenProgram()
		if text := fmt.Sprint(err); (err == nil) != code || !strings.Contains(text, want) {
			t.Errorf("code %v: %v", code, err)
		}
		if err == nil {
			p.Close()
			unix.Close(p.FD)
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
		{"interpreter outside the tree", "#!/bin/sh", `its interpreter /bin/sh cannot be executed inside: take profile.server`, func(_ *testing.T, _ string, p *Profile) { p.Files.Exec = nil }},
		{"interpreter that is only read", "#!/bin/sh", `its interpreter /bin/sh cannot be executed inside: take profile.server`, func(_ *testing.T, _ string, p *Profile) {
			p.Files.Read, p.Files.Exec = p.Files.Exec, nil
		}},
		{"no first line", "echo hello", "neither an ELF program of 64 bits nor a script", nil},
		{"cut off program", "\x7fELF\x02\x01", "neither an ELF program of 64 bits nor a script", nil},
		{"program of another machine", "\x7fELF\x02\x01" + strings.Repeat("\x00", 60), "for another machine", nil},
		{"interpreter without its loader", "#!/bin/sh", "its dynamic loader " + dynamicLoader + " cannot be executed inside, nor can the libraries that it loads: take profile.line or profile.server", func(_ *testing.T, _ string, p *Profile) {
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
		{"executable stack", elfWith(2, 0x6474e551, 7, 0), "it asks for an executable stack: link it with -z noexecstack", nil},
		{"program linked where the launch has its code, behind its loader's name", elfWith(2, 3, 4, 0, 1, 5, machine.GatePage), fmt.Sprintf("linked to the address %#x", machine.GatePage), nil},
		{"program linked where the launch has its code", elfWith(2, 1, 5, machine.GatePage), fmt.Sprintf("linked to the address %#x", machine.GatePage), nil},
		{"program whose dynamic loader is linked there", "", fmt.Sprintf("/own: linked to the address %#x", machine.GatePage), func(t *testing.T, s string, _ *Profile) {
			own := filepath.Join(filepath.Dir(s), "own")
			program := []byte(elfWith(3, 3, 4, 0) + own)
			binary.LittleEndian.PutUint64(program[64+8:], uint64(len(program)-len(own)))
			binary.LittleEndian.PutUint64(program[64+32:], uint64(len(own)))
			if err := errors.Join(os.WriteFile(own, []byte(elfWith(2, 1, 5, machine.GatePage)), 0o755), os.WriteFile(s, program, 0o755)); err != nil {
				t.Fatal(err)
			}
		}},
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
		{"loader missing", nil, nil, "its dynamic loader " + dynamicLoader + " cannot be executed inside, nor can the libraries that it loads: take profile.line or profile.server"},
		{"loader only read", []string{"/lib64", "/usr/lib"}, nil, "its dynamic loader " + dynamicLoader + " cannot be executed inside"},
		{"read names it", []string{"/usr/bin/env"}, []string{"/lib", "/lib64", "/usr/lib"}, ""},
		{"read names its directory", []string{"/usr/bin"}, []string{"/lib", "/lib64", "/usr/lib"}, ""},
		{"missing exec inside exec", nil, []string{"/lib", "/lib64", "/usr/lib", "/usr/lib/no-such-thing"}, "/usr/lib/no-such-thing"},
		{"exec inside exec", nil, []string{"/lib", "/lib64", "/usr/bin/env", "/usr/lib", libraries}, ""},
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

// TestProgramClosesOnce: who opened an interpreter and who asked for it both let go
// of it, and its descriptor's number may be another file's in between.
func TestProgramClosesOnce(t *testing.T) {
	f, err := hostpath.Open("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	p := &Program{Interpreter: &Program{File: f, FD: -1}, FD: -1}
	p.Close()
	other, err := os.Open("/dev/null") // takes the lowest number, which has just become free
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p.Close()
	if _, err := other.Stat(); err != nil {
		t.Errorf("another's descriptor was closed: %v", err)
	}
}
