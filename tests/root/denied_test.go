package root

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/policy/denied"
	"casemate/sandbox/landlock"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// deniedCall is a call as its record names it.
type deniedCall struct {
	call, args, grant string
	errno             syscall.Errno // that it fails with, 0 is EPERM
}

func (d deniedCall) answer() string { return strconv.Itoa(int(cmp.Or(d.errno, unix.EPERM))) + "\n" }

// forbidden are calls of testdata/denied.c that no shipped profile but classic has, as records
// name them.
var forbidden = map[string]deniedCall{
	"tcp":    {"socket", "AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0", `widens = ["network"], because = "...", network { mode = "host", connect = ["PORT"] }`, 0},
	"udp":    {"socket", "AF_INET6, SOCK_DGRAM, IPPROTO_UDP", `widens = ["network"], because = "...", network { mode = "host", sockets = ["udp"] }`, 0},
	"packet": {"socket", "AF_PACKET, SOCK_RAW, 0", `widens = ["network", "syscalls"], because = "...", network { mode = "host", connect = ["any"], bind = ["any"] }, syscalls { rule "socket" { arg = 0, values = ["0x11"] } }`, 0},
	"route":  {"socket", "AF_NETLINK, SOCK_RAW, NETLINK_ROUTE", `widens = ["network"], because = "...", network { mode = "host", sockets = ["netlink-route"] }`, 0},
	"sti":    {"ioctl", "TIOCSTI", `widens = ["syscalls"], syscalls { rule "ioctl" { arg = 1, values = ["0x5412"] } }`, 0},
	"reaper": {"prctl", "PR_SET_CHILD_SUBREAPER, 0x1", `widens = ["syscalls"], syscalls { rule "prctl" { arg = 0, values = ["0x24"] } }`, 0},
	"shm":    {"shmget", "4096 bytes", `widens = ["syscalls"], syscalls { allow = ["@sysv-ipc"] }`, 0},
	"watch":  {"inotify_init1", "", `widens = ["syscalls"], syscalls { allow = ["@watch"] }`, 0},
	"queue":  {"mq_open", "", `widens = ["syscalls"], syscalls { allow = ["@mqueue"] }`, 0},
	"user":   {"unshare", "CLONE_NEWUSER", `widens = ["syscalls"], syscalls { allow = ["unshare"] }`, 0},
	"trace":  {"ptrace", "PTRACE_TRACEME", `widens = ["syscalls"], syscalls { allow = ["ptrace"] }`, 0},
	"key":    {"keyctl", "0", `widens = ["syscalls"], syscalls { allow = ["keyctl"] }`, 0},
	"notify": {"fcntl", "F_NOTIFY", `widens = ["syscalls"], syscalls { rule "fcntl" { arg = 1, values = ["0x402"] } }`, 0},
	"memory": {"memfd_create", "0", `widens = ["syscalls"], syscalls { allow = ["@memfd"] }`, 0},
	// Programs that can do without are told that there is no such call.
	"unix":  {"socket", "AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0", `widens = ["network"], network { sockets = ["unix"] }`, unix.ENOSYS},
	"uring": {"io_uring_setup", "", `widens = ["network", "syscalls"], because = "...", network { mode = "host", connect = ["any"], bind = ["any"] }, syscalls { allow = ["io_uring_setup"] }`, unix.ENOSYS},
	"reap":  {"process_mrelease", "", `widens = ["syscalls"], syscalls { allow = ["process_mrelease"] }`, unix.ENOSYS},
}

// exchangeAs is rig.Exchange, with the client's port.
func exchangeAs(port, send string) (answer, from string, err error) {
	c, err := rig.Dial(port)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	from = strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port)
	if _, err := io.WriteString(c, send); err != nil {
		return "", from, err
	}
	if err := c.CloseWrite(); err != nil {
		return "", from, err
	}
	text, err := io.ReadAll(c)
	return strings.TrimSpace(string(text)), from, err
}

