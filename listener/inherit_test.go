package listener

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestProgramSpoilsPassedSocket: what a program does to a socket that a service manager passed
// does not stay for the next one, or the socket is not used; there is no other behind it.
func TestProgramSpoilsPassedSocket(t *testing.T) {
	peer := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	filter := func(fd int) error {
		drop := unix.SockFilter{Code: 6}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1) // else the broker takes it off
	}
	for _, tt := range []struct {
		name  string
		spoil func(fd int) error
		ends  bool
	}{
		{"connected", func(fd int) error { return unix.Connect(fd, peer) }, false},
		{"option", func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, 3) }, false},
		{"filtered", filter, true},
	} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		// A port that was asked for is kept when a peer is let go, one that the kernel chose is not.
		for port := 20000; ; port++ {
			if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != unix.EADDRINUSE {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err := bound(fd)
		if err != nil {
			t.Fatal(err)
		}
		from := &Socket{FD: fd}
		from.keepOptions()
		in, spec := Inherited{e.Key(): from}, Spec{Endpoint: e, Wait: true}
		for range 2 {
			s, err := in.Open(spec)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if err := tt.spoil(s.FD); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			s.Close()
			if s, err = in.Open(spec); (err != nil) != tt.ends {
				t.Errorf("%s: opened again: %v", tt.name, err)
			}
			if tt.ends {
				break
			}
			if _, err := unix.Getpeername(s.FD); err == nil {
				t.Errorf("%s: it has a peer still", tt.name)
			}
			if ttl, _ := unix.GetsockoptInt(s.FD, unix.SOL_IP, unix.IP_TTL); ttl == 3 {
				t.Errorf("%s: it has the program's ttl", tt.name)
			}
			if now, err := bound(s.FD); err != nil || now.Key() != e.Key() {
				t.Errorf("%s: it is bound to %s now, %v", tt.name, now.Key(), err)
			}
			s.Close()
		}
	}
}
