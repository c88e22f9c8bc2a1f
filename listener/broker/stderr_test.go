package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"casemate/listener/wire"
	"casemate/listener/wire/far"

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

// logSocket puts a socket of the test in the place of the log worker.
func (g *rig) logSocket() (fd int) {
	g.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	wait := unix.Timeval{Sec: 10}
	if err := unix.SetsockoptTimeval(pair[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { unix.Close(pair[1]) })
	g.do(func() {
		w := g.logWorker.worker
		g.loop.Disarm(&w.backoff)
		w.starting = true
		w.started(-1, pair[0], nil)
	})
	return pair[1]
}

// told waits for the next pipe that a log worker is told of.
func (g *rig) told(fd int) (o wire.Order, end *os.File) {
	g.t.Helper()
	for buf, oob := make([]byte, wire.MaxOrder), make([]byte, unix.CmsgSpace(4)); ; {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			g.t.Fatal(err)
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(msgs) == 0 {
			continue // a ping, or the audit socket is not to be had
		}
		got, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(got) != 1 {
			g.t.Fatal(got, err)
		}
		end = os.NewFile(uintptr(got[0]), "pipe")
		g.t.Cleanup(func() { end.Close() })
		if o, err = far.DecodeOrder(buf[:n], 1); err != nil {
			g.t.Fatal(err)
		}
		if o.Kind != wire.Audit {
			return o, end
		}
	}
}

// pipesLeft waits until so many pipes are held, and none of them was forgotten.
func (g *rig) pipesLeft(want int) {
	g.t.Helper()
	eventually(g.t, func() bool {
		got := -1
		g.do(func() { got = len(g.logWorker.pipes) })
		return got == want
	})
}

// TestSilentSessionsHaveNoPipeLeft: of a short session that wrote nothing the log worker never
// hears, and its pipe goes with it; of one that did it hears once, and by its word the pipe goes.
func TestSilentSessionsHaveNoPipeLeft(t *testing.T) {
	g := newRig(t)
	worker := g.logSocket()
	for i := range 40 {
		g.do(func() { // no time goes by in one turn of the loop
			s := &session{id: uint64(100 + i), run: &runner{name: "s"}}
			end, err := g.logWorker.take(s, wire.Text)
			if err != nil {
				t.Fatal(err)
			}
			if i == 39 {
				_, err = unix.Write(end, []byte("hello\n"))
			}
			unix.Close(end)
			g.logWorker.left(s)
			if left := len(g.logWorker.pipes); left != i/39 || err != nil {
				t.Errorf("%d pipes after session %d, %v", left, i, err)
			}
		})
	}
	o, end := g.told(worker)
	text := make([]byte, 100)
	n, err := end.Read(text)
	if o.Kind != wire.Text || o.Name != "s" || o.ID != 139 || string(text[:n]) != "hello\n" {
		t.Errorf("%+v, %q, %v", o, text[:n], err)
	}
	g.pipesLeft(1)
	for _, id := range []uint64{o.ID + 7, o.ID} { // a word about no session changes nothing
		g.pipesLeft(1)
		if _, err := unix.Write(worker, far.EncodeReport(wire.Report{Kind: wire.Done, ID: id, Of: wire.Text})); err != nil {
			t.Fatal(err)
		}
	}
	g.pipesLeft(0)
}

// TestPipeOfASurvivor: a pipe to which somebody can still write when its session is over is the
// log worker's to read, and the next worker's when that one dies.
func TestPipeOfASurvivor(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("s", "tcp4", port, "/bin/sh", "-c", "(read -r x; echo late >&2) <&0 & exec 0<&- 1>&-; exit 0"))
	first := g.logSocket()
	c := dial(t, port)
	g.expect(`"msg":"session"`, `"exit":0`)
	o, _ := g.told(first)
	g.pipesLeft(1)
	g.do(func() { g.logWorker.worker.end(errors.New("killed by the test")) })
	again, end := g.told(g.logSocket())
	if again != o || o.Name != "s" {
		t.Errorf("told of %+v, then of %+v", o, again)
	}
	c.Close() // what it waits for
	if text, err := io.ReadAll(end); err != nil || string(text) != "late\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestPipeOfALongSession: one that lives on is the log worker's to read before it ends.
func TestPipeOfALongSession(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("s", "tcp4", port, "/bin/cat"))
	worker := g.logSocket()
	c := dial(t, port)
	o, end := g.told(worker)
	echoes(t, c)
	var id uint64
	g.do(func() {
		for _, s := range g.sessions {
			id = s.id
		}
	})
	c.Close()
	g.expect(`"msg":"session"`, `"exit":0`)
	if text, err := io.ReadAll(end); err != nil || len(text) > 0 || o.ID != id {
		t.Errorf("%q, %v, of %d, want %d", text, err, o.ID, id)
	}
}