// TestDeniedCallsAreNamed: whoever of a session makes a call that is denied, in whatever sandbox, one
// record says which session's it was, what it was and what would grant it.
func TestDeniedCallsAreNamed(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	text := head + `
profile "initless" {
  base = profile.server
  init = false
}
profile "init" {
  base = profile.server
  init = true
}
profile "host" {
  base    = profile.server
  widens  = ["network"]
  because = "the test is about it"
  network { mode = "host" }
}
profile "pty" {
  base   = profile.server
  widens = ["files"]
  files { pty = true }
}
profile "apart" {
  base           = profile.server
  widens         = ["user_namespace"]
  user_namespace = true
  init           = false
  files { proc = false }
}
profile "sealed" {
  base = profile.server
  syscalls { seal = true }
}
`
	ports := map[string]string{}
	for name, extra := range map[string][]string{
		"leased": {"profile = profile.server"}, "fixed": {"profile = profile.server", `user = "nobody"`}, "initless": {"profile = profile.initless"},
		"init": {"profile = profile.init"}, "host": {"profile = profile.host"}, "pty": {"profile = profile.pty"}, "apart": {"profile = profile.apart"},
		"sealed": {"profile = profile.sealed"}, "wait": {"profile = profile.server", "wait = true", "acl = acl.anyone"},
		"activated": {"profile = profile.server", "wait = true", `stdio = "listen_fds"`, "acl = acl.anyone"},
	} {
		ports[name] = rig.Port(t)
		command := map[string][]string{"wait": {victim, "0"}, "activated": {victim, "3"}}[name]
		if command == nil {
			command = []string{victim}
		}
		text += service(name, "tcp://127.0.0.1:"+ports[name], command, extra...)
	}
	b := rig.Serve(t, text)
	for name, port := range ports {
		for i, how := range []string{"direct", "child", "orphan", "thread"} {
			what := []string{"tcp", "sti", "shm", "user"}[i]
			answer, from, err := exchangeAs(port, how+" "+what+"\n")
			if err != nil || answer != strconv.Itoa(int(unix.EPERM)) {
				t.Errorf("%s, %s %s: errno %q, %v, want EPERM", name, how, what, answer, err)
				continue
			}
			session := []string{"msg", "decision", "service", name, "client_port", from}
			if name == "wait" || name == "activated" {
				session = []string{"msg", "session", "service", name}
			}
			whose, err := b.Await(1, 30*time.Second, session...)
			if name == "wait" || name == "activated" {
				whose, err = b.Await(i+1, 30*time.Second, session...)
			}
			if err != nil {
				t.Fatal(err)
			}
			want := forbidden[what]
			_, grant, _ := strings.Cut(want.grant, "], ") // widens has what the profile's own widens
			if name == "host" && what == "tcp" {
				grant = `network { connect = ["PORT"] }`
			}
			got, err := b.Await(1, 30*time.Second, "msg", "denied", "service", name, "id", whose[len(whose)-1].Str("id"))
			if err != nil {
				t.Errorf("%s, %s %s: %v", name, how, what, err)
				continue
			}
			r := got[0]
			if r.Str("syscall") != want.call || r.Str("args") != want.args || r.Str("errno") != "EPERM" || r.Str("count") != "1" || !strings.HasSuffix(r.Str("grant"), grant) {
				t.Errorf("%s, %s %s: %v, want %v", name, how, what, r, want)
			}
		}
	}
	if stray, err := b.Find("msg", "denied", "id", "0"); err != nil || len(stray) > 0 {
		t.Errorf("nobody's: %v, %v", stray, err)
	}
}

// TestDeepCallsAreNamed: processes 70 forks below their session's program, each in a session (setsid) of
// its own, are named as that session's, and however many call, they hold up no other session's denied calls.
func TestDeepCallsAreNamed(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	for _, how := range []string{"true", "false"} {
		port := rig.Port(t)
		b := rig.Serve(t, head+"profile \"deep\" {\n  base = profile.server\n  init = "+how+"\n}\n"+
			service("victim", "tcp://127.0.0.1:"+port, []string{victim}, "profile = profile.deep"))
		const deep = 5 // times 40 that call
		var all sync.WaitGroup
		for range deep {
			all.Go(func() {
				answer, from, err := exchangeAs(port, "deep tcp 70\n")
				if err != nil || answer != strconv.Itoa(int(unix.EPERM)) {
					t.Errorf("init = %s: errno %q, %v, want EPERM", how, answer, err)
					return
				}
				whose, err := b.Await(1, 30*time.Second, "msg", "decision", "client_port", from)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := b.Await(1, 30*time.Second, "msg", "denied", "id", whose[0].Str("id"), "syscall", "socket", "count", "39"); err != nil {
					t.Errorf("init = %s: %v", how, err)
				}
			})
		}
		for range deep {
			begin := time.Now()
			if answer, err := rig.Exchange(port, "direct shm\n"); err != nil || answer != "1\n" {
				t.Errorf("init = %s, beside the deep: %q, %v", how, answer, err)
			}
			if took := time.Since(begin); took > 4*time.Second { // the patience was five seconds
				t.Errorf("init = %s: a denied call of another session took %v", how, took)
			}
		}
		all.Wait()
		if _, err := b.Await(deep, 30*time.Second, "msg", "denied", "syscall", "shmget", "count", "1"); err != nil {
			t.Error(err)
		}
		if stray, err := b.Find("msg", "denied", "id", "0"); err != nil || len(stray) > 0 {
			t.Errorf("init = %s, nobody's: %v, %v", how, stray, err)
		}
		b.Stop()
	}
}

