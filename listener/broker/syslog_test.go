package broker

import (
	"errors"
	"os"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// saying is a session with a /dev/log, and a socket of its program that leads there. It is called on the loop.
func (g *rig) saying(id uint64, name string) (s *session, program int) {
	g.t.Helper()
	s = &session{id: id, run: &runner{name: name}}
	end, err := g.logWorker.take(s, wire.Syslog)
	if err != nil {
		g.t.Fatal(err)
	}
	return s, dialEnd(g.t, end)
}

// dialEnd binds and closes the end of a socket as a zygote does, and connects to it as a program does.
func dialEnd(t *testing.T, end int) (program int) {
	t.Helper()
	path := &unix.SockaddrUnix{Name: t.TempDir() + "/log"}
	if err := errors.Join(unix.Bind(end, path), unix.Close(end)); err != nil {
		t.Fatal(err)
	}
	program, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(program) })
	if err := unix.Connect(program, path); err != nil {
		t.Fatal(err)
	}
	return program
}

func says(t *testing.T, program int, text string) {
	t.Helper()
	if err := unix.Sendto(program, []byte(text), unix.MSG_DONTWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// TestSocketsGoWithTheirSessions: of a session that said nothing the log worker never hears. What
// another one said is the worker's to read, and the next worker's when that one dies, until one
// gives its word that it is at the end, which comes with the session's.
func TestSocketsGoWithTheirSessions(t *testing.T) {
	g := newRig(t)
	first := g.logSocket()
	unheard, program, rights := -1, -1, false
	g.do(func() { // no time goes by in one turn of the loop
		var silent, s *session
		silent, unheard = g.saying(1, "silent")
		s, program = g.saying(2, "s")
		says(t, program, "hello")
		rights = silent.pipes[0].rights
		g.logWorker.left(silent)
		g.logWorker.left(s)
	})
	if rights {
		need.Kernel(t, "it has no SO_PASSRIGHTS: the log worker looks into all sockets")
	}
	g.pipesLeft(1)
	if err := unix.Sendto(unheard, []byte("x"), unix.MSG_DONTWAIT, nil); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a socket that is given back: %v", err)
	}
	o, _ := g.told(first)
	g.do(func() { g.logWorker.worker.end(errors.New("killed by the test")) })
	worker := g.logSocket()
	again, end := g.told(worker)
	if again != o || o != (wire.Order{Kind: wire.Syslog, ID: 2, Name: "s"}) {
		t.Errorf("told of %+v, then of %+v", o, again)
	}
	if err := unix.Sendto(program, []byte("late"), unix.MSG_DONTWAIT, nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("after the end: %v", err)
	}
	g.readsToTheEnd(end, "hello")
	for _, of := range []wire.Kind{wire.Text, wire.Syslog} { // a word about what there is not changes nothing
		g.pipesLeft(1)
		if _, err := unix.Write(worker, far.EncodeReport(wire.Report{Kind: wire.Done, ID: 2, Of: of})); err != nil {
			t.Fatal(err)
		}
	}
	g.pipesLeft(0)
}

// readsToTheEnd wants one message in a socket, and that the socket is shut down.
func (g *rig) readsToTheEnd(end *os.File, want string) {
	g.t.Helper()
	buf := make([]byte, 100)
	fd := int(end.Fd())
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if err != nil || string(buf[:n]) != want {
		g.t.Errorf("%q, %v, want %q", buf[:max(n, 0)], err, want)
	}
	one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(one, 0); err != nil || one[0].Revents&unix.POLLHUP == 0 {
		g.t.Errorf("%x, %v", one[0].Revents, err)
	}
	if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); !errors.Is(err, unix.EAGAIN) {
		g.t.Error(err)
	}
}

// TestSocketOfALongSession: one that lives on is the log worker's to read before it ends.
func TestSocketOfALongSession(t *testing.T) {
	g := newRig(t)
	worker := g.logSocket()
	var s *session
	program := -1
	g.do(func() { s, program = g.saying(7, "s") })
	o, end := g.told(worker)
	if o != (wire.Order{Kind: wire.Syslog, ID: 7, Name: "s"}) {
		t.Errorf("told of %+v", o)
	}
	says(t, program, "last words")
	g.do(func() { g.logWorker.left(s) })
	g.readsToTheEnd(end, "last words")
}

