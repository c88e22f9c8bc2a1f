package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"casemate/acl/shield"
	"casemate/listener/wire"
	"casemate/listener/wire/far"

	"golang.org/x/sys/unix"
)

// runShield gives listeners the filters that the broker has made for them, until it closes its socket. What is attached then stays.
func runShield(ctx context.Context, _ []string) error {
	broker, err := brokerSocket()
	if err != nil {
		return err
	}
	defer broker.Close()
	defer context.AfterFunc(ctx, func() { broker.Close() })()
	buf, oob := make([]byte, wire.Head+1), make([]byte, unix.CmsgSpace(2*4))
	for {
		n, oobn, _, _, err := broker.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return nil // it is gone
		}
		fds := rights(oob[:oobn])
		order, err := far.DecodeOrder(buf[:n], len(fds))
		switch {
		case err != nil:
		case order.Kind == wire.Last:
			return nil
		case order.Kind == wire.Attach:
			err = attach(fds[0], fds[1])
			var errno unix.Errno
			if errors.As(err, &errno) {
				// A broker that is gone needs no reports, and the next read notices it.
				_, _ = broker.Write(far.EncodeReport(wire.Report{Kind: wire.Refused, Of: wire.Kind(errno)}))
				err = nil
			}
		default:
			err = wire.Malformed("order", buf[:n])
		}
		closeAll(fds)
		if err != nil {
			return err
		}
	}
}

// attach gives a listener a filter, in place of the one that it has.
func attach(listener, filter int) error {
	text := make([]byte, shield.MaxFilter+1)
	n, err := unix.Pread(filter, text, 0)
	if err != nil {
		return fmt.Errorf("read the filter: %w", err)
	}
	if n == 0 || n%shield.InstructionSize != 0 {
		return fmt.Errorf("a filter of %d bytes", n)
	}
	list := make([]unix.SockFilter, n/shield.InstructionSize)
	for i := range list {
		one := text[shield.InstructionSize*i:]
		list[i] = unix.SockFilter{Code: binary.NativeEndian.Uint16(one), Jt: one[2], Jf: one[3], K: binary.NativeEndian.Uint32(one[4:])}
	}
	return unix.SetsockoptSockFprog(listener, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]})
}
