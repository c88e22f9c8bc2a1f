package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"casemate/acl/decide"
	"casemate/listener/address"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func dial(t *testing.T, port uint16) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// refused reports whether the connection is reset or closed without a byte.
func refused(c net.Conn) bool {
	n, err := c.Read(make([]byte, 1))
	return n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// refusedAt connects and reports whether that is refused; the reset may come
// before connect(2) has returned.
func refusedAt(t *testing.T, port uint16) bool {
	t.Helper()
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return refused(c)
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func TestServeAndRecord(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	c := dial(t, port)
	echoes(t, c)
	g.expect(`"decision"`, `"verdict":"allow"`, `"rule":"a.cm.hcl:3:3"`, g.doc.Digest, `"generation":1`)
	if st := g.status1("cat"); st.Live != 1 || st.Admitted != 1 || !st.Zygote {
		t.Errorf("%+v", st)
	}
	c.Close()
	g.expect(`"session"`, `"exit":0`, `"reason":"exit"`, `"duration_ms"`)
	if st := g.status1("cat"); st.Live != 0 || st.Peak != 1 {
		t.Errorf("%+v", st)
	}
}

func TestDeny(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL, s.Banner = "nobody", "no\r\n"
	g.load(s)
	text, _ := io.ReadAll(dial(t, port))
	if string(text) != "no\r\n" {
		t.Errorf("banner %q", text)
	}
	g.expect(`"decision"`, `"verdict":"deny"`, `"reason":"acl"`, `"rule":"default"`)
	if st := g.status1("cat"); st.RefusedBy["acl"] != 1 || st.Admitted != 0 {
		t.Errorf("%+v", st)
	}
}

func TestConcurrencyShedsAndRecovers(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Limit = "one"
	g.load(s)
	first := dial(t, port)
	echoes(t, first)
	for range 3 {
		if !refusedAt(t, port) {
			t.Fatal("a second session was admitted")
		}
	}
	first.Close()
	g.expect(`"session"`)
	echoes(t, dial(t, port))
	if st := g.status1("cat"); st.RefusedBy["concurrency"] != 3 {
		t.Errorf("%+v", st)
	}
}

func TestTimeoutAndPenalty(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Limit = "strict"
	g.load(s)
	echoes(t, dial(t, port))
	g.expect(`"session"`, `"reason":"timeout"`)
	if !refusedAt(t, port) {
		t.Error("admitted in spite of its penalty")
	}
	g.expect(`"reason":"penalty"`)
}

// TestLostZygote: what it was starting is refused with a record each, and the
// next connection is served.
func TestLostZygote(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	fake := g.fakes["cat"]
	echoes(t, dial(t, port))
	fake.set(func() { fake.mute = true })
	lost := dial(t, port)
	eventually(t, func() bool { return g.status1("cat").Live == 2 })
	fake.set(func() { fake.mute = false; fake.last.die() })
	if !refused(lost) {
		t.Error("the lost connection lives on")
	}
	g.expect(`"session"`, `"reason":"start-failed"`)
	echoes(t, dial(t, port))
}

func TestZygoteThatDoesNotStartBacksOffAndRecovers(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	fake := g.fakes["cat"]
	fake.set(func() { fake.refuse = errors.New("no more processes"); fake.last.die() })
	g.expect("zygote of cat")
	for range 5 {
		if !refusedAt(t, port) {
			t.Fatal("served without a zygote")
		}
	}
	if st := g.status1("cat"); st.Failed == 0 || st.Error == "" {
		t.Errorf("%+v", st)
	}
	fake.set(func() { fake.refuse = nil })
	eventually(t, func() bool {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		defer c.Close()
		c.Write([]byte("x"))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	})
}

func TestFailedStart(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	g.fakes["cat"].set(func() { g.fakes["cat"].errno = syscall.ENOMEM })
	if !refusedAt(t, port) {
		t.Error("not refused")
	}
	g.expect(`"session"`, `"reason":"start-failed"`, "exec: cannot allocate memory")
	if st := g.status1("cat"); st.Live != 0 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
}

func TestWaitStream(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("wait", "tcp", port, "/bin/sleep", "0.3")
	s.Wait = true
	g.load(s)
	dial(t, port)
	eventually(t, func() bool { return g.status1("wait").Listeners[0].State == "waiting" })
	dial(t, port)
	if st := g.status1("wait"); st.Live != 1 {
		t.Errorf("%d programs hold one socket", st.Live)
	}
	g.expect(`"session"`, `"service":"wait"`)
	g.expect(`"session"`, `"service":"wait"`) // what was left unread starts the next one
}

// TestWaitDatagramFailureEatsOne: a start that fails takes exactly one datagram.
func TestWaitDatagramFailureEatsOne(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("wait", "udp", port, "/bin/sleep", "1000")
	s.Wait = true
	g.load(s)
	fake := g.fakes["wait"]
	fake.set(func() { fake.errno = syscall.EACCES })
	c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		c.Write([]byte("x"))
	}
	g.expect(`"reason":"start-failed"`)
	fake.set(func() { fake.errno = 0 })
	eventually(t, func() bool { return g.status1("wait").Listeners[0].State == "waiting" })
	if st := g.status1("wait"); st.Failed != 1 {
		t.Errorf("%d starts failed, want the first datagram's alone", st.Failed)
	}
}

func TestReload(t *testing.T) {
	g, a, b := newRig(t), freePort(t), freePort(t)
	g.load(svc("cat", "tcp", a, "/bin/cat"))
	old := dial(t, a)
	echoes(t, old)
	spawns := g.fakes["cat"].spawns
	s := svc("cat", "tcp", a, "/bin/cat")
	s.Listen = append(s.Listen, address.Listen{Network: "tcp", Addr: loopback, Port: b, LastPort: b})
	g.load(s)
	echoes(t, old) // the session of the old generation goes on
	echoes(t, dial(t, a))
	echoes(t, dial(t, b))
	if g.fakes["cat"].spawns != spawns {
		t.Error("an unchanged sandbox was made again")
	}
	// Another command: the old runner ends with its last program.
	first := g.fakes["cat"]
	g.mu.Lock()
	delete(g.fakes, "cat")
	g.mu.Unlock()
	g.load(svc("cat", "tcp", b, "/bin/cat", "-u"))
	if _, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", a)); err == nil {
		t.Error("a removed listener accepts")
	}
	echoes(t, old)
	first.set(func() {
		if first.closed {
			t.Error("a sandbox in use was closed")
		}
	})
	old.Close()
	g.do(func() {
		for _, s := range g.sessions {
			s.signal(unix.SIGKILL)
		}
	})
	eventually(t, func() (closed bool) { first.set(func() { closed = first.closed }); return closed })
}

