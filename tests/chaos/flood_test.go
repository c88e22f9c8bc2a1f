package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// floods are of those who come too often, each bounded in count and time.
var floods = []bad{
	{"flood of connections", stream, flood},
	{"flood of the denied", tcp, func(w *world, x *target, rnd *rand.Rand) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				d := &net.Dialer{Timeout: 50 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 66, 1, byte(i+1))}}
				for range 25 {
					if c, err := d.Dial(x.network, x.address); err == nil {
						c.Close()
					}
				}
			})
		}
		wg.Wait()
	}},
	{"crash loop", program, func(w *world, x *target, rnd *rand.Rand) {
		source := anywhere(rnd)
		for range 20 {
			w.connectedFrom(x, source, func(c net.Conn) {
				_, _ = io.WriteString(c, "crash\n")
				_, _ = c.Read(make([]byte, 1))
			})
		}
	}},
	{"flood of datagrams", datagram, func(w *world, x *target, rnd *rand.Rand) {
		for range 20 {
			w.sent(x, anywhere(rnd), "say flood\n", "say again\n", "", "crash?")
		}
	}},
	{"flood of a built-in", func(x *target) bool { return x.builtin && datagram(x) }, func(w *world, x *target, rnd *rand.Rand) {
		for range 4 {
			w.sent(x, anywhere(rnd), strings.Split(strings.Repeat("say flood\n ", 1000), " ")...)
		}
	}},
	{"datagrams of the denied", datagram, func(w *world, x *target, rnd *rand.Rand) {
		for i := range 10 {
			w.sent(x, fmt.Sprintf("127.66.0.%d", i+1), strings.Split(strings.Repeat("say no\n ", 20), " ")...)
		}
	}},
	{"oversized datagrams", datagram, func(w *world, x *target, rnd *rand.Rand) {
		w.sent(x, anywhere(rnd), strings.Repeat("x", 65507), strings.Repeat("say ", 8000))
	}},
}

func flood(w *world, x *target, rnd *rand.Rand) {
	var wg sync.WaitGroup
	for range 40 {
		own := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() {
			w.connected(x, own, func(c net.Conn) {
				switch own.IntN(4) {
				case 0:
					pause(own, 500)
				case 1:
					_, _ = io.WriteString(c, "say flood\n")
					_, _ = c.Read(make([]byte, 100))
				case 2:
					if t, ok := c.(*net.TCPConn); ok {
						_ = t.SetLinger(0)
					}
				}
			})
		})
	}
	wg.Wait()
}

// sent sends datagrams from one source, and waits for no answer.
func (w *world) sent(x *target, source string, texts ...string) {
	d := &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial(x.network, x.address)
	if err != nil {
		return
	}
	defer c.Close()
	for _, text := range texts {
		_, _ = io.WriteString(c, text)
	}
}
