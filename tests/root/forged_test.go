package root

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// gram is a udp socket whose reads say at once that there is nothing.
type gram int

// gramFrom binds a udp socket of loopback.
func gramFrom(t *testing.T, from string) gram {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sockaddr(from)); err != nil {
		t.Fatalf("bind %s: %v", from, err)
	}
	return gram(fd)
}

func sockaddr(at string) *unix.SockaddrInet4 {
	a := netip.MustParseAddrPort(at)
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func (g gram) send(t *testing.T, to string, data []byte) {
	t.Helper()
	if err := unix.Sendto(int(g), data, 0, sockaddr(to)); err != nil {
		t.Fatalf("to %s: %v", to, err)
	}
}

// answer waits for one datagram.
func (g gram) answer(t *testing.T) []byte {
	t.Helper()
	buf := make([]byte, 1<<16)
	if err := rig.Until(30*time.Second, func() error {
		n, _, err := unix.Recvfrom(int(g), buf, unix.MSG_DONTWAIT)
		if err == nil {
			buf = buf[:n]
		}
		return err
	}); err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return buf
}

// arrived counts the datagrams, and their bytes, that are there already.
func (g gram) arrived() (count, bytes int) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(int(g), buf, unix.MSG_DONTWAIT)
		if err != nil {
			return count, bytes
		}
		count, bytes = count+1, bytes+n
	}
}

// spoof sends a datagram of a source that is not ours to bind.
func spoof(t *testing.T, from, to string, data []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	p := make([]byte, 28, 28+len(data)) // IPv4 (RFC 791) and udp (RFC 768) without a checksum
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(data)))
	copy(p[12:], src.Addr().AsSlice())
	copy(p[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[20:], src.Port())
	binary.BigEndian.PutUint16(p[22:], dst.Port())
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(data)))
	if err := unix.Sendto(fd, append(p, data...), 0, sockaddr(netip.AddrPortFrom(dst.Addr(), 0).String())); err != nil {
		t.Fatalf("spoof %s to %s: %v", from, to, err)
	}
}

// responders are the built-ins of udp at their own ports.
var responders = map[string]int{"echo": 7, "discard": 9, "daytime": 13, "qotd": 17, "chargen": 19, "time": 37}

// respond serves them all, and each but discard at an unprivileged port besides, where
// a namespace has those ports free.
func respond(t *testing.T) (b *rig.Broker, high map[string]string) {
	t.Helper()
	high = map[string]string{}
	text := head
	for name, port := range responders {
		high[name] = fmt.Sprintf("127.0.0.1:%d", 20000+port)
		more := ""
		if name == "qotd" {
			more = "  says = [\"Less is more.\"]\n"
		}
		for at, suffix := range map[string]string{fmt.Sprintf("127.0.0.1:%d", port): "", high[name]: "-high"} {
			text += fmt.Sprintf("\nservice %q {\n  listen = [\"udp://%s\"]\n  builtin = %q\n  acl = acl.loopback\n  limit = limit.wide\n  linger = \"60s\"\n%s}\n", name+suffix, at, name, more)
		}
	}
	return rig.Serve(t, text), high
}

// counted waits until the service has admitted and refused so many, the latter for the reason.
func counted(t *testing.T, b *rig.Broker, name string, admitted uint64, reason string, refused uint64) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service(name)
		if err == nil && (s.Admitted != admitted || s.RefusedBy[reason] != refused) {
			err = fmt.Errorf("%s: %d admitted, refused by %v, want %d and %s %d", name, s.Admitted, s.RefusedBy, admitted, reason, refused)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestCVE1999_0103_ForgedPorts (and CVE-2024-2169): a datagram that claims to come from another
// responder's port is not answered, or the two would never stop. Neither is one from
// the service's own port. What a client sends after them all is.
func TestCVE1999_0103_ForgedPorts(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	b, high := respond(t)
	ball := []byte(strings.Repeat("ball ", 20))
	forged := map[int]gram{} // other than the services' own address, so that the ports can be bound
	for _, port := range responders {
		forged[port] = gramFrom(t, fmt.Sprintf("127.0.0.2:%d", port))
	}
	client := gramFrom(t, "127.0.0.3:0")
	for name, at := range high {
		for _, g := range forged {
			g.send(t, at, ball)
		}
		spoof(t, at, at, ball) // it to itself
		if name == "discard" {
			continue
		}
		client.send(t, at, ball)
		client.answer(t)
	}
	for port, g := range forged {
		if n, bytes := g.arrived(); n > 0 {
			t.Errorf("%d answers of %d bytes to port %d", n, bytes, port)
		}
	}
	// The classic: chargen's answer to echo is echoed.
	spoof(t, "127.0.0.1:7", "127.0.0.1:19", ball)
	spoof(t, "127.0.0.1:19", "127.0.0.1:7", ball)
	for name := range high {
		if name != "discard" { // which answers nobody
			counted(t, b, name+"-high", 1, "source-port", uint64(len(forged)+1))
		}
	}
	counted(t, b, "chargen", 0, "source-port", 1)
	counted(t, b, "echo", 0, "source-port", 1)
}

// TestCVE2024_2169_TwoInstances: of two echo services at ports that a client could have too, each
// answers the other, and the budget of answers to a network ends it.
func TestCVE2024_2169_TwoInstances(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	text := head + "\nlimit \"answers\" {\n  concurrent = 10000\n  rate = \"10000/s\"\n  burst = 10000\n  responses = \"20/s\"\n}\n"
	for name, port := range map[string]string{"one": "20007", "other": "20008"} {
		text += fmt.Sprintf("\nservice %q {\n  listen = [\"udp://127.0.0.1:%s\"]\n  builtin = \"echo\"\n  acl = acl.loopback\n  limit = limit.answers\n}\n", name, port)
	}
	b := rig.Serve(t, text)
	spoof(t, "127.0.0.1:20007", "127.0.0.1:20008", []byte("ball"))
	if err := rig.Until(30*time.Second, func() error {
		var dropped uint64
		for _, name := range []string{"one", "other"} {
			s, err := b.Service(name)
			if err != nil {
				return err
			}
			dropped += s.RefusedBy["response-rate"]
		}
		if dropped != 1 { // the one datagram that there was
			return fmt.Errorf("%d datagrams were dropped", dropped)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestUDPAmplification (Debian #1013300): no built-in sends a forged source more than
// it took to ask, but for the two whose answers have one small size.
func TestUDPAmplification(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	_, high := respond(t)
	for name := range high {
		if name == "discard" {
			continue
		}
		client, last := gramFrom(t, "127.0.0.2:0"), gramFrom(t, "127.0.0.3:0")
		for _, size := range []int{0, 1, 4, 25, 72, 511, 513, 1400, 9000} {
			client.send(t, high[name], make([]byte, size))
			last.send(t, high[name], make([]byte, 1400))
			last.answer(t) // the first one has been decided
			most := max(size, map[string]int{"daytime": 26, "time": 4}[name])
			if n, bytes := client.arrived(); n > 1 || bytes > most {
				t.Errorf("%s answers %d bytes with %d datagrams of %d", name, size, n, bytes)
			}
		}
	}
}
