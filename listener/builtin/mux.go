package builtin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxMuxName bounds what a client writes; names themselves have at most 64 bytes.
	maxMuxName = 256
	// handTime is how long the broker may have no room for another client.
	handTime = 5 * time.Second
)

// multiplex reads the name of a service (RFC 1078) and hands the client over to the broker, who
// decides about it as about one of that service. Nothing is read behind the name's line. What
// a client sends is compared with the names that the policy has, and is in no answer and no record.
func (s *server) multiplex(c *conn) error {
	line, err := c.line(maxMuxName, lineTime)
	if errors.Is(err, errLong) {
		return c.last([]byte("-The name is too long\r\n"))
	} else if err != nil {
		return end(err)
	}
	name := strings.ToLower(string(line))
	if name == "help" {
		return c.last([]byte(s.help()))
	}
	which := slices.IndexFunc(s.config.Mux, func(n string) bool { return strings.TrimPrefix(n, "+") == name })
	if which < 0 {
		return c.last([]byte("-There is no such service\r\n"))
	}
	if strings.HasPrefix(s.config.Mux[which], "+") {
		if _, err := c.Write([]byte("+Go\r\n")); err != nil {
			return err
		}
	}
	return s.hand(c, byte(which))
}

// alone waits for the end of the broker at the other end, to whom nobody can be handed over any more: whoever comes then is the
// next worker's, and is not accepted by this one.
func (s *server) alone() error {
	_, err := s.mux.Read(make([]byte, 1)) // it says nothing
	return fmt.Errorf("the broker has gone: %w", err)
}

// pollable is a duplicate of f that a goroutine can wait for.
func pollable(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil || err != nil {
		return nil, errors.Join(cerr, os.NewSyscallError("fcntl", err))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// help is the names, one on each line.
func (s *server) help() string {
	var b strings.Builder
	for _, name := range s.config.Mux {
		fmt.Fprintf(&b, "%s\r\n", strings.TrimPrefix(name, "+"))
	}
	return b.String()
}

// hand gives the broker the client's socket, blocking as a program expects it, and keeps none.
func (s *server) hand(c *conn, which byte) error {
	if c.watch.end() != "" {
		return net.ErrClosed
	}
	raw, err := c.stream.(syscall.Conn).SyscallConn() // tcp
	if err != nil {
		return err
	}
	to, err := s.mux.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		if sent = unix.SetNonblock(int(fd), false); sent != nil {
			return
		}
		rights := unix.UnixRights(int(fd))
		for until := time.Now().Add(handTime); ; time.Sleep(10 * time.Millisecond) {
			err := to.Control(func(mux uintptr) {
				sent = unix.Sendmsg(int(mux), []byte{which}, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			})
			if err != nil || !errors.Is(sent, unix.EAGAIN) || time.Now().After(until) {
				sent = errors.Join(err, sent)
				return
			}
		}
	})
	return os.NewSyscallError("sendmsg", errors.Join(err, sent))
}
