package broker

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener/address"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// waitRig serves one wait service on a socket of a network. Its program does
// nothing: what a program may do to its socket, the test does for it.
type waitRig struct {
	*rig
	network, to string
	at          *listening
	turns       int // of the loop
}

func newWaitRig(t *testing.T, network string) *waitRig {
	w := &waitRig{rig: newRig(t), network: network}
	port := freePort(t)
	s := svc("w", network, port, "/bin/sleep", "1000")
	s.Wait, w.to = true, netip.AddrPortFrom(loopback, port).String()
	if strings.HasPrefix(network, "unix") {
		w.to = t.TempDir() + "/s.sock"
		s.Listen[0], s.Socket.Mode = address.Listen{Network: network, Path: w.to}, 0o620
	}
	w.load(s)
	w.do(func() {
		w.at = w.gen.services[0].listen[0]
		idle := w.loop.Idle
		w.loop.Idle = func() { w.turns++; idle() }
	})
	return w
}

// call has a client come, and waits until the program runs.
func (w *waitRig) call() net.Conn {
	w.t.Helper()
	before := w.status1("w").Admitted
	c, err := net.Dial(w.network, w.to)
	if err == nil {
		_, err = c.Write([]byte("x"))
	}
	if err != nil {
		w.t.Fatalf("%s: %v", w.network, err)
	}
	eventually(w.t, func() bool { st := w.status1("w"); return st.Admitted == before+1 && st.Live == 1 })
	return c
}

// end takes what is in the queue, as the program would, and ends the program.
func (w *waitRig) end(mischief func(fd int)) {
	w.t.Helper()
	w.do(func() {
		if w.at.stream() {
			if conn, _, err := unix.Accept4(w.at.fd(), unix.SOCK_NONBLOCK); err == nil {
				unix.Close(conn)
			}
		} else {
			_, _, _ = unix.Recvfrom(w.at.fd(), make([]byte, 8), unix.MSG_DONTWAIT)
		}
		mischief(w.at.fd())
		for _, s := range w.sessions {
			s.mercy = journal.Killed // no fault of its own: the socket does not rest
			s.signal(unix.SIGKILL)
		}
	})
	eventually(w.t, func() bool { st := w.status1("w"); return st.Live == 0 && st.Listeners[0].State == "listening" })
}

// quiet tells that the loop sleeps and starts nothing for nobody.
func (w *waitRig) quiet() {
	w.t.Helper()
	var before, after int
	admitted := w.status1("w").Admitted
	time.Sleep(20 * time.Millisecond)
	w.do(func() { before = w.turns })
	time.Sleep(300 * time.Millisecond)
	w.do(func() { after = w.turns })
	if after-before > 20 {
		w.t.Errorf("%s: %d turns of the loop in 300 ms without a client", w.network, after-before)
	}
	if n := w.status1("w").Admitted - admitted; n > 0 {
		w.t.Errorf("%s: %d programs started for nobody", w.network, n)
	}
}

