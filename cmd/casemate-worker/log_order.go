package main

import (
	"io"
	"net"
	"os"

	"casemate/listener/wire"
	"casemate/listener/wire/far"

	"golang.org/x/sys/unix"
)

// orderReader takes the broker's messages from its socket.
type orderReader struct {
	broker   *net.UnixConn
	buf, oob []byte
}

func newOrderReader(broker *net.UnixConn) *orderReader {
	return &orderReader{broker, make([]byte, wire.MaxOrder+1), make([]byte, unix.CmsgSpace(4))}
}

func (r *orderReader) read() (d delivered) {
	n, oobn, _, _, err := r.broker.ReadMsgUnix(r.buf, r.oob)
	if err != nil {
		return delivered{err: err}
	}
	if n == 0 {
		return delivered{err: io.EOF}
	}
	fds := 0
	if msgs, err := unix.ParseSocketControlMessage(r.oob[:oobn]); err == nil && len(msgs) == 1 {
		if got, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(got) == 1 {
			d.file, fds = os.NewFile(uintptr(got[0]), "from broker"), 1
		}
	}
	d.order, d.err = far.DecodeOrder(r.buf[:n], fds)
	if d.err != nil && d.file != nil {
		d.file.Close()
	}
	return d
}