// TestGrantsAreTrue: what a record says would grant a call does: with that and no more in its
// profile the same program makes the call.
func TestGrantsAreTrue(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	serve := func(profile func(what string) string) (*rig.Broker, map[string]string) {
		text, ports := head, map[string]string{}
		for what := range forbidden {
			ports[what] = rig.Port(t)
			text += profile(what) + service(what, "tcp://127.0.0.1:"+ports[what], []string{victim}, "profile = profile."+what)
		}
		return rig.Serve(t, text), ports
	}
	plain := func(what string) string {
		return fmt.Sprintf("profile %q {\n  base = profile.server\n}\n", what)
	}
	b, ports := serve(plain)
	grants := map[string]string{}
	for what, want := range forbidden {
		if answer, err := rig.Exchange(ports[what], "direct "+what+"\n"); err != nil || answer != want.answer() {
			t.Errorf("%s: errno %q, %v, want %q", what, answer, err, want.answer())
			continue
		}
		got, err := b.Await(1, 30*time.Second, "msg", "denied", "service", what)
		if err != nil {
			t.Fatal(err)
		}
		if grants[what] = got[0].Str("grant"); grants[what] != "profile."+what+": "+want.grant || got[0].Str("errno") != unix.ErrnoName(cmp.Or(want.errno, unix.EPERM)) || got[0].Str("syscall") != want.call || got[0].Str("args") != want.args {
			t.Errorf("%s: %v, want %v", what, got[0], want)
		}
	}
	b.Stop()
	_, ports = serve(func(what string) string {
		hcl := strings.NewReplacer(`"..."`, `"the test is about it"`, `"PORT"`, `"80"`).Replace(denied.HCL(grants[what]))
		if strings.Contains(hcl, "host") && landlock.ABI() < landlock.ABIScopes {
			hcl += "\nbest_effort = [\"cgroup\", \"landlock.net\", \"landlock.scopes\"]" // else it is refused, with the reason
		}
		return fmt.Sprintf("profile %q {\n  base = profile.server\n%s\n}\n", what, hcl)
	})
	for what := range forbidden {
		answer, err := rig.Exchange(ports[what], "direct "+what+"\n")
		n, _ := strconv.Atoi(strings.TrimSpace(answer))
		// What the kernel itself has against it, it has for who asks: no such terminal, no right to the host's packets.
		beyond := map[string][]int{"packet": {int(unix.EPERM)}, "sti": {int(unix.ENOTTY)}, "notify": {int(unix.ENOTDIR)}, "uring": {int(unix.EFAULT)}, "reap": {int(unix.EBADF)},
			"queue": {int(unix.ENOENT), int(unix.EACCES)}}
		if err != nil || answer == "" || n != 0 && !slices.Contains(beyond[what], n) {
			t.Errorf("%s, granted by %q: errno %q, %v", what, grants[what], answer, err)
		}
	}
}

