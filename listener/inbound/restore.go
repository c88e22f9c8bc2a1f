package inbound

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// What makes a socket useless for whoever gets it next.
var (
	errShutDown  = errors.New("shut down")
	errConnected = errors.New("connected to one peer")
	errNotListen = errors.New("listening no more")
)

// Restore gives a socket back what a program that held it may have changed, a datagram begun
// with MSG_MORE among it; what waits in the queue stays. An error means that the socket is beyond that
// (shut down, connected, filtered): then it must be closed and opened anew.
func (s *Socket) Restore() error {
	if on, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); s.Spec.Stream() && (err != nil || on == 0) {
		return errNotListen
	}
	if s.Spec.UDP() {
		// What is pending goes to its peer now, or it would take the next answer along.
		if err := unix.SetsockoptInt(s.FD, unix.IPPROTO_UDP, unix.UDP_CORK, 0); err != nil {
			return fmt.Errorf("setsockopt UDP_CORK: %w", err)
		}
	}
	if err := s.Owner.Restore(); err != nil {
		return err
	}
	return s.Check()
}

// Check is an error for a socket that a program before has left useless, as one may be that
// another broker, or a service manager, had.
func (s *Socket) Check() error {
	if _, err := unix.Getpeername(s.FD); !s.Spec.Stream() && err == nil {
		return errConnected
	}
	return s.alive()
}

// alive tells whether the socket was shut down. A unix listener that was shut
// down still says that it listens, but polls as hung up.
func (s *Socket) alive() error {
	// Read once, a pending error is gone; one of the error queue stays.
	_, _ = unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_ERROR)
	fds := []unix.PollFd{{Fd: int32(s.FD), Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(fds, 0); err != nil && err != unix.EINTR {
		return fmt.Errorf("poll: %w", err)
	}
	if fds[0].Revents != 0 || !s.Spec.Stream() && s.sendShutDown() {
		return errShutDown
	}
	return nil
}

// sendShutDown tells whether a datagram socket was shut down for sending alone,
// which nothing reports: a send fails with EPIPE then. These sends never leave:
// a unix one goes to a name that nobody has, and UDP refuses to cut 1,000 bytes
// into segments of one byte (udp(7), UDP_SEGMENT), both after the look at the
// shutdown. A kernel without UDP_SEGMENT (before 4.18) refuses before it.
func (s *Socket) sendShutDown() bool {
	const quiet = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if s.Spec.Unix() {
		return unix.Sendto(s.FD, nil, quiet, &unix.SockaddrUnix{Name: "@casemate-nobody"}) == unix.EPIPE
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	if strings.HasSuffix(s.Spec.Network, "6") {
		to = &unix.SockaddrInet6{Port: 9, Addr: [16]byte{15: 1}}
	}
	return unix.Sendmsg(s.FD, make([]byte, 1000), segmentOfOne(), to, quiet) == unix.EPIPE
}
