package broker

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// muxWorker plays the worker of a tcpmux service with its sockets.
type muxWorker struct {
	t          *testing.T
	g          *rig
	port       uint16
	listen, to int
	started    chan [2]int
}

// newMux serves tcpmux with the fake worker, beside the services given.
func newMux(t *testing.T, services ...policy.Service) *muxWorker {
	t.Helper()
	g, m := newRig(t), &muxWorker{t: t, started: make(chan [2]int, 10), port: freePort(t)}
	m.g = g
	g.fakes["mux"] = &fakeCell{argv: []string{"/bin/sleep", "1000"}, saw: func(q *zygote.Request) {
		var own [2]int
		for i := range own { // behind what it is told: the listener and the link
			own[i], _ = unix.FcntlInt(uintptr(q.FDs[2+i]), unix.F_DUPFD_CLOEXEC, 0)
		}
		m.started <- own
	}}
	g.load(m.services(services...)...)
	dial(t, m.port) // wakes it
	m.attend()
	g.expect(`"decision"`, `"service":"mux"`) // it runs
	unix.Close(m.accept())
	return m
}

func (m *muxWorker) services(others ...policy.Service) []policy.Service {
	s := svc("mux", "tcp4", m.port)
	s.Command, s.Builtin, s.Wait, s.Stdio = nil, policy.Tcpmux, true, "listen_fds"
	return append(slices.Clip(others), s) // sorted: all others come before it
}

// attend takes the sockets of the worker that was started last.
func (m *muxWorker) attend() {
	m.t.Helper()
	select {
	case own := <-m.started:
		m.listen, m.to = own[0], own[1]
		m.t.Cleanup(func() { unix.Close(own[0]); unix.Close(own[1]) })
	case <-time.After(30 * time.Second):
		m.t.Fatal("no worker")
	}
}

// accept takes a client.
func (m *muxWorker) accept() int {
	m.t.Helper()
	if err := zygote.Await(m.listen, 30*time.Second); err != nil {
		m.t.Fatal(err)
	}
	conn, _, err := unix.Accept4(m.listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		m.t.Fatal(err)
	}
	return conn
}

// hand hands sockets over as one message.
func (m *muxWorker) hand(text []byte, fds ...int) {
	m.t.Helper()
	if err := unix.Sendmsg(m.to, text, unix.UnixRights(fds...), nil, 0); err != nil {
		m.t.Fatal(err)
	}
}

// client connects and is handed over to the which-th name; the worker keeps no copy.
func (m *muxWorker) client(which byte) net.Conn {
	m.t.Helper()
	c := dial(m.t, m.port)
	conn := m.accept()
	m.hand([]byte{which}, conn)
	unix.Close(conn)
	return c
}

// muxed is a service behind tcpmux alone, or with a port as well.
func muxed(name, acl, limit string, names ...string) policy.Service {
	s := svc(name, "tcp4", 0, "/bin/cat")
	s.Listen, s.Mux, s.ACL, s.Limit = nil, names, acl, limit
	return s
}

// TestTcpmux: a client that is handed over comes to its service as one that was accepted there.
func TestTcpmux(t *testing.T) {
	m := newMux(t, muxed("cat", "anyone", "one", "cat", "+dog"), muxed("deny", "nobody", "none", "deny"))
	c := m.client(1)
	echoes(t, c)
	m.g.expect(`"decision"`, `"service":"cat"`, `"verdict":"allow"`, fmt.Sprintf(`"client_port":%d`, c.LocalAddr().(*net.TCPAddr).Port), `"client":"127.0.0.1"`)
	if !refused(m.client(0)) { // the same service by its other name: its limit is one at a time
		t.Error("a second session was admitted")
	}
	m.g.expect(`"decision"`, `"service":"cat"`, `"reason":"concurrency"`)
	if !refused(m.client(2)) {
		t.Error("nobody was admitted")
	}
	m.g.expect(`"decision"`, `"service":"deny"`, `"reason":"acl"`)
	c.Close()
	m.g.expect(`"session"`, `"service":"cat"`, `"exit":0`)
	if st := m.g.status1("cat"); len(st.Listeners) != 2 || st.Listeners[1] != (control.ListenerStatus{Key: "tcpmux:+dog", State: "listening"}) {
		t.Errorf("it listens at %+v", st.Listeners)
	}
	if st := m.g.status1("cat"); st.Admitted != 1 || st.RefusedBy["concurrency"] != 1 {
		t.Errorf("%+v", st)
	}
	echoes(t, m.client(0))
}

