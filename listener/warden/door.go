package warden

import (
	"errors"
	"fmt"
	"os"

	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/listener/host"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// ErrInUse is OpenDoor's error when another casemated has the control socket.
var ErrInUse = errors.New("another casemated is running on this control socket")

// Door is the control socket.
type Door struct {
	FD int
	// Owner is who may ask for anything beside root, and Operators the group whose members may
	// read, listener.KeepID for none.
	Owner, Operators uint32

	sock *listener.Socket
	lock *os.File
}

// OpenDoor takes the lock beside the socket, then the socket, for root and, unless "", the
// members of the group operators. The lock decides between two casemateds that start at the same moment; the kernel
// releases it however its holder ends.
func OpenDoor(path, operators string) (*Door, error) {
	spec := listener.Spec{Endpoint: endpoint.Endpoint{Network: "unix", Path: path}, Mode: 0o600, UID: listener.KeepID, GID: listener.KeepID}
	if operators != "" {
		a, err := host.ReadAccounts()
		if err == nil {
			spec.GID, err = a.Group(operators)
		}
		if err != nil {
			return nil, fmt.Errorf("operators: %w", err)
		}
		spec.Mode = 0o660
	}
	lock, err := hostpath.Keep(path+".lock", unix.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("control socket %s: %w", path, ErrInUse)
		}
		return nil, fmt.Errorf("control socket: lock: %w", err)
	}
	sock, err := listener.Open(spec)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &Door{FD: sock.FD, Owner: uint32(os.Geteuid()), Operators: spec.GID, sock: sock, lock: lock}, nil
}

// Close removes the socket, then the lock's hold; the lock file stays, because
// removing it would let two later ones lock two files of one name.
func (d *Door) Close() {
	// At the end of the process there is nothing left to do about an error.
	_ = d.sock.Close()
	_ = d.lock.Close()
}
