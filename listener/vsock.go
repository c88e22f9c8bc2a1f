package listener

import (
	"errors"
	"fmt"

	"casemate/listener/address"

	"golang.org/x/sys/unix"
)

// openVsock opens a listener for virtual machines and their host. A port below 1024 takes CAP_NET_BIND_SERVICE.
func openVsock(s Spec) (*Socket, error) {
	cid, port, ok := address.Numbers(s.Path)
	if !ok {
		return nil, fmt.Errorf("listen %s: not a port of a vsock", s.Key())
	}
	sock, err := s.socket()
	if errors.Is(err, unix.EAFNOSUPPORT) {
		err = fmt.Errorf("%w: this kernel has no vsock (CONFIG_VSOCKETS, or its module vsock)", err)
	}
	if err != nil {
		return nil, err
	}
	if err = sock.setOptions(); err == nil {
		if err = unix.Bind(sock.FD, &unix.SockaddrVM{CID: cid, Port: port}); err != nil {
			err = fmt.Errorf("bind %s: %w", s.Key(), err)
		}
	}
	if err == nil {
		err = sock.listen()
	}
	if err != nil {
		unix.Close(sock.FD)
		return nil, err
	}
	return sock, nil
}