func (g *rig) do(f func()) { g.loop.Do(f) }

// running does f with each session of the broker, once there are n: an echo may
// overtake the reply that makes the session.
func (g *rig) running(n int, f func(*session)) {
	g.t.Helper()
	eventually(g.t, func() (there bool) {
		g.do(func() {
			if there = len(g.sessions) == n; there {
				for _, s := range g.sessions {
					f(s)
				}
			}
		})
		return there
	})
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	g, a, taken := newRig(t), freePort(t), freePort(t)
	g.load(svc("cat", "tcp", a, "/bin/cat"))
	digest := g.doc.Digest
	busy, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", taken))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	echoes(t, dial(t, a)) // the first one also brings pipes for some more
	g.running(1, func(*session) {})
	before := openFiles(t)
	for name, try := range map[string]func(){
		"busy port":    func() { g.setPolicy(svc("cat", "tcp", taken, "/bin/cat")) },
		"unknown user": func() { s := svc("cat", "tcp", a, "/bin/cat"); s.User = "nosuchuser"; g.setPolicy(s) },
		"compiler":     func() { g.fail = errors.New("garbage") },
	} {
		try()
		got, _, err := g.Load()
		if err == nil || got != digest {
			t.Errorf("%s: digest %s, error %v", name, got, err)
		}
		echoes(t, dial(t, a))
	}
	eventually(t, func() bool { return g.status1("cat").Live == 4 })
	eventually(t, func() bool {
		return openFiles(t) <= before+12 // six ends of three connections, and three pidfds; what the loads had is closed in a moment
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestWildcardToSpecific: the two cannot be bound side by side, and the change
// must work all the same, in both directions.
func TestWildcardToSpecific(t *testing.T) {
	g, port := newRig(t), freePort(t)
	wild := svc("cat", "tcp4", port, "/bin/cat")
	wild.Listen[0].Addr = netip.Addr{}
	for _, s := range []policy.Service{wild, svc("cat", "tcp4", port, "/bin/cat"), wild} {
		g.load(s)
		echoes(t, dial(t, port))
	}
}

func TestRetry(t *testing.T) {
	g, port := newRig(t), freePort(t)
	busy, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Retry = true
	g.load(s)
	if st := g.status1("cat").Listeners[0]; st.State != "retrying" || st.Error == "" {
		t.Errorf("%+v", st)
	}
	busy.Close()
	eventually(t, func() bool { return g.status1("cat").Listeners[0].State == "listening" })
	echoes(t, dial(t, port))
}

func TestNamesFailClosed(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL = "named"
	g.load(s)
	if !refusedAt(t, port) { // there is no worker: no answer
		t.Error("admitted without a name")
	}
	g.expect(`"decision"`, `"verdict":"deny"`)
}

func TestNamesAnswer(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL = "named"
	g.load(s)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	g.do(func() { g.names.worker.starting = true; g.names.worker.started(-1, pair[0], nil) })
	c := dial(t, port)
	buf := make([]byte, 64)
	n, err := unix.Read(pair[1], buf)
	q, qerr := far.DecodeOrder(buf[:max(n, 0)], 0)
	if err != nil || qerr != nil || q.Kind != wire.Ask || q.Name != string(loopback.AsSlice()) {
		t.Fatalf("question %x, %v, %v", buf[:max(n, 0)], err, qerr)
	}
	unix.Write(pair[1], far.EncodeReport(wire.Report{Kind: wire.Named, ID: q.ID, Name: decide.Name{State: decide.Known, Host: "a.example.org"}}))
	echoes(t, c)
	g.expect(`"decision"`, `"verdict":"allow"`, `"client_name":"a.example.org"`)
	g.do(func() { g.names.worker.fd = -1; g.loop.Del(pair[0]); unix.Close(pair[0]) })
}

func TestSecondInstance(t *testing.T) {
	g := newRig(t)
	if _, err := warden.OpenDoor(g.path, ""); !errors.Is(err, warden.ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
}

func TestStopEndsProgramsAndRemovesSockets(t *testing.T) {
	g, path := newRig(t), t.TempDir()+"/s.sock"
	s := svc("sleep", "tcp", freePort(t), "/bin/sleep", "1000")
	s.Listen = append(s.Listen, address.Listen{Network: "unix", Path: path})
	g.load(s)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, func() bool { return g.status1("sleep").Live == 1 && g.status1("sleep").Admitted == 1 })
	g.Stop()
	g.expect(`"session"`, `"reason":"killed"`, "SIGTERM")
	g.expect(`"msg":"stopped"`)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

// eventually waits up to 30 s for something that other processes bring about.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatal("it does not come true")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestBurst: more clients at once than a zygote's queue holds wait their turn
// in the backlog; none is refused.
func TestBurst(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	fake := g.fakes["cat"]
	fake.set(func() { fake.mute = true })
	for range 3 * maxPending {
		dial(t, port)
	}
	eventually(t, func() bool { return g.status1("cat").Live == maxPending })
	var polled bool
	g.do(func() { polled = g.gen.services[0].listen[0].polled })
	if st := g.status1("cat"); polled || st.Refused+st.Failed != 0 {
		t.Errorf("polled %v, %+v", polled, st)
	}
	fake.set(func() { fake.mute = false; fake.last.die() })
	eventually(t, func() bool { return g.status1("cat").Admitted >= maxPending })
}

// TestHungStart: a start that is not done in time is ended with a record that
// names its step, and so is what waits behind it; the next client is served by
// another zygote, and another service's is not touched.
func TestHungStart(t *testing.T) {
	g, port, other := newRig(t), freePort(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"), svc("other", "tcp", other, "/bin/cat"))
	fake := g.fakes["cat"]
	before, bystander := dial(t, port), dial(t, other)
	echoes(t, before)
	echoes(t, bystander)
	zygotes := [2]int{g.status1("cat").ZygotePID, g.status1("other").ZygotePID}
	fake.set(func() { fake.mute = true })
	hung, behind := dial(t, port), dial(t, port)
	eventually(t, func() bool { return g.status1("cat").Live == 3 })
	g.expect(`"session"`, `"reason":"start-failed"`, `exec: not done within 5s`)
	fake.set(func() { fake.mute = false })
	for _, c := range []net.Conn{behind, hung} {
		if !refused(c) {
			t.Error("a client of a hung start is still connected")
		}
	}
	if st := g.status1("cat"); st.Live != 1 || st.Failed != 2 {
		t.Errorf("%d live and %d failed, want 1 and 2", st.Live, st.Failed)
	}
	echoes(t, dial(t, port))
	echoes(t, before)
	echoes(t, bystander)
	if pid := g.status1("cat").ZygotePID; pid == zygotes[0] {
		t.Error("the zygote that hung is still in use")
	}
	if pid := g.status1("other").ZygotePID; pid != zygotes[1] {
		t.Error("another service's zygote was replaced")
	}
}