// denialsWorker waits for the worker of b that answers denied calls, another one than those of before.
func denialsWorker(t *testing.T, b *rig.Broker, before ...int) int {
	t.Helper()
	found := 0
	if err := rig.Until(30*time.Second, func() error {
		children, err := rig.Children(b.PID)
		if err != nil {
			return err
		}
		for _, c := range children {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID))
			if err == nil && string(line) == "casemate-worker\x00denials\x00" && !slices.Contains(before, c.PID) {
				found = c.PID
				return nil
			}
		}
		return errors.New("no denials worker")
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDenialsWorkerDies: while nobody answers, and when the worker is killed or stopped, what the filter
// denies stays denied and holds nobody up for good; the next session's denied call is named again.
func TestDenialsWorkerDies(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	port := rig.Port(t)
	b := rig.Serve(t, head+service("victim", "tcp://127.0.0.1:"+port, []string{victim}, "profile = profile.server"))
	denied := func(c io.Writer, answers *bufio.Reader, line string) string {
		t.Helper()
		if _, err := io.WriteString(c, line+"\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(answer)
	}
	eperm, enosys := strconv.Itoa(int(unix.EPERM)), strconv.Itoa(int(unix.ENOSYS))
	var seen []int
	for round, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGSTOP} {
		var c *net.TCPConn
		var answers *bufio.Reader
		if err := rig.Until(30*time.Second, func() (err error) { // the worker's end may not have come to the broker yet
			if c, err = rig.Dial(port); err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				return err
			}
			answers = bufio.NewReader(c)
			if got := denied(c, answers, "stay tcp"); got != eperm {
				return fmt.Errorf("errno %s, want EPERM", got)
			}
			return nil
		}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		who, err := b.Await(1, 30*time.Second, "msg", "decision", "client_port", strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "denied", "id", who[0].Str("id"), "syscall", "socket", "count", "1"); err != nil {
			t.Fatal(err)
		}
		worker := denialsWorker(t, b, seen...)
		seen = append(seen, worker)
		rig.Signal(t, worker, sig)
		for range 20 {
			if got := denied(c, answers, "again"); got != eperm && got != enosys {
				t.Errorf("round %d: errno %s without the worker, want EPERM or ENOSYS", round, got)
			}
		}
		// The zygote that its filter belongs to goes as soon as the worker has, and the next session has another.
		if err := rig.Until(30*time.Second, func() error {
			if err := syscall.Kill(worker, 0); err == nil {
				return errors.New("the worker is still there")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := rig.Exchange(port, "direct shm\n"); err != nil || got != eperm+"\n" && got != enosys+"\n" {
		t.Errorf("errno %q, %v", got, err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if got, err := rig.Exchange(port, "direct watch\n"); err != nil || got != eperm+"\n" {
			return fmt.Errorf("errno %q, %v", got, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "denied", "syscall", "inotify_init1"); err != nil {
		t.Error(err)
	}
}

// TestDeniedFlood: a session that does nothing but make denied calls is counted, its records are
// bounded, and it holds up neither another service's clients nor their records.
func TestDeniedFlood(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/denied.c")
	loud, quiet := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+service("loud", "tcp://127.0.0.1:"+loud, []string{victim}, "profile = profile.server")+
		service("quiet", "tcp://127.0.0.1:"+quiet, []string{victim}, "profile = profile.server"))
	const calls, clients = 50000, 40
	var flood sync.WaitGroup
	flood.Go(func() {
		if got, err := rig.Exchange(loud, fmt.Sprintf("direct tcp %d\n", calls)); err != nil || got != "1\n" {
			t.Errorf("the flood: %q, %v", got, err)
		}
	})
	for range clients {
		if got, err := rig.Exchange(quiet, "direct shm\n"); err != nil || got != "1\n" {
			t.Errorf("beside the flood: %q, %v", got, err)
		}
	}
	flood.Wait()
	if _, err := b.Await(clients, 30*time.Second, "msg", "denied", "service", "quiet", "syscall", "shmget", "count", "1"); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "denied", "service", "loud", "count", strconv.Itoa(calls-1)); err != nil {
		t.Error(err)
	}
	if all, err := b.Find("msg", "denied", "service", "loud"); err != nil || len(all) != 2 {
		t.Errorf("%d records of one kind of call, %v, want the first and the count", len(all), err)
	}
}

// TestNoListener: where a filter around casemated has a listener already, denied calls fail as ever,
// and status and explain say that they are not named.
func TestNoListener(t *testing.T) {
	bin := rig.Root(t)
	victim, outer := rig.Compile(t, "testdata/denied.c"), rig.Compile(t, "testdata/outer.c")
	port := rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Under: []string{outer}, Files: map[string]string{
		"test.cm.hcl": head + service("victim", "tcp://127.0.0.1:"+port, []string{victim}, "profile = profile.server")}})
	if got, err := rig.Exchange(port, "direct tcp\n"); err != nil || got != "1\n" {
		t.Errorf("errno %q, %v", got, err)
	}
	for _, args := range [][]string{{"status"}, {"explain", "victim", "127.0.0.1"}} {
		text, err := exec.Command(filepath.Join(bin, "casemate"), append(args, "--control", b.Control)...).CombinedOutput()
		if err != nil || !strings.Contains(string(text), "denied calls are not named: this kernel has no listener to give") {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
	}
	if got, err := b.Find("msg", "denied"); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}
