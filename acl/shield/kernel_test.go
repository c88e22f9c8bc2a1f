package shield

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"casemate/tests/need"
)

// TestShieldInKernel: the kernel drops with the filters at real sockets whom the interpreter drops, and whom the rules refuse. Datagrams
// with any source go over the loopback of a network namespace of the test's own.
func TestShieldInKernel(t *testing.T) {
	need.Root(t, "it makes a network namespace, and sends in the name of others")
	runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	up(t)
	four, six := newWire(t, netip.MustParseAddr("127.0.0.1")), newWire(t, netip.MustParseAddr("::1"))
	sent, tried := 0, map[bool]int{}
	begin := time.Now()
	for seed := uint64(0); sent < 20*need.Rounds(200) && time.Since(begin) < 40*time.Second; seed++ {
		d := newTrial(t, rand.New(rand.NewPCG(seed, 13)))
		d.interpreted(t)
		filter := Filter(true, d.first, d.rules)
		for _, w := range []*wire{four, six} {
			w.attach(t, filter)
			var from []netip.Addr
			for _, a := range d.from {
				if a.Is4() == w.to.Is4() && !a.IsUnspecified() && !a.IsMulticast() { // of which the kernel makes another, or drops it by itself
					from = append(from, a)
				}
			}
			sent += len(from)
			for i, came := range w.try(t, from) {
				d.hold(t, "the kernel", from[i], !came)
				tried[came]++
			}
		}
	}
	if t.Logf("%d datagrams in %v, %v", sent, time.Since(begin), tried); tried[true] < sent/10 || tried[false] < sent/10 {
		t.Errorf("%v: one answer is hardly tried", tried)
	}
}

// up sets the loopback interface up.
func up(t *testing.T) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	ifr := [40]byte{'l', 'o', syscall.IFNAMSIZ: syscall.IFF_UP} // struct ifreq of a little-endian machine
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		t.Fatal(errno)
	}
}

// wire sends datagrams of anybody to a socket.
type wire struct {
	to       netip.Addr
	raw, fd  int
	port     uint16
	lastSeen uint32
}

func newWire(t *testing.T, to netip.Addr) *wire {
	t.Helper()
	w := &wire{to: to}
	family, bind := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if to.Is6() {
		family, bind = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: to.As16()}
	}
	var err error
	if w.fd, err = syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(w.fd) })
	if err := syscall.Bind(w.fd, bind); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(w.fd)
	if err != nil {
		t.Fatal(err)
	}
	switch a := at.(type) {
	case *syscall.SockaddrInet4:
		w.port = uint16(a.Port)
	case *syscall.SockaddrInet6:
		w.port = uint16(a.Port)
	}
	if w.raw, err = syscall.Socket(family, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(w.raw) })
	return w
}

func (w *wire) attach(t *testing.T, filter []byte) {
	t.Helper()
	list := make([]syscall.SockFilter, len(filter)/InstructionSize)
	for i := range list {
		one := filter[InstructionSize*i:]
		list[i] = syscall.SockFilter{Code: binary.NativeEndian.Uint16(one), Jt: one[2], Jf: one[3], K: binary.NativeEndian.Uint32(one[4:])}
	}
	if err := syscall.AttachLsf(w.fd, list); err != nil {
		t.Fatal(err)
	}
}

// try sends a datagram in the name of each, and tells which of them came.
func (w *wire) try(t *testing.T, from []netip.Addr) []bool {
	t.Helper()
	came := make([]bool, len(from))
	first := w.lastSeen
	for _, a := range from {
		w.lastSeen++
		var err error
		if p := w.datagram(a, w.lastSeen); w.to.Is4() {
			err = syscall.Sendto(w.raw, p, 0, &syscall.SockaddrInet4{Addr: w.to.As4()})
		} else {
			err = syscall.Sendto(w.raw, p, 0, &syscall.SockaddrInet6{Addr: w.to.As16()})
		}
		if err != nil {
			t.Fatalf("sending as %s: %v", a, err)
		}
		w.drain(t, first, came) // over loopback it is there when it is sent, and the queue stays short
	}
	for range 3 { // or nearly
		time.Sleep(100 * time.Microsecond)
		w.drain(t, first, came)
	}
	return came
}

func (w *wire) drain(t *testing.T, first uint32, came []bool) {
	t.Helper()
	var text [8]byte
	for {
		n, _, err := syscall.Recvfrom(w.fd, text[:], 0)
		if errors.Is(err, syscall.EAGAIN) {
			return
		}
		if err != nil || n != 4 {
			t.Fatal(n, err)
		}
		i := binary.BigEndian.Uint32(text[:]) - first - 1
		if int(i) >= len(came) {
			t.Fatal("a datagram came after its turn")
		}
		came[i] = true
	}
}

// datagram is one of UDP with its headers, of 4 bytes.
func (w *wire) datagram(from netip.Addr, serial uint32) []byte {
	udp := binary.BigEndian.AppendUint16(nil, 9)
	udp = binary.BigEndian.AppendUint16(udp, w.port)
	udp = binary.BigEndian.AppendUint16(udp, 12)
	udp = binary.BigEndian.AppendUint16(udp, 0) // no checksum, which IPv4 has none of
	udp = binary.BigEndian.AppendUint32(udp, serial)
	if from.Is4() {
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, syscall.IPPROTO_UDP, 0, 0} // the kernel fills the rest in
		binary.NativeEndian.PutUint16(ip[2:], 32)
		return append(append(append(ip, from.AsSlice()...), w.to.AsSlice()...), udp...)
	}
	ends := append(from.AsSlice(), w.to.AsSlice()...)
	sum := uint32(syscall.IPPROTO_UDP + len(udp))
	for of := append(ends[:32:32], udp...); len(of) > 0; of = of[2:] {
		sum += uint32(binary.BigEndian.Uint16(of))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum = ^sum & 0xffff; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], uint16(sum))
	ip := []byte{0x60, 0, 0, 0, 0, byte(len(udp)), syscall.IPPROTO_UDP, 64}
	return append(append(ip, ends...), udp...)
}