// TestWaitProgramShutsItsSocketDown: whatever it has shut, the loop does not
// spin, no program starts for nobody, and the next client is served.
func TestWaitProgramShutsItsSocketDown(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix", "unixgram", "unixpacket"} {
		for how, name := range map[int]string{unix.SHUT_RD: "RD", unix.SHUT_WR: "WR", unix.SHUT_RDWR: "RDWR"} {
			t.Run(network+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWaitRig(t, network)
				c := w.call()
				w.end(func(fd int) { _ = unix.Shutdown(fd, how) })
				c.Close()
				w.quiet()
				c = w.call()
				defer c.Close()
				if network == "udp" { // shut down for sending, it could not answer
					w.do(func() {
						_, from, err := unix.Recvfrom(w.at.fd(), make([]byte, 8), unix.MSG_DONTWAIT)
						if err == nil {
							err = unix.Sendto(w.at.fd(), []byte("y"), unix.MSG_NOSIGNAL, from)
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
				if !strings.HasPrefix(network, "unix") {
					return
				}
				if info, err := os.Lstat(w.to); err != nil || info.Mode().Perm() != 0o620 {
					t.Errorf("%v, %v", info, err)
				}
			})
		}
	}
}

// TestWaitProgramConnectsItsSocket: the next sender gets through all the same.
func TestWaitProgramConnectsItsSocket(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		w := newWaitRig(t, network)
		w.call().Close()
		w.end(func(fd int) {
			var to unix.Sockaddr = &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
			if network == "unixgram" {
				peer, err := net.ListenPacket("unixgram", w.to+".peer")
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				to = &unix.SockaddrUnix{Name: w.to + ".peer"}
			}
			if err := unix.Connect(fd, to); err != nil {
				t.Fatal(err)
			}
		})
		w.quiet()
		w.call().Close()
	}
}

// TestWaitSocketKeepsItsQueue: clients who waited while an honest program ran
// are served by the next one, and what it set is undone.
func TestWaitSocketKeepsItsQueue(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix", "unixgram", "unixpacket"} {
		w := newWaitRig(t, network)
		defer w.call().Close()
		second, err := net.Dial(network, w.to)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if _, err := second.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		fd := w.at.fd()
		w.do(func() {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1000)
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			for _, s := range w.sessions {
				s.mercy = journal.Killed
				s.signal(unix.SIGKILL)
			}
		})
		eventually(t, func() bool { st := w.status1("w"); return st.Admitted == 2 && st.Live == 1 })
		linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		if err != nil || linger.Onoff != 0 {
			t.Errorf("%s: %+v, %v", network, linger, err)
		}
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT); err != nil || n != 1 || w.at.fd() != fd {
			t.Errorf("%s: RCVLOWAT %d, %v, descriptor %d was %d", network, n, err, w.at.fd(), fd)
		}
	}
}

// TestProgramTakesNothing: a program that ends without a look at its socket is not
// started for the same datagram or connection for ever, and what comes after that
// is served.
func TestProgramTakesNothing(t *testing.T) {
	for _, network := range []string{"tcp", "udp", "unix", "unixgram", "unixpacket"} {
		for _, program := range []string{"/bin/true", "/bin/false"} {
			t.Run(network+program, func(t *testing.T) {
				t.Parallel()
				g, port := newRig(t), freePort(t)
				s, to := svc("w", network, port, program), netip.AddrPortFrom(loopback, port).String()
				s.Wait = true
				if strings.HasPrefix(network, "unix") {
					to = t.TempDir() + "/s.sock"
					s.Listen[0], s.Socket.Mode = address.Listen{Network: network, Path: to}, 0o620
				}
				g.load(s)
				rounds := 2
				if program == "/bin/false" {
					rounds = 1 // one that fails rests ever longer
				}
				for round := range rounds {
					c, err := net.Dial(network, to)
					if err == nil {
						defer c.Close()
						_, err = c.Write([]byte("x"))
					}
					// All of its programs may have come and gone before connect(2) has returned.
					if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Fatal(err)
					}
					want := uint64((round + 1) * maxUnread)
					eventually(t, func() bool {
						st := g.status1("w")
						return st.Admitted >= want && st.Live == 0 && st.Listeners[0].State == "listening"
					})
					time.Sleep(200 * time.Millisecond)
					if n := g.status1("w").Admitted; n != want {
						t.Errorf("round %d: %d programs, want %d", round, n, want)
					}
				}
			})
		}
	}
}

// TestProgramTakesOneOfMany: a program that takes one datagram and ends, while one
// client sends many alike, loses none of them.
func TestProgramTakesOneOfMany(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("w", "udp", port, "/bin/dd", "bs=64", "count=1", "status=none", "of=/dev/null")
	s.Wait = true
	g.load(s)
	c, err := net.Dial("udp", netip.AddrPortFrom(loopback, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const many = 3 * maxUnread
	for range many {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	eventually(t, func() bool { return g.status1("w").Admitted == many })
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%v: it rested in between", took)
	}
}
