package far

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/listener/host"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// turning is a loop that runs.
func turning(t *testing.T) *loop.Loop {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		_ = l.Post(l.End)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// ends are root's and the broker's end of each link, with a loop each, in one process.
type ends struct {
	*Hands
	root *warden.Broker
	told chan warden.TidingKind
}

func newEnds(t *testing.T, conf warden.BrokerConfig) ends {
	t.Helper()
	var pairs [2][2]int
	for i := range pairs {
		var err error
		if pairs[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	}
	blocks := host.NewBlocks(t.TempDir())
	if _, _, err := blocks.Open(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	conf.Ended = func(err error) { gone <- err }
	here := turning(t)
	w := warden.New(warden.Config{LibexecDir: "/usr/libexec", Warn: func(_, msg string, err error) { t.Error(msg, err) }}, turning(t), blocks)
	e := ends{told: make(chan warden.TidingKind, 8)}
	var err error
	if e.root, err = w.Serve(conf, pairs[0][0], pairs[1][0]); err != nil {
		t.Fatal(err)
	}
	// On its loop, which turns already.
	if _ = here.Do(func() {
		e.Hands, err = New(here, pairs[0][1], pairs[1][1], func(k warden.TidingKind) { e.told <- k }, func(error) {})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Shutdown(pairs[0][1], unix.SHUT_RDWR)
		<-gone
	})
	return e
}

// soon waits for what another goroutine sends.
func soon[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// TestPrograms: root watches what the broker names, tells of its end and what it has used, and signals it when it is
// told; what is no child of it, or has a record, is forged.
func TestPrograms(t *testing.T) {
	e := newEnds(t, warden.BrokerConfig{})
	type settled struct {
		runs bool
		err  error
	}
	settle := func(r zygote.Reply) (chan settled, chan warden.Exit) {
		done, ended := make(chan settled, 1), make(chan warden.Exit, 1)
		_ = e.loop.Do(func() {
			e.Settle(r, func(int) []byte { return []byte(`"x"`) }, func(x warden.Exit) { ended <- x }, func(runs bool, err error) { done <- settled{runs, err} })
		})
		return done, ended
	}
	cmd := exec.Command("/bin/sleep", "1000") // reaped by the warden
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done, ended := settle(zygote.Reply{ID: 1, PID: cmd.Process.Pid})
	if s := soon(t, done); !s.runs || s.err != nil {
		t.Fatalf("%+v", s)
	}
	for _, pid := range []int{cmd.Process.Pid, os.Getppid(), -1, 0} {
		again, forged := settle(zygote.Reply{ID: 2, PID: pid})
		if s := soon(t, again); s.runs { // it is known soon
			if x := soon(t, forged); !x.Forged || x.PID != pid {
				t.Errorf("pid %d: %+v", pid, x)
			}
		} else if s.err != warden.ErrForged {
			t.Errorf("pid %d: %+v", pid, s)
		}
	}
	left, err := e.Left()
	if err != nil || len(left) != 1 || left[0].PID != cmd.Process.Pid || string(left[0].Text) != `"x"` {
		t.Errorf("%+v, %v", left, err)
	}
	_ = e.loop.Do(func() { e.Kill(os.Getppid(), unix.SIGKILL); e.Kill(cmd.Process.Pid, unix.SIGTERM) })
	if x := soon(t, ended); x.PID != cmd.Process.Pid || !x.Status.Signaled() || x.Status.Signal() != syscall.SIGTERM || x.Usage.Maxrss == 0 {
		t.Errorf("%+v", x)
	}
	failed, _ := settle(zygote.Reply{ID: 3, Step: "exec", Errno: unix.ENOENT})
	if s := soon(t, failed); s.runs || s.err != nil {
		t.Errorf("a start that failed: %+v", s)
	}
}

// TestNothingThatNobodyListed: root opens no socket that no document lists, and knows no site, cell or socket that it has not made.
func TestNothingThatNobodyListed(t *testing.T) {
	e := newEnds(t, warden.BrokerConfig{})
	spec := listener.Spec{Endpoint: endpoint.Endpoint{Network: "unix", Path: t.TempDir() + "/s"}, UID: listener.KeepID, GID: listener.KeepID}
	if s, err := e.Open(spec); err == nil {
		t.Errorf("opened %+v", s)
	}
	for _, q := range []warden.Asked{{Do: warden.DoSite, Digest: "x"}, {Do: warden.DoRead, Number: 1}, {Do: warden.DoSpawn, Number: 1}, {Do: warden.DoState, Number: 1}, {Do: warden.DoRestore, Number: 1},
		{Do: warden.DoHelper, Name: "../sh"}, {Do: warden.DoRetire, PID: os.Getppid()}, {Do: "exec", Name: "/bin/sh"}, {Do: warden.DoLog}} {
		if a, err := e.ask(q); err == nil {
			t.Errorf("%+v: %+v", q, a.Answer)
		}
	}
	var bug fault
	if _, err := e.ask(warden.Asked{Do: warden.DoSpent, Number: 7}); !errors.As(err, &bug) || !strings.Contains(err.Error(), "there is not") {
		t.Errorf("%v", err)
	}
}

// TestTellings: what goes to and fro unasked.
func TestTellings(t *testing.T) {
	said, ready := make(chan string, 8), make(chan bool, 1)
	e := newEnds(t, warden.BrokerConfig{Tell: func(s string) { said <- s }, Ready: func() { ready <- true }})
	e.Ready()
	soon(t, ready)
	for _, s := range []string{"MAINPID=1", "STATUS=serving 1 of 2 services\nMAINPID=1", "STOPPING=1", "STATUS=serving 3 of 4 services"} {
		_, _ = e.ask(warden.Asked{Do: warden.DoTell, Name: s})
	}
	if s := soon(t, said); s != "STATUS=serving 3 of 4 services" {
		t.Errorf("the service manager was told %q", s)
	}
	e.root.Tell(warden.TellReload)
	if k := soon(t, e.told); k != warden.TellReload {
		t.Error(k)
	}
	var uid uint32
	var ok bool
	_ = e.loop.Do(func() { uid, ok = e.Leases().Take() })
	if !ok || uid-sandbox.LeaseBase >= sandbox.LeaseCount {
		t.Errorf("leased %d, %v", uid, ok)
	}
}

// TestEndWaitsForErrands: a broker has not ended while something is still being made for it: who follows it takes that over.
func TestEndWaitsForErrands(t *testing.T) {
	var pairs [2][2]int
	for i := range pairs {
		var err error
		if pairs[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pairs[i][1])
	}
	began, goOn, ended := make(chan bool, 1), make(chan bool), make(chan error, 1)
	w := warden.New(warden.Config{}, turning(t), host.NewBlocks(t.TempDir()))
	if _, err := w.Serve(warden.BrokerConfig{Ended: func(err error) { ended <- err }, OpenLog: func() (*os.File, error) {
		began <- true
		<-goOn
		return os.Open("/dev/null")
	}}, pairs[0][0], pairs[1][0]); err != nil {
		t.Fatal(err)
	}
	if err := warden.Send(pairs[0][1], warden.Asked{ID: 1, Do: warden.DoLog}); err != nil {
		t.Fatal(err)
	}
	soon(t, began)
	if err := unix.Shutdown(pairs[0][1], unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("it has ended, and an errand goes on")
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	soon(t, ended)
}
