package root

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// echo sends a line to a cat and expects it back.
func echo(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	line := make([]byte, 6)
	if _, err := io.WriteString(c, "alive\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "alive\n" {
		t.Fatalf("answer %q (%v)", line, err)
	}
}

func connect(t *testing.T, port string) net.Conn {
	t.Helper()
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// closed expects the client's end within the time that a start has, and some.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Fatalf("a client whose start hung got %d bytes, %v; want the end of its connection", n, err)
	}
}

// copyOfCat is a program of this test alone.
func copyOfCat(t *testing.T) string {
	t.Helper()
	cat, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(rig.PublicDir(t), "cat")
	if err := os.WriteFile(out, cat, 0o755); err != nil {
		t.Fatal(err)
	}
	return out
}

// hang serves cat twice and lets the starts of one service hang: its clients are
// closed and its slots free, a record names the step, what ran before goes on, and
// the other service's zygote is the same as before. heal ends the cause.
func hang(t *testing.T, profile, step string, cause func(b *rig.Broker, program string), heal func()) {
	program, port, other := copyOfCat(t), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+service("hung", "tcp://127.0.0.1:"+port, []string{program}, "profile = profile."+profile)+
		service("other", "tcp://127.0.0.1:"+other, []string{"/bin/cat"}, "profile = profile."+profile))
	before, bystander := connect(t, port), connect(t, other)
	echo(t, before)
	echo(t, bystander)
	zygotes := [2]int{zygoteOf(t, b, "hung"), zygoteOf(t, b, "other")}
	known := sessionsOf(t, b, 2)
	cause(b, program)
	var clients []net.Conn
	for range 5 { // more than a zygote has threads
		clients = append(clients, connect(t, port))
	}
	for _, c := range clients {
		closed(t, c)
	}
	if _, err := b.Await(5, 30*time.Second, "msg", "session", "service", "hung", "reason", "start-failed"); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "hung", "detail", step+": not done within 5s, given up"); err != nil {
		t.Error(err)
	}
	if s, err := b.Service("hung"); err != nil || s.Live != 1 || s.Failed != 5 {
		t.Errorf("status %+v (%v), want 1 live and 5 failed", s, err)
	}
	echo(t, before)
	echo(t, bystander)
	heal()
	echo(t, connect(t, port))
	if pid := zygoteOf(t, b, "hung"); pid == zygotes[0] {
		t.Error("the zygote in which starts hung is used again")
	}
	if pid := zygoteOf(t, b, "other"); pid != zygotes[1] {
		t.Error("another service has a new zygote")
	}
	before.Close()
	for _, s := range known {
		if s.Service == "hung" {
			// An init is the last to go: it waits until the broker has looked for the children that nobody told it of.
			if err := gone(30*time.Second, s.PID, zygotes[0]); err != nil {
				t.Error(err)
			}
		}
	}
}

func zygoteOf(t *testing.T, b *rig.Broker, name string) (pid int) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service(name)
		if err == nil && s.ZygotePID == 0 {
			err = fmt.Errorf("%s has no zygote", name)
		}
		if err == nil {
			pid = s.ZygotePID
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestStoppedZygote: a zygote that answers nothing, under server, whose sessions have their init in it.
func TestStoppedZygote(t *testing.T) {
	rig.Root(t)
	hang(t, "server", "zygote", func(b *rig.Broker, _ string) {
		rig.Signal(t, zygoteOf(t, b, "hung"), syscall.SIGSTOP)
	}, func() {})
}

// TestHangingExec holds the program's file with fanotify, as a network file system
// does whose server is away: every exec of it waits for an answer that does not come.
func TestHangingExec(t *testing.T) {
	rig.Root(t)
	for _, profile := range []string{"line", "server"} {
		t.Run(profile, func(t *testing.T) {
			watch, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY)
			if err != nil {
				need.Kernel(t, "needs fanotify with permission events: %v", err)
			}
			held := os.NewFile(uintptr(watch), "fanotify")
			defer held.Close()
			hang(t, profile, "exec", func(_ *rig.Broker, program string) {
				if err := unix.FanotifyMark(watch, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, program); err != nil {
					t.Fatal(err)
				}
			}, func() { held.Close() })
		})
	}
}
