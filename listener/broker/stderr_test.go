package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// TestNobodyWaitsForTheLog: where no log worker can be had, a program that writes
// much more than its pipe holds comes to its end, and what was lost is counted.
func TestNobodyWaitsForTheLog(t *testing.T) {
	const written = 1 << 20
	g := newRig(t)
	port := freePort(t)
	g.load(svc("loud", "tcp4", port, "/bin/sh", "-c", fmt.Sprintf("head -c %d /dev/zero >&2", written)))
	dial(t, port)
	g.expect(`"msg":"session"`, `"service":"loud"`, `"exit":0`)
	var r struct{ Count uint64 }
	for lost := uint64(0); lost < written/2 || lost > written; lost += r.Count {
		if err := json.Unmarshal([]byte(g.expect(`"msg":"stderr-lost"`, `"service":"loud"`)), &r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPipesGoWithTheirSessions: what sessions had of pipes is given back, by the
// word of a log worker or without any.
func TestPipesGoWithTheirSessions(t *testing.T) {
	g := newRig(t)
	port := freePort(t)
	g.load(svc("s", "tcp4", port, "/bin/true"))
	held := func() (live, pipes int) {
		g.do(func() { live, pipes = g.logWorker.live, len(g.logWorker.pipes) })
		return live, pipes
	}
	session := func() {
		dial(t, port)
		g.expect(`"msg":"session"`, `"exit":0`)
	}
	for range 3*wire.PipesAtOnce + 1 {
		session()
	}
	if live, pipes := held(); live != 0 || pipes != 4 {
		t.Fatalf("%d sessions have a pipe, %d stores", live, pipes)
	}
	g.do(func() {
		for _, first := range []uint32{0, wire.PipesAtOnce, 3 * wire.PipesAtOnce, 99 * wire.PipesAtOnce} {
			g.logWorker.heard(wire.Report{Kind: wire.Done, Pipe: first}.Encode())
		}
	})
	if _, pipes := held(); pipes != 2 { // the third, and the newest, which is not used up
		t.Errorf("%d stores", pipes)
	}
	for late := time.Now().Add(10 * time.Second); ; {
		session()
		g.do(func() { g.logWorker.heardAt = 0; g.logWorker.Expire(nil) })
		if _, pipes := held(); pipes == 1 {
			break
		}
		if time.Now().After(late) {
			t.Fatal("nothing is given back without a worker")
		}
	}
}

// TestPipeNumbersComeRound: a session that lives on keeps its number when they begin again.
func TestPipeNumbersComeRound(t *testing.T) {
	g := newRig(t)
	g.do(func() {
		l := g.logWorker
		take := func() uint32 {
			one := &session{run: &runner{name: "s"}}
			end, err := l.take(one, wire.Pipes)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(end)
			return one.pipes[0].first
		}
		if got := take(); got != 0 {
			t.Errorf("the first pipes are %d", got)
		}
		l.filling[wire.Pipes].first, l.filling[wire.Pipes].used = 1<<32-wire.PipesAtOnce, wire.PipesAtOnce
		old := l.filling[wire.Pipes]
		l.pipes[old.first] = old
		l.pipes[0] = old
		if got := take(); got != wire.PipesAtOnce {
			t.Errorf("the next pipes are %d", got)
		}
		delete(l.pipes, 0)
		l.live = 0
	})
}

// TestPipeIsOpenedAgainToWriteOnly: /dev/stderr is a link to the pipe, and whoever
// the program runs as may open it, but take nothing out of it.
func TestPipeIsOpenedAgainToWriteOnly(t *testing.T) {
	p, err := newPipes(wire.Pipes, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var st unix.Stat_t
	if err := unix.Fstat(p.ends[5], &st); err != nil || st.Mode != unix.S_IFIFO|0o222 {
		t.Fatalf("mode %o, %v", st.Mode, err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", p.ends[5]), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a store is not used up
		fds, err := wire.Peek(p.store)
		if err != nil || len(fds) != wire.PipesAtOnce {
			t.Fatalf("%d, %v", len(fds), err)
		}
		if n, err := unix.IoctlGetInt(fds[5], unix.TIOCINQ); err != nil || n != 1 {
			t.Errorf("the pipe holds %d, %v", n, err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

// TestPipesWithoutDescriptors: where there are fewer descriptors than pipes take,
// there is an error, and every one that was taken is back.
func TestPipesWithoutDescriptors(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	last := 0
	names, err := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		fd, _ := strconv.Atoi(n.Name())
		last = max(last, fd)
	}
	for fd := 0; fd <= last && err == nil; { // no number stays free below the last one, so that a limit counts descriptors
		fd, err = unix.Dup(0)
		fill := fd
		t.Cleanup(func() { unix.Close(fill) })
	}
	if err != nil {
		t.Fatal(err)
	}
	before := open()
	for more := range wire.PipesAtOnce / 2 { // each pipe's end to write to alone takes as many; what earlier tests still close is fewer
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(before + more), Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		_, err := newPipes(wire.Pipes, 0)
		if rerr := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); rerr != nil {
			t.Fatal(rerr)
		}
		if now := open(); err == nil || now > before {
			t.Fatalf("with %d more: %v, %d descriptors are open, %d before", more, err, now, before)
		}
	}
}

// TestNobodyWaitsForSyslog: a program that says much more to its /dev/log than that holds
// comes to its end without a log worker, and each message that was lost is counted. Where
// descriptors may come along, whose end could hold the loop up, nothing is taken.
func TestNobodyWaitsForSyslog(t *testing.T) {
	const messages = 3000
	for _, rights := range []bool{false, true} {
		p, err := newPipes(wire.Sockets, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		p.used, p.rights, p.whose[0].Name = 1, rights, "loud"
		defer unix.Close(p.ends[0]) // the program's, from here on
		path := &unix.SockaddrUnix{Name: t.TempDir() + "/log"}
		if err := unix.Bind(p.ends[0], path); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, path); err != nil {
			t.Fatal(err)
		}
		lost := make(map[journal.Suppressed]uint64)
		what := journal.Suppressed{What: journal.SyslogLost, Service: "loud"}
		if rights {
			if err := unix.Sendto(fd, []byte("kept"), 0, nil); err != nil {
				t.Fatal(err)
			}
			p.discard(true, lost)
			if n, _, err := unix.Recvfrom(p.ends[0], make([]byte, 9), unix.MSG_DONTWAIT); err != nil || n != 4 || len(lost) > 0 {
				t.Errorf("%d, %v, lost %v", n, err, lost)
			}
			continue
		}
		said := make(chan error)
		go func() {
			var err error
			for n := 0; n < messages && err == nil; n++ {
				err = unix.Sendto(fd, []byte("<13>x"), 0, nil)
			}
			said <- err
		}()
		for late := time.Now().Add(20 * time.Second); lost[what] < messages && time.Now().Before(late); {
			p.discard(false, lost)
		}
		select {
		case err := <-said:
			if err != nil || lost[what] != messages || len(lost) != 1 {
				t.Errorf("%v, lost %v", err, lost)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("the program waits, lost %v", lost)
		}
	}
}

// TestSocketsGoWithTheirSessions: once all sessions of some sockets are over, the log
// worker is told, a new one again, and they are given back by its word and not before.
func TestSocketsGoWithTheirSessions(t *testing.T) {
	g := newRig(t)
	g.do(func() {
		l := g.logWorker
		var all []*session
		for range wire.PipesAtOnce {
			s := &session{run: &runner{name: "s"}}
			for _, kind := range []wire.Kind{wire.Pipes, wire.Sockets} {
				end, err := l.take(s, kind)
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(end)
			}
			all = append(all, s)
		}
		if len(l.pipes) != 2 || all[0].pipes[1].kind != wire.Sockets || all[0].pipes[0].first == all[0].pipes[1].first {
			t.Fatalf("%d stores, %+v", len(l.pipes), all[0].pipes)
		}
		ours, theirs, err := seqpacket()
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(theirs)
		defer unix.Close(ours)
		l.worker.fd = ours
		defer func() { l.worker.fd, l.worker.unsent = -1, nil }()
		sockets := all[0].pipes[1].first
		told := func() (over int) {
			for buf := make([]byte, wire.MaxOrder); ; {
				n, _, err := unix.Recvfrom(theirs, buf, unix.MSG_DONTWAIT)
				if err != nil {
					return over
				}
				if o, err := wire.DecodeOrder(buf[:n], 0); err == nil && o.Kind == wire.Over && o.Pipe == sockets {
					over++
				}
			}
		}
		for i, s := range all {
			if told() != 0 {
				t.Errorf("told after %d sessions", i)
			}
			l.left(s)
		}
		if n := told(); n != 1 || l.live != 0 || l.pipes[sockets] == nil {
			t.Errorf("told %d times, %d live", n, l.live)
		}
		l.up()
		if n := told(); n != 1 {
			t.Errorf("a new worker is told %d times", n)
		}
		l.heard(wire.Report{Kind: wire.Done, Pipe: sockets}.Encode())
		if l.pipes[sockets] != nil {
			t.Error("they are held for nobody")
		}
	})
}

func seqpacket() (a, b int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return pair[0], pair[1], err
}