// TestPipesWithoutAWorker: what is over and cannot be read is given up, and counted.
func TestPipesWithoutAWorker(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("loud", "tcp4", port, "/bin/sh", "-c", "echo hello >&2"))
	dial(t, port)
	g.expect(`"msg":"session"`, `"exit":0`)
	g.expect(`"msg":"stderr-lost"`, `"service":"loud"`, `"count":6`)
	g.pipesLeft(0)
	g.do(func() {
		s := &session{id: 1, run: &runner{name: "prints"}}
		end, err := g.logWorker.take(s, wire.Stdout)
		if err == nil {
			_, err = unix.Write(end, []byte("hello world\n"))
		}
		if err != nil {
			t.Error(err)
		}
		unix.Close(end)
		g.logWorker.left(s)
	})
	g.expect(`"msg":"stdout-lost"`, `"service":"prints"`, `"count":12`)
	g.pipesLeft(0)
}

// TestNoPipeWhereDescriptorsAreFew: there a session runs without, which is said in the log.
func TestNoPipeWhereDescriptorsAreFew(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("s", "tcp4", port, "/bin/sh", "-c", "echo hello >&2 && exec cat"))
	g.do(func() { g.maxFiles = 0 })
	c := dial(t, port)
	echoes(t, c)
	g.pipesLeft(0)
	c.Close()
	g.expect(`"msg":"stderr of new sessions is not logged`)
	g.expect(`"msg":"session"`, `"exit":0`)
}

// TestPipeIsOpenedAgainToWriteOnly: /dev/stderr is a link to the pipe, and whoever
// the program runs as may open it, but take nothing out of it.
func TestPipeIsOpenedAgainToWriteOnly(t *testing.T) {
	g := newRig(t)
	one, fd := &session{run: &runner{name: "s"}}, -1
	var err error
	if g.do(func() { fd, err = g.logWorker.take(one, wire.Text) }); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode != unix.S_IFIFO|0o222 {
		t.Fatalf("mode %o, %v", st.Mode, err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	g.do(func() {
		if n, err := unix.IoctlGetInt(one.pipes[0].fd, unix.TIOCINQ); err != nil || n != 1 {
			t.Errorf("the pipe holds %d, %v", n, err)
		}
	})
}

// TestPipesWithoutDescriptors: where there is no descriptor for a pipe there is an error, and none is
// held. For the second end of a socket neither.
func TestPipesWithoutDescriptors(t *testing.T) {
	g := newRig(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	lowest := func() int {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	for _, kind := range []wire.Kind{wire.Text, wire.Syslog} {
		for more := range 2 {
			g.do(func() {
				first := lowest()
				if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(first + more), Max: old.Max}); err != nil {
					t.Fatal(err)
				}
				_, err := g.logWorker.take(&session{run: &runner{name: "s"}}, kind)
				if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); back != nil {
					panic(back)
				}
				if !errors.Is(err, unix.EMFILE) || lowest() != first {
					t.Errorf("%c, %d more: %v, and %d is the next descriptor, was %d", kind, more, err, lowest(), first)
				}
			})
		}
	}
	g.pipesLeft(0)
}
