package listener

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of Restore: what makes a socket useless for whoever gets it next.
var (
	errShutDown  = errors.New("shut down")
	errConnected = errors.New("connected to one peer")
	errNotListen = errors.New("listening no more")
)

// Restore gives a socket back what a program that held it may have changed:
// file status flags, options, backlog, a datagram begun with MSG_MORE. All of
// them belong to the socket, not to the holder, and would reach the next one.
// What waits in the queue stays. An error means that the socket is beyond that
// (shut down, connected, filtered): then it must be closed and opened anew.
func (s *Socket) Restore() error {
	stream := s.Spec.Stream()
	if on, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); stream && (err != nil || on == 0) {
		return errNotListen
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.Spec.UDP() {
		// What is pending goes to its peer now, or it would take the next answer along.
		if err := unix.SetsockoptInt(s.FD, unix.IPPROTO_UDP, unix.UDP_CORK, 0); err != nil {
			return fmt.Errorf("setsockopt UDP_CORK: %w", err)
		}
	}
	if err := s.restoreOptions(); err != nil {
		return err
	}
	if _, err := unix.Getpeername(s.FD); !stream && err == nil {
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

// keepOptions notes what Restore goes back to.
func (s *Socket) keepOptions() {
	s.options = make([]string, len(options))
	for i, o := range options {
		s.options[i] = getOption(s.FD, o)
	}
}

// restoreOptions sets what differs. An option that the socket does not have
// reads as "" both times.
func (s *Socket) restoreOptions() error {
	for i, was := range s.options {
		o := options[i]
		if err := o.put(s.FD, was); err != nil {
			return fmt.Errorf("option %d of level %d cannot be restored: %w", o.name, o.level, err)
		}
	}
	return nil
}
