package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bad is one way in which a client misbehaves. Each takes three seconds at most.
type bad struct {
	name string
	to   func(x *target) bool // whom it can be done to
	do   func(w *world, x *target, rnd *rand.Rand)
}

func stream(x *target) bool   { return x.network != "udp" }
func tcp(x *target) bool      { return x.network == "tcp" }
func datagram(x *target) bool { return x.network == "udp" }

// Nobody but the time of a session ends what somebody who is gone without a word has left to the broker's successor, which cannot
// ask how slow that client is; slow targets have sessions that last.

// program is whom an order can be given to that harms nobody but who gives it.
func program(x *target) bool { return stream(x) && x.nowait() && !x.closed && !x.slow }

var badClients = slices.Concat(rude, floods, slow)

// rude are clients of every kind that a program meets.
var rude = []bad{
	{"never sending", stream, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) { pause(rnd, 2000) })
	}},
	{"half open", stream, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) {
			if h, ok := c.(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite()
			}
			pause(rnd, 300)
		})
	}},
	{"reset", tcp, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	}},
	{"gone without a word", func(x *target) bool { return tcp(x) && !x.slow }, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, vanish)
	}},
	{"one byte at a time", program, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) {
			for _, b := range []byte("say slowly\n") {
				_, _ = c.Write([]byte{b})
				pause(rnd, 60)
			}
			_, _ = c.Read(make([]byte, 100))
		})
	}},
	{"never reading", program, ordered("spew", 1500)},
	{"crash", program, ordered("crash", 100)},
	{"violation", program, ordered("violate", 100)},
	{"noise on stderr", program, ordered("noise", 500)},
	{"deaf program", program, ordered("hang", 300)},
	{"left child", program, ordered("leave", 300)},
	{"greedy program", program, ordered("eat", 300)},
	{"garbage", stream, func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) {
			_, _ = io.WriteString(c, strings.Repeat("\x00\xff\r\n{}", 10_000))
		})
	}},
	{"held control socket", tcp, func(w *world, _ *target, rnd *rand.Rand) {
		if c, err := net.DialTimeout("unix", w.broker.Control, time.Second); err == nil {
			_, _ = io.WriteString(c, []string{"", "{", "{}\n", strings.Repeat("[", 100_000), `{"format_version":1,"verb":"stop"}` + "\n"}[rnd.IntN(5)])
			pause(rnd, 1000)
			c.Close()
		}
	}},
}

// ordered gives the order, and leaves after so many milliseconds at most.
func ordered(order string, ms int) func(*world, *target, *rand.Rand) {
	return func(w *world, x *target, rnd *rand.Rand) {
		w.connected(x, rnd, func(c net.Conn) {
			_, _ = io.WriteString(c, order+"\n")
			pause(rnd, ms)
			if t, ok := c.(*net.TCPConn); ok && rnd.IntN(2) == 0 {
				_ = t.SetLinger(0)
			}
		})
	}
}

// anywhere is a loopback address that no good client has.
func anywhere(rnd *rand.Rand) string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rnd.IntN(60), rnd.IntN(256), 1+rnd.IntN(254))
}

func pause(rnd *rand.Rand, ms int) { time.Sleep(time.Duration(rnd.IntN(ms)+1) * time.Millisecond) }

// connected does something with a connection from anywhere, if there is one.
func (w *world) connected(x *target, rnd *rand.Rand, do func(c net.Conn)) {
	w.connectedFrom(x, anywhere(rnd), do)
}

func (w *world) connectedFrom(x *target, source string, do func(c net.Conn)) {
	d := &net.Dialer{Timeout: time.Second}
	if x.network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	c, err := d.Dial(x.network, x.address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	do(c)
}

// vanish closes a connection without a word to its peer, like a client that lost
// its power (tcp(7): TCP_REPAIR).
func vanish(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1) })
	}
}
