package root

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate/policy/control"
	"casemate/sandbox"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// keeping is a policy of two services of one profile with a state directory, whose programs do what their
// clients say, and of where these listen. The directories are the host's own: their names are this test's.
func keeping(t *testing.T) (names, ports [2]string, text string) {
	t.Helper()
	text = head + `
profile "keeper" {
  base   = profile.server
  widens = ["files"]
  files { state = true }
}
`
	for i := range names {
		names[i], ports[i] = fmt.Sprintf("test-state-%d-%d", os.Getpid(), i), rig.Port(t)
		t.Cleanup(func() { os.RemoveAll(filepath.Join(sandbox.StateDir, names[i])) })
		text += service(names[i], "tcp4://127.0.0.1:"+ports[i], []string{"/bin/sh", "-c", `exec 2>&1; while read -r line; do eval "$line"; echo end; done`}, "profile = profile.keeper")
	}
	return names, ports, text
}

// told has the program of a connection do something and gives what it prints.
func told(t *testing.T, port, line string) string {
	t.Helper()
	out, err := rig.Exchange(port, line+"\n")
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.TrimSuffix(out, "end\n")
}

// TestState: what a session of a leased uid leaves in its service's state directory is there for the next
// one with another uid, for one that runs at the same time, after a reload and after a restart; on the disk
// it is one uid's that no session has.
func TestState(t *testing.T) {
	rig.Root(t)
	need.IDMaps(t, "/var/lib")
	names, ports, text := keeping(t)
	b := rig.Serve(t, text)
	first := told(t, ports[0], `id -u; echo "by $(id -u)" > "$STATE_DIRECTORY/note"; chmod 600 /state/note`)
	second := told(t, ports[0], `id -u; cat /state/note; echo more >> /state/note; stat -c %u /state/note`)
	one, two := strings.TrimSpace(first), strings.Fields(second + " none")[0]
	if one == two || second != fmt.Sprintf("%s\nby %s\n%s\n", two, one, two) {
		t.Errorf("the first session says %q, the second %q", first, second)
	}
	// One that stays sees what another one does meanwhile.
	c, err := rig.Dial(ports[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func(line string) (out string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, line); err != nil {
			t.Fatal(err)
		}
		for {
			got, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %q, %v", line, out, err)
			}
			if got == "end\n" {
				return out
			}
			out += got
		}
	}
	if got := ask("echo mine > /state/own; cat /state/note"); got != fmt.Sprintf("by %s\nmore\n", one) {
		t.Errorf("a third session reads %q", got)
	}
	if got := told(t, ports[0], "cat /state/own && echo theirs > /state/own"); got != "mine\n" {
		t.Errorf("a fourth one beside it reads %q", got)
	}
	if got := ask("cat /state/own"); got != "theirs\n" {
		t.Errorf("and the third reads %q", got)
	}
	const many = 32
	errs := make(chan error, many)
	for range many {
		go func() {
			_, err := rig.Exchange(ports[0], "id -u >> /state/crowd\n")
			errs <- err
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := told(t, ports[0], "sort -u /state/crowd | wc -l; rm /state/crowd"); got != fmt.Sprintln(many) {
		t.Errorf("of %d sessions at once %q left something", many, got)
	}
	dir := filepath.Join(sandbox.StateDir, names[0])
	for path, want := range map[string]uint32{sandbox.StateDir: 0, dir: sandbox.StateID, dir + "/note": sandbox.StateID, dir + "/own": sandbox.StateID} {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != want || st.Gid != want || path == sandbox.StateDir && st.Mode&0o777 != 0o700 {
			t.Errorf("on the host %s is of uid %d and gid %d, mode %o (%v), want %d", path, st.Uid, st.Gid, st.Mode, err, want)
		}
	}
	if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
		t.Errorf("reload: %+v, %v", a, err)
	}
	for _, when := range []string{"after a reload", "after a restart"} {
		if got := told(t, ports[0], "cat /state/*"); got != fmt.Sprintf("by %s\nmore\ntheirs\n", one) {
			t.Errorf("%s: %q", when, got)
		}
		if when == "after a reload" {
			c.Close()
			b.Stop()
			b = rig.Serve(t, text)
		}
	}
}

// TestStateEscapes: a service reaches no other's state directory, and nothing in its own is a program,
// a device or a way out of it, for a session or for the casemated that loads the policy again.
func TestStateEscapes(t *testing.T) {
	rig.Root(t)
	need.IDMaps(t, "/var/lib")
	names, ports, text := keeping(t)
	b := rig.Serve(t, text)
	told(t, ports[0], "echo secret > /state/secret; chmod 644 /state/secret; chmod 777 /state/")
	secret := filepath.Join(sandbox.StateDir, names[0], "secret")
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret\n" {
		t.Fatalf("root itself reads %q, %v: what follows shows nothing", got, err)
	}
	for _, c := range []struct{ line, want string }{
		{"cat " + secret, "No such file"},
		{"ls /var/lib/casemate", "No such file"},
		{"cat /state/../secret /private/state/../secret /private/../" + secret, "No such file"},
		{"ls -a /state/", ".\n..\n"},
		{"cp /bin/true /state/p && chmod 755 /state/p && /state/p", "Permission denied"},
		{"chmod 4755 /state/p", "Operation not permitted"},
		{"mknod /state/d c 1 3", "Operation not permitted"},
		{"ln -s /etc/hostname /state/out; cat /state/out", "Too many levels"},
		{"ln /etc/passwd /state/hard", "fail"},
		{"mv /private/state /private/away || rmdir /private/state || rm /state", "Read-only"},
		{"umount /private/state", "failed"},
	} {
		if got := told(t, ports[1], c.line); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
	// The next load makes nothing of links, and of the directory's mode.
	told(t, ports[1], "rm -rf /state/*; ln -s / /state/state; ln -s "+filepath.Dir(secret)+" /state/other; chmod 777 /state/")
	if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
		t.Errorf("reload: %+v, %v", a, err)
	}
	if got := told(t, ports[1], "cat /state/other/secret; cat /state/state/etc/passwd; echo well > /state/well; cat /state/well"); strings.Count(got, "Too many levels") != 2 || !strings.HasSuffix(got, "well\n") {
		t.Errorf("after the next load: %q", got)
	}
	// A user of the host who is neither root nor of a service: the directory lets him in, what is above it does not.
	cat := exec.Command("cat", secret)
	cat.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cat.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("nobody reads a state directory on the host: %q, %v", out, err)
	}
}
