package broker

import (
	"errors"
	"testing"

	"casemate/acl"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// namesWorker puts a socket of the test in the place of the next names worker.
func (g *rig) namesWorker() (fd int) {
	g.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.do(func() {
		w := g.names.worker
		g.loop.Disarm(&w.backoff)
		w.starting = true
		w.started(-1, pair[0], nil)
	})
	return pair[1]
}

// asks reads one question that a names worker gets.
func (g *rig) asks(fd int) wire.Question {
	g.t.Helper()
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	q, qerr := wire.DecodeQuestion(buf[:max(n, 0)])
	if err != nil || qerr != nil {
		g.t.Fatalf("question %x, %v, %v", buf[:max(n, 0)], err, qerr)
	}
	return q
}

// TestNamesOutliveTheirWorker: a question is asked again when the worker dies with it, and
// has no answer when two have.
func TestNamesOutliveTheirWorker(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL = "named"
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	g.names.worker.prepare = func() (cell, error) { <-ended; return nil, errors.New("no names worker here") }
	g.load(s)
	fd := g.namesWorker()
	c := dial(t, port)
	first := g.asks(fd)
	unix.Close(fd)
	eventually(t, func() (down bool) { g.do(func() { down = g.names.worker.fd < 0 }); return down })
	fd = g.namesWorker()
	if again := g.asks(fd); again != first {
		t.Errorf("asked %v, then %v", first, again)
	}
	unix.Write(fd, wire.Answer{ID: first.ID, Name: acl.Name{State: acl.Known, Host: "a.example.org"}}.Encode())
	echoes(t, c)

	c = dial(t, port)
	for range 2 {
		g.asks(fd)
		unix.Close(fd)
		eventually(t, func() (down bool) { g.do(func() { down = g.names.worker.fd < 0 }); return down })
		fd = g.namesWorker()
	}
	if !refused(c) {
		t.Error("admitted without a name")
	}
	g.do(func() { w := g.names.worker; g.loop.Del(w.fd); unix.Close(w.fd); w.fd = -1 })
	unix.Close(fd)
}

// TestDescriptorsInAWorkersQueue: what waits for a worker to read is the file it was, also
// when its number is another one's by then.
func TestDescriptorsInAWorkersQueue(t *testing.T) {
	g := newRig(t)
	fd := g.namesWorker()
	defer unix.Close(fd)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	g.do(func() {
		w := g.names.worker
		for len(w.unsent) == 0 {
			w.send(outgoing{data: make([]byte, 1024), fd: -1})
		}
		w.send(outgoing{data: []byte("x"), fd: pipe[1]})
		unix.Close(pipe[1])
	})
	buf, oob := make([]byte, 2048), make([]byte, 64)
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if n > 1 {
			continue
		}
		all, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(all) != 1 {
			t.Fatalf("%d control messages, %v", len(all), err)
		}
		got, err := unix.ParseUnixRights(&all[0])
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := unix.Write(got[0], []byte("hello")); err != nil {
			t.Error(err)
		}
		unix.Close(got[0])
		break
	}
	if n, err := unix.Read(pipe[0], buf); err != nil || string(buf[:max(n, 0)]) != "hello" {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Read(pipe[0], buf); n != 0 || err != nil { // no copy is left behind
		t.Errorf("%d, %v", n, err)
	}
	g.do(func() { w := g.names.worker; g.loop.Del(w.fd); unix.Close(w.fd); w.fd = -1 })
}