// TestSocketsThatTakeDescriptors: where descriptors may come with a message, only the log worker takes
// it away, and closes the socket that it may lie in: there every socket is handed over, and none is
// emptied or closed before the worker's word, or, once its session is over, for want of a worker.
func TestSocketsThatTakeDescriptors(t *testing.T) {
	g := newRig(t)
	g.do(func() {
		s, program := g.saying(3, "s")
		says(t, program, "kept")
		quiet, _ := g.saying(4, "quiet")
		s.pipes[0].rights, quiet.pipes[0].rights = true, true
		g.logWorker.discard()
		g.logWorker.left(s)
		g.logWorker.left(quiet)
		if n := len(g.logWorker.lost); n > 0 {
			t.Errorf("%d are lost", n)
		}
	})
	g.pipesLeft(2)
	worker := g.logSocket()
	for range 2 {
		if o, end := g.told(worker); o.ID == 3 {
			g.readsToTheEnd(end, "kept")
		}
	}
}

// TestSocketsWithoutAWorkerGo: of sessions that are over none is kept for a worker that cannot be had,
// and that something in it is lost is counted.
func TestSocketsWithoutAWorkerGo(t *testing.T) {
	g := newRig(t)
	g.do(func() {
		s, program := g.saying(3, "s")
		says(t, program, "lost")
		quiet, _ := g.saying(4, "quiet")
		s.pipes[0].rights, quiet.pipes[0].rights = true, true
		g.logWorker.left(s)
		g.logWorker.left(quiet)
		g.logWorker.discard()
		want := journal.Suppressed{What: journal.SyslogLost, Service: "s"}
		if lost := g.logWorker.lost; len(lost) != 1 || lost[want] != 1 {
			t.Errorf("lost %+v, want one of s", lost)
		}
	})
	g.pipesLeft(0)
}

// TestNobodyWaitsForSyslog: a program that says much more to its /dev/log than that holds
// comes to its end without a log worker, and each message that was lost is counted, those too that
// lie there at the session's end.
func TestNobodyWaitsForSyslog(t *testing.T) {
	const messages = 3000
	l := newLogWorker(&Broker{hands: near{Warden: new(warden.Warden)}})
	p := &pipe{whose: wire.Order{Kind: wire.Syslog, ID: 1, Name: "loud"}}
	end, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	l.pipes[wire.Order{Kind: wire.Syslog, ID: 1}] = p
	defer func() {
		if p.fd >= 0 {
			l.close(p)
		}
	}()
	p.rights = false // nothing comes with these messages
	program := dialEnd(t, end)
	said := make(chan error, 1)
	go func() {
		var err error
		for n := 0; n < messages && err == nil; n++ {
			err = unix.Sendto(program, []byte("<13>x"), 0, nil)
		}
		said <- err
	}()
	for late := time.After(20 * time.Second); ; {
		select {
		case err := <-said:
			if err != nil {
				t.Fatal(err)
			}
		case <-late:
			t.Fatalf("the program waits, lost %v", l.lost)
		default:
			l.discard()
			continue
		}
		break
	}
	l.discard() // there may be no place left for another message
	says(t, program, "<13>last")
	p.over = true
	l.discard()
	what := journal.Suppressed{What: journal.SyslogLost, Service: "loud"}
	if len(l.lost) != 1 || l.lost[what] != messages+1 || len(l.pipes) > 0 {
		t.Errorf("lost %v, %d held", l.lost, len(l.pipes))
	}
}

// TestNoSocketWhereDescriptorsAreFew: there a session's /dev/log leads nowhere.
func TestNoSocketWhereDescriptorsAreFew(t *testing.T) {
	g := newRig(t)
	g.do(func() { g.maxFiles = 0 })
	end, err := -1, error(nil)
	if g.do(func() { end, err = g.logWorker.take(&session{run: &runner{name: "s"}}, wire.Syslog) }); err != nil {
		t.Fatal(err)
	}
	kind, err := unix.GetsockoptInt(end, unix.SOL_SOCKET, unix.SO_TYPE)
	if cerr := unix.Close(end); err != nil || cerr != nil || kind != unix.SOCK_DGRAM {
		t.Error(kind, err, cerr)
	}
	g.pipesLeft(0)
	g.expect(`"msg":"syslog of new sessions is not logged`)
}
