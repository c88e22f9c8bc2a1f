package root

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// listenedAt fails the test unless the service manager is told this in time.
func listenedAt(t *testing.T, manager *net.UnixConn, want string) {
	t.Helper()
	if err := manager.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	var said []string
	for {
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatalf("the service manager heard %q, want %q: %v", said, want, err)
		}
		if said = append(said, string(buf[:n])); said[len(said)-1] == want {
			return
		}
	}
}

// TestBrokenServices: a removed program, a path that has vanished, an unknown user
// and an address of nobody stop only what they belong to, and only until they are there.
func TestBrokenServices(t *testing.T) {
	bin := rig.Root(t)
	program, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	gone, file := filepath.Join(dir, "program"), filepath.Join(dir, "file")
	ports := map[string]string{}
	for _, name := range []string{"good", "gone", "path", "user"} {
		ports[name] = rig.Port(t)
	}
	listen := func(name string) string { return "tcp4://127.0.0.1:" + ports[name] }
	once := []string{program, "once"}
	text := head + fmt.Sprintf("\nprofile \"path\" {\n  base = profile.line\n  files { read = [%q] }\n}\n", file) +
		strings.Replace(service("good", listen("good"), once, "profile = profile.line"), `"]`, `", "tcp4://192.0.2.1:`+ports["good"]+`"]`, 1) +
		service("gone", listen("gone"), []string{gone, "once"}, "profile = profile.line") +
		service("path", listen("path"), once, "profile = profile.path") +
		service("user", listen("user"), once, "profile = profile.line", `user = "nosuchuser"`)
	b := rig.Serve(t, text)
	listenedAt(t, manager, "STATUS=serving 1 of 4 services")
	listenedAt(t, manager, "READY=1")
	exchange(t, ports["good"], "", "once\n")
	for name, want := range map[string]string{"gone": gone, "path": file, "user": "nosuchuser"} {
		st, err := b.Service(name)
		if err != nil || !st.Broken || !strings.Contains(st.Error, want) || st.Listeners[0].State != "broken" {
			t.Errorf("%+v, %v", st, err)
		}
		if _, err := rig.Dial(ports[name]); err == nil {
			t.Errorf("%s takes clients", name)
		}
	}
	st, err := b.Service("good")
	if err != nil || st.Broken || st.Listeners[0].State != "listening" || st.Listeners[1].State != "retrying" || !strings.Contains(st.Listeners[1].Error, "192.0.2.1") {
		t.Errorf("%+v, %v", st, err)
	}
	if out := must(t, filepath.Join(bin, "casemate"), "status", "--control", b.Control); !strings.Contains(out, "broken") || !strings.Contains(out, "gone: ") || !strings.Contains(out, gone+": no such file") {
		t.Errorf("casemate status says\n%s", out)
	}

	// The rest of a policy can be changed meanwhile, and the answer says what it lacks.
	if err := b.WritePolicy("test.cm.hcl", strings.Replace(text, "10000\n", "9999\n", 1)); err != nil {
		t.Fatal(err)
	}
	answer, err := b.Request(control.Request{Verb: control.VerbReload})
	if err != nil || !answer.OK {
		t.Fatalf("%+v, %v", answer, err)
	}
	said := slices.DeleteFunc(answer.Diagnostics, func(d policy.Diagnostic) bool { return d.Code != "CM602" })
	if len(said) != 3 || policy.HasErrors(said) {
		t.Errorf("%+v", said)
	}
	must(t, "cp", program, gone)
	write(t, file, "", 0o644)
	for _, name := range []string{"gone", "path"} {
		if err := rig.Until(30*time.Second, func() error { return replies(ports[name], "once\n") }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	listenedAt(t, manager, "STATUS=serving 3 of 4 services")
	if all, err := b.Find("msg", "service not served, trying again", "service", "user"); err != nil || len(all) != 2 {
		t.Errorf("%d records of one reason in two generations, %v", len(all), err)
	}
}

// idle waits until the service's zygote has gone.
func idle(t *testing.T, b *rig.Broker, service string) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		st, err := b.Service(service)
		if err == nil && st.Zygote {
			err = fmt.Errorf("%s has a zygote", service)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func replies(port, want string) error {
	got, err := rig.Exchange(port, "")
	if err == nil && got != want {
		err = fmt.Errorf("the answer is %q, want %q", got, want)
	}
	return err
}

// TestHostChanges: a package update that replaces the program by rename, a file under read
// that is replaced, a user with other ids and an optional file that appears reach the
// next client without a reload. Who is served already is served to the end.
func TestHostChanges(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	ownEtc(t)
	add(t, "/etc/passwd", "tester:x:901:901::/:/bin/sh")
	dir, port := rig.PublicDir(t), rig.Port(t)
	program, file := filepath.Join(dir, "program"), filepath.Join(dir, "file")
	replace := func(name, text string, mode os.FileMode) {
		write(t, name+".new", text, mode)
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	extra := filepath.Join(dir, "extra")
	script := "#!/bin/sh\necho \"%s $(cat " + file + " " + extra + " 2>/dev/null) $(id -u)\"\nread name\necho \"%[1]s to $name\"\n"
	replace(program, fmt.Sprintf(script, "old"), 0o755)
	replace(file, "one", 0o644)
	b := rig.Serve(t, head+fmt.Sprintf("\nprofile \"p\" {\n  base = profile.server\n  files {\n    read     = [%q, %q]\n    optional = [%[2]q]\n  }\n}\n", file, extra)+
		service("p", "tcp://127.0.0.1:"+port, []string{program}, "profile = profile.p", `user = "tester"`, `linger = "1s"`))
	first, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	from := bufio.NewReader(first)
	said := func(want string) {
		t.Helper()
		if line, err := from.ReadString('\n'); err != nil || line != want {
			t.Errorf("the first client read %q, %v, want %q", line, err, want)
		}
	}
	said("old one 901\n")
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() { replace(program, fmt.Sprintf(script, "new"), 0o755) }, "new one 901\nnew to \n"},
		{func() { replace(file, "two", 0o644) }, "new two 901\nnew to \n"},
		{func() {
			text, err := os.ReadFile("/etc/passwd")
			if err != nil {
				t.Fatal(err)
			}
			replace("/etc/passwd", strings.Replace(string(text), ":901:901:", ":902:902:", 1), 0o644)
		}, "new two 902\nnew to \n"},
		{func() { replace(extra, "and more", 0o644) }, "new twoand more 902\nnew to \n"},
	} {
		step.change()
		idle(t, b, "p")
		exchange(t, port, "", step.want)
	}
	if st, err := b.Service("p"); err != nil || st.Error != "" || st.Live != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := b.Await(4, 30*time.Second, "msg", "service prepared anew, as the host is now"); err != nil {
		t.Error(err)
	}

	if err := unix.Unlink(program); err != nil {
		t.Fatal(err)
	}
	idle(t, b, "p")
	exchange(t, port, "", "new twoand more 902\nnew to \n")
	if st, err := b.Service("p"); err != nil || st.Broken || !strings.Contains(st.Error, "no such file") {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := first.Write([]byte("me\n")); err != nil {
		t.Fatal(err)
	}
	said("old to me\n")
}
