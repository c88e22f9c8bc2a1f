package listener

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"casemate/listener/endpoint"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// Socket is one open listening or datagram socket. It owns FD. It is not safe
// for concurrent use: casemated's event loop is its only user.
type Socket struct {
	// FD is the descriptor: close-on-exec; non-blocking only for a nowait stream listener.
	FD int
	// Spec is what it was opened with.
	Spec Spec

	file    hostpath.ID // the unix socket file this Socket made, zero otherwise
	options []string    // what Restore goes back to; nil unless a program may hold the socket
	plain   []string    // what it had before its first Settings, by their places; nil if it had none
	lent    bool        // a service manager's, with its file
}

// Open binds and listens. Errors name the operation and the address first
// ("bind tcp4/0.0.0.0:79: address already in use") and wrap the errno.
//
// TCP sockets are plain IPPROTO_TCP with SO_REUSEADDR, so that a restart is not
// held up by TIME_WAIT; v6 sockets are v6-only, always. UDP sockets record the
// local address of every datagram (IP_PKTINFO, IPV6_RECVPKTINFO) from the start,
// because the kernel notes it when the datagram arrives, not when it is read. One is
// opened beside the sockets of single peers that SplitPeer made, which programs of an
// earlier broker, or of a service that was removed, may still hold.
func Open(s Spec) (*Socket, error) {
	sock, err := openAs(s, false)
	if s.UDP() && errors.Is(err, unix.EADDRINUSE) {
		if beside, err := openAs(s, true); err == nil {
			if alone(beside.FD, s.Network) && sharing(beside.FD, false) == nil {
				return beside, nil
			}
			unix.Close(beside.FD)
		}
	}
	return sock, err
}

// openAs opens a socket, with share also where others hold the address that have
// SO_REUSEPORT and were made by the same uid.
func openAs(s Spec, share bool) (*Socket, error) {
	if s.file() {
		if err := clearPath(s); err != nil {
			return nil, err
		}
	}
	kind := kinds[s.Network]
	fd, err := unix.Socket(kind.domain, kind.of|unix.SOCK_CLOEXEC, kind.proto)
	if err == unix.EAFNOSUPPORT && kind.domain == unix.AF_VSOCK {
		err = fmt.Errorf("%w: this kernel has no vsock (CONFIG_VSOCKETS, or its module vsock)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", s.Key(), err)
	}
	sock := &Socket{FD: fd, Spec: s}
	if err := sock.bind(share); err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	return sock, nil
}

// Sibling opens another socket on s's address, over which the kernel spreads peers then, or on
// one that overlaps it. Both
// have SO_REUSEPORT from here on: while a new one was without it, some peers were told
// that nobody is there (Linux 6.18). It is Open that keeps a second broker away.
func (s *Socket) Sibling(to Spec) (*Socket, error) {
	if err := sharing(s.FD, true); err != nil {
		return nil, err
	}
	return openAs(to, true)
}

// alone tells whether no other udp socket without a peer is bound to fd's address:
// one with a peer is what a program has that an earlier broker, or a service that was
// removed, has left. The table is that of this thread's network namespace, where fd was
// made: /proc/net is the first thread's.
func alone(fd int, network string) bool {
	var st unix.Stat_t
	text, err := os.ReadFile("/proc/thread-self/net/" + strings.TrimSuffix(network, "4"))
	if err != nil || unix.Fstat(fd, &st) != nil {
		return false
	}
	const local, state, inode, unconnected = 1, 3, 9, "07" // columns of proc_pid_net(5)
	self := strconv.FormatUint(st.Ino, 10)
	bound := map[string]string{} // by inode: a table that changes while it is read may show a row twice
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > inode && f[state] == unconnected {
			bound[f[inode]] = f[local]
		}
	}
	ip, port, own := strings.Cut(bound[self], ":")
	delete(bound, self)
	for _, at := range bound {
		if a, p, _ := strings.Cut(at, ":"); p == port && (a == ip || strings.Trim(a, "0") == "" || strings.Trim(ip, "0") == "") {
			return false
		}
	}
	return own
}

func sharing(fd int, on bool) error {
	value := map[bool]int{true: 1}[on]
	return os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, value))
}

// bind binds a new socket and makes it a listener.
func (s *Socket) bind(share bool) error {
	key := s.Spec.Key()
	if s.Spec.Unix() {
		// The kernel makes the file with the socket inode's mode cut by the umask
		// (unix_bind), so fchmod before bind gives the file mode 0 from its first
		// moment. A umask would do the same, but for the whole process.
		if err := unix.Fchmod(s.FD, 0); err != nil {
			return fmt.Errorf("fchmod %s: %w", key, err)
		}
	}
	if err := errors.Join(sharing(s.FD, share), s.setOptions()); err != nil {
		return err
	}
	if err := s.Bind(); err != nil {
		return fmt.Errorf("bind %s: %w", key, err)
	}
	if s.Spec.file() {
		if err := s.findFile(); err != nil {
			return err
		}
	}
	// Listening before chmod would change nothing (mode 0 lets only root in), and
	// a file that clients may use should already have somebody behind it.
	if err := s.listen(); err != nil || !s.Spec.file() {
		return err
	}
	return s.setFile()
}