// TestTcpmuxBlocks: a program gets a socket that blocks, whatever its worker has made of it.
func TestTcpmuxBlocks(t *testing.T) {
	m := newMux(t, muxed("cat", "anyone", "none", "cat"))
	c := dial(t, m.port)
	conn := m.accept()
	m.hand([]byte{0}, conn)
	echoes(t, c)
	defer unix.Close(conn)
	if flags, err := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

// TestTcpmuxReload: who was told of a name that is gone meanwhile reaches nobody by it.
func TestTcpmuxReload(t *testing.T) {
	m := newMux(t, muxed("cat", "anyone", "none", "cat"))
	direct := muxed("cat", "anyone", "none")
	direct.Listen = svc("", "tcp4", freePort(t)).Listen
	c := dial(t, m.port)
	conn := m.accept()
	m.g.load(m.services(direct)...)
	m.hand([]byte{0}, conn)
	unix.Close(conn)
	if !refused(c) {
		t.Error("it was served")
	}
}

// TestTcpmuxNames: a rule that asks for the client's name holds behind tcpmux as well, and the
// client that waits for it stays one of its service.
func TestTcpmuxNames(t *testing.T) {
	m := newMux(t, muxed("cat", "named", "none", "cat"))
	if !refused(m.client(0)) {
		t.Error("a client without a name was admitted")
	}
	m.g.expect(`"decision"`, `"service":"cat"`, `"reason":"acl"`)
}

// TestTcpmuxWorkerTakenOver: a worker that sends what none of ours does is ended, and reaches
// nothing by it; the next client has another one.
func TestTcpmuxWorkerTakenOver(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.Dial("udp4", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	f, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, send := range map[string]func(m *muxWorker, conn int){
		"no socket":   func(m *muxWorker, conn int) { m.hand([]byte{0}) },
		"two sockets": func(m *muxWorker, conn int) { m.hand([]byte{0}, conn, conn) },
		"many bytes":  func(m *muxWorker, conn int) { m.hand([]byte{0, 0}, conn) },
		"udp":         func(m *muxWorker, conn int) { m.hand([]byte{0}, int(f.Fd())) },
		"no network":  func(m *muxWorker, conn int) { m.hand([]byte{0}, m.to) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMux(t, muxed("cat", "anyone", "none", "cat"))
			dial(t, m.port)
			send(m, m.accept())
			m.g.expect(`"session"`, `"service":"mux"`, `"reason":"killed"`)
			if st := m.g.status1("cat"); st.Admitted != 0 {
				t.Errorf("%+v", st)
			}
			unix.Close(m.listen)
			c := dial(t, m.port)
			m.attend()
			conn := m.accept()
			m.hand([]byte{0}, conn)
			echoes(t, c)
		})
	}
	for name, fd := range map[string]int{"listener": -1, "unix": pair[0]} {
		t.Run(name, func(t *testing.T) { // a stream socket without an address: as if its client had gone
			m := newMux(t, muxed("cat", "anyone", "none", "cat"))
			if fd < 0 {
				fd = m.listen
			}
			m.hand([]byte{0}, fd)
			echoes(t, m.client(0))
			m.g.expect(`"decision"`, `"service":"cat"`, `"verdict":"allow"`) // its program may answer before it is counted
			if st := m.g.status1("cat"); st.Admitted != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestTcpmuxUnknownName: a number beyond the names is nobody's.
func TestTcpmuxUnknownName(t *testing.T) {
	m := newMux(t, muxed("cat", "anyone", "none", "cat"))
	for _, which := range []byte{1, 2, 255} {
		if !refused(m.client(which)) {
			t.Errorf("%d is served", which)
		}
	}
	echoes(t, m.client(0))
}

// TestTcpmuxLingers: the close of a socket that a worker was told to hand over waits for nobody, whatever the
// worker has set on it (SO_LINGER): neither of one that comes in a wrong message nor of one in the queue behind.
func TestTcpmuxLingers(t *testing.T) {
	for name, behind := range map[string]bool{"in the message": false, "behind it": true} {
		t.Run(name, func(t *testing.T) {
			m := newMux(t, muxed("cat", "anyone", "none", "cat"))
			full := func() int {
				c := dial(t, m.port)
				_ = c.(*net.TCPConn).SetReadBuffer(4096)
				conn := m.accept()
				for b := make([]byte, 1<<20); ; {
					if _, err := unix.Write(conn, b); err != nil {
						break
					}
				}
				if err := unix.SetsockoptLinger(conn, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 20}); err != nil {
					t.Fatal(err)
				}
				return conn
			}
			one, two := full(), full()
			since := time.Now()
			_ = m.g.loop.Do(func() { // both messages are there when the first is read
				if behind {
					m.hand([]byte{0, 0})
					m.hand([]byte{0}, one)
					m.hand([]byte{0}, two)
				} else {
					m.hand([]byte{0}, one, two)
				}
				unix.Close(one)
				unix.Close(two)
			})
			m.g.expect(`"session"`, `"service":"mux"`, `"reason":"killed"`)
			if _ = m.g.loop.Do(func() {}); time.Since(since) > 15*time.Second {
				t.Errorf("the loop was held up for %v", time.Since(since))
			}
		})
	}
}
