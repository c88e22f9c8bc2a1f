package listener

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

// Inherited are the sockets that a service manager opened and passed on (sd_listen_fds(3)),
// by the Key of what they are bound to. They stay open for as long as this process lives:
// what Open gives is a copy, with the options it came with, so that a later policy can have them
// again, and so can the next program of a service whose last one has spoilt them.
type Inherited map[string]*Socket

// Inherit takes them over. strange tells of each descriptor that is none.
func Inherit() (got Inherited, strange []error) {
	got = Inherited{}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	for fd := 3; fd < 3+n && os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()); fd++ {
		unix.CloseOnExec(fd)
		if e, err := bound(fd); err != nil {
			strange = append(strange, fmt.Errorf("descriptor %d: %w", fd, err))
		} else if got[e.Key()] != nil {
			strange = append(strange, fmt.Errorf("descriptor %d: %s was passed twice (ReusePort=yes?), and nobody takes the clients of this one", fd, e.Key()))
		} else {
			got[e.Key()] = &Socket{FD: fd}
			got[e.Key()].keepOptions()
		}
	}
	return got, strange
}

// bound is what a socket is bound to. One of a kind that no policy names has a Key that
// none has.
func bound(fd int) (e endpoint.Endpoint, err error) {
	kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	proto, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	sa, err := unix.Getsockname(fd)
	if path, ok := sa.(*unix.SockaddrUnix); ok {
		e.Network = map[int]string{unix.SOCK_STREAM: "unix", unix.SOCK_DGRAM: "unixgram", unix.SOCK_SEQPACKET: "unixpacket"}[kind]
		e.Path = path.Name
	} else if vm, ok := sa.(*unix.SockaddrVM); ok {
		e.Network = map[int]string{unix.SOCK_STREAM: "vsock"}[kind]
		if e.Path = fmt.Sprintf("%d:%d", vm.CID, vm.Port); vm.CID == unix.VMADDR_CID_ANY {
			e.Path = fmt.Sprint(vm.Port)
		}
	} else if err == nil {
		e.Network = cmp.Or(map[int]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[proto], fmt.Sprint("protocol-", proto, "-")) + "6"
		if e.Addr, err = LocalAddr(fd); e.Addr.Addr().Is4() {
			e.Network = strings.TrimSuffix(e.Network, "6") + "4"
		}
		e.Interface, _ = unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	}
	return e, err
}

// Open is the package's, but for an address that a service manager has opened: that socket
// is given what s says. One that was shut down stays so: there is no other until its owner opens one.
func (in Inherited) Open(s Spec) (*Socket, error) {
	from, ok := in[s.Key()]
	if !ok {
		return Open(s)
	}
	if s.UDP() && !s.Wait {
		return nil, fmt.Errorf("listen %s: a service manager opened it, and would share what becomes one client's own: write wait = true, or leave it to casemated", s.Key())
	}
	fd, err := unix.FcntlInt(uintptr(from.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("dup %s: %w", s.Key(), err)
	}
	sock := &Socket{FD: fd, Spec: s, lent: true, options: from.options}
	if _, connected := unix.Getpeername(fd); connected == nil && !s.Stream() {
		err = Disconnect(fd)
	}
	err = errors.Join(err, sock.restoreOptions())
	sock.options = nil // noted anew
	if err = errors.Join(err, sock.setOptions(), sock.listen()); err == nil && s.file() {
		if err = cmp.Or(CheckDir(filepath.Dir(s.Path)), sock.findFile()); err == nil { // what has its name is its file
			err = sock.setFile()
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("of the service manager: %w", err)
	}
	return sock, nil
}