// Bind binds the socket to its address.
func (s *Socket) Bind() error {
	var to unix.Sockaddr = &unix.SockaddrUnix{Name: s.Spec.Path}
	if s.Spec.Network == "vsock" {
		cid, port, _ := endpoint.Numbers(s.Spec.Path)
		to = &unix.SockaddrVM{CID: cid, Port: port}
	} else if !s.Spec.Unix() {
		index, err := ZoneIndex(s.FD, s.Spec.Addr.Addr().Zone())
		if err != nil {
			return err
		}
		to = WithZone(s.Spec.Addr, index)
	}
	return unix.Bind(s.FD, to)
}

// setOptions sets what every socket of the network has, and what the policy says of this one.
func (s *Socket) setOptions() error {
	of := func(networks ...string) bool { return slices.Contains(networks, s.Spec.Network) }
	for _, o := range []struct {
		on    bool
		name  string
		is    option
		value uint32
	}{
		{of("tcp4", "tcp6"), "SO_REUSEADDR", option{unix.SOL_SOCKET, unix.SO_REUSEADDR}, 1},
		{of("tcp6", "udp6"), "IPV6_V6ONLY (of a socket unit: BindIPv6Only=ipv6-only)", option{unix.SOL_IPV6, unix.IPV6_V6ONLY}, 1},
		{of("udp4"), "IP_PKTINFO", option{unix.SOL_IP, unix.IP_PKTINFO}, 1},
		{of("udp6"), "IPV6_RECVPKTINFO", option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}, 1},
		// Datagrams carry their sender's credentials; see PeekSource.
		{of("unixgram"), "SO_PASSCRED", option{unix.SOL_SOCKET, unix.SO_PASSCRED}, 1},
		// Accepted sockets are as their listener.
		{s.Spec.Unix() && refusesRights(), "SO_PASSRIGHTS", option{unix.SOL_SOCKET, soPassRights}, 0},
	} {
		if !o.on {
			continue
		}
		if err := o.is.put(s.FD, o.is.reads(o.value)); err != nil {
			return fmt.Errorf("setsockopt %s %s: %w", o.name, s.Spec.Key(), err)
		}
	}
	if now, _ := unix.GetsockoptString(s.FD, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); now != s.Spec.Interface {
		if err := unix.BindToDevice(s.FD, s.Spec.Interface); err != nil { // no capability is needed for the first (Linux 5.7)
			return &SettingError{fmt.Errorf("interface: %q for %s: %w", s.Spec.Interface, s.Spec.Key(), err)}
		}
	}
	return s.adjust()
}

// listen makes a bound stream socket a listener, and sets the blocking mode.
func (s *Socket) listen() error {
	if s.Spec.Stream() {
		// The system's maximum is what listen(2) cuts larger numbers down to.
		if err := unix.Listen(s.FD, cmp.Or(s.Spec.Backlog, math.MaxInt32)); err != nil {
			return fmt.Errorf("listen %s: %w", s.Spec.Key(), err)
		}
	}
	if s.Spec.Wait && s.options == nil {
		s.keepOptions()
	}
	return s.setFlags()
}

// setFlags sets the file status flags. The socket is non-blocking where the
// broker itself accepts, because a client that resets before accept would hang
// a blocking one, and blocking everywhere else. Whoever holds a wait socket can
// change them for all (Go programs do, the built-ins' worker among them).
func (s *Socket) setFlags() error {
	flags := 0
	if s.Spec.Stream() && !s.Spec.Wait {
		flags = unix.O_NONBLOCK
	}
	_, err := unix.FcntlInt(uintptr(s.FD), unix.F_SETFL, flags)
	return os.NewSyscallError("fcntl F_SETFL "+s.Spec.Key(), err)
}

// Reconfigure adopts another generation's Spec of the same Key on the living
// socket: settings, backlog, wait or nowait, and a unix socket's mode and owner. The
// caller must not switch a listener to nowait while a wait child still holds it,
// because O_NONBLOCK would appear in that child.
func (s *Socket) Reconfigure(to Spec) error {
	if to.Key() != s.Spec.Key() {
		return fmt.Errorf("reconfigure %s: not the same address as %s", s.Spec.Key(), to.Key())
	}
	old := s.Spec
	s.Spec, s.options = to, nil // noted anew
	err := errors.Join(s.adjust(), s.listen())
	if err == nil && s.file != (hostpath.ID{}) && (to.Mode != old.Mode || to.UID != old.UID || to.GID != old.GID) {
		err = s.setFile()
	}
	if err != nil {
		s.Spec, s.options = old, nil
		err = errors.Join(err, s.adjust(), s.listen())
	}
	return err
}

// Close closes the socket, and removes the unix socket file it made if that
// path still leads to the same inode. It may be called twice.
func (s *Socket) Close() error {
	if s.FD < 0 {
		return nil
	}
	err := s.unlink()
	Close(s.FD)
	s.FD = -1
	return err
}
