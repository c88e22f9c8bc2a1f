package root

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestUnasked: what libraries and runtimes try unasked, and do without, fails and has no record, so that it costs
// no session anything; what a program makes of its own accord has one, under on_violation = "kill" too.
func TestUnasked(t *testing.T) {
	bin := rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	program, err := os.ReadFile(filepath.Join(bin, "casemate"))
	if err == nil { // a copy: the sandbox has a /tmp of its own, and the product may be built there
		bin = rig.PublicDir(t)
		err = os.WriteFile(filepath.Join(bin, "casemate"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	text := head + `
profile "kills" {
  base = profile.server
  syscalls { on_violation = "kill" }
}
profile "quiet" {
  base   = profile.go
  widens = ["files"]
  files { exec = ["` + bin + `/casemate"] }
}
`
	add := func(name, profile string, command ...string) {
		ports[name] = rig.Port(t)
		text += service(name, "tcp://127.0.0.1:"+ports[name], command, "profile = profile."+profile)
	}
	add("kills", "kills", victim)
	add("errno", "server", victim)
	java := classes(t, "testdata/Kinds.java")
	text += javaProfile("java", java)
	programs := map[string][]string{
		"java":   {"/usr/bin/java", "-cp", java, "Kinds", "done"},
		"perl":   {"/usr/bin/perl", "-MSys::Syslog", "-e", `my @u = getpwnam("nobody0"); eval { openlog("x", "", "daemon"); syslog("info", "x") }; print "done\n";`},
		"python": {"/usr/bin/python3", "-c", "import pwd, syslog, threading\ntry: pwd.getpwnam('nobody0')\nexcept KeyError: pass\nsyslog.syslog('x')\nt = threading.Thread(target=print, args=('done',)); t.start(); t.join()"},
		"node":   {"/usr/bin/node", "-e", `require("fs").readFile("/etc/hostname", () => console.log("done"))`},
		"shell":  {"/bin/sh", "-c", "ls -l / >/dev/null && cp /bin/true /tmp/x; (exit 0) & wait; echo done"},
	}
	for kind, command := range programs {
		need.Programs(t, command[0])
		add(kind, kind, command...)
	}
	add("go", "quiet", filepath.Join(bin, "casemate"), "help")
	b := rig.Serve(t, text)
	for _, how := range []string{"errno", "kills"} {
		for what, want := range map[string]syscall.Errno{"nscd": unix.ENOSYS, "syslog": unix.ENOSYS, "audit": unix.EPROTONOSUPPORT, "thread": unix.ENOSYS} {
			if got, err := rig.Exchange(ports[how], "direct "+what+"\n"); err != nil || got != strconv.Itoa(int(want))+"\n" {
				t.Errorf("%s, %s: errno %q, %v, want %d", how, what, got, err, want)
			}
		}
		for _, what := range []string{"unix", "uring"} {
			want := forbidden[what]
			got, from, err := exchangeAs(ports[how], "child "+what+"\n")
			if err != nil || got+"\n" != want.answer() {
				t.Errorf("%s, %s: errno %q, %v", how, what, got, err)
				continue
			}
			whose, err := b.Await(1, 30*time.Second, "msg", "decision", "client_port", from)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Await(1, 30*time.Second, "msg", "denied", "service", how, "id", whose[0].Str("id"), "syscall", want.call, "args", want.args, "errno", "ENOSYS", "count", "1"); err != nil {
				t.Error(err)
			}
		}
	}
	for name := range programs {
		if got, err := rig.Exchange(ports[name], ""); err != nil || got != "done\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := rig.Exchange(ports["go"], ""); err != nil || !strings.Contains(got, "casemate") {
		t.Errorf("go: %q, %v", got, err)
	}
	for name := range ports {
		if name == "kills" || name == "errno" {
			continue
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", name); err != nil {
			t.Error(err)
		}
		if got, err := b.Find("msg", "denied", "service", name); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if all, err := b.Find("msg", "denied"); err != nil || len(all) != 4 {
		t.Errorf("%d records, %v, want 4: %v", len(all), err, all)
	}
}
