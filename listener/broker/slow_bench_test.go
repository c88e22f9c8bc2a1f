package broker

import (
	"fmt"
	"net"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/loop"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// BenchmarkLook is one look at one of many clients that are held to a rate: what the kernel tells, the judgement and the next timer.
// Beside it is the kernel's part alone. Each client is looked at every ten seconds.
func BenchmarkLook(b *testing.B) {
	events, err := loop.New()
	if err != nil {
		b.Fatal(err)
	}
	broker := &Broker{loop: events} // which does not run: nothing but the looks costs anything
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	svc := &service{b: broker, spec: &policy.Service{}, limit: &limit.Spec{MinRate: 100, FirstByte: time.Hour}}
	for _, n := range []int{100, 9000} {
		sessions := make([]*session, 0, n)
		for range n {
			out, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			in, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer out.Close()
			defer in.Close()
			raw, err := in.(*net.TCPConn).SyscallConn()
			if err != nil {
				b.Fatal(err)
			}
			s := &session{visit: visit{svc: svc}}
			_ = raw.Control(func(fd uintptr) { s.conn = int(fd) })
			broker.attend(s)
			sessions = append(sessions, s)
		}
		b.Run(fmt.Sprint("sessions=", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				(*client)(sessions[i%n]).Expire(nil)
			}
		})
		b.Run(fmt.Sprint("kernel/sessions=", n), func(b *testing.B) {
			for i := range b.N {
				if _, err := unix.GetsockoptTCPInfo(sessions[i%n].conn, unix.SOL_TCP, unix.TCP_INFO); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, s := range sessions {
			events.Disarm(&s.client)
		}
	}
}
