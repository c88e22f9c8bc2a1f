package main

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// maxWrite is the largest write that is kept whole; the kernel cuts the rest.
const maxWrite = 64 << 10

// reading is one service's stderr and the goroutine that reads it.
type reading struct {
	conn  *net.UnixConn
	ended chan struct{} // closed by the goroutine
}

// readSource hands a service's writes on, each with the process that wrote it.
func (w *logWorker) readSource(slot uint32, s *reading) {
	defer close(s.ended)
	buf := make([]byte, maxWrite)
	for {
		x, err := receive(slot, s.conn, buf)
		if err != nil {
			return // told to by rest, or at the end
		}
		select {
		case w.written <- x:
		case <-w.done:
			return
		}
	}
}

// maxRest is more writes than a socket holds.
const maxRest = 1024

// rest ends the goroutine of a source and reads what is queued: first what the
// goroutine has in its hands, then what is still in the socket.
func (w *logWorker) rest(slot uint32, s *reading, now time.Time) {
	if err := s.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return
	}
	for reading := true; reading; {
		select {
		case x := <-w.written: // of this source or another
			w.ledger.write(x.slot, x.pid, x.uid, x.data, now)
		case <-s.ended:
			reading = false
		}
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	// An error of Control is a socket that is closed.
	_ = raw.Control(func(fd uintptr) {
		buf, oob := make([]byte, maxWrite), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
		for range maxRest {
			n, oobn, _, _, err := unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
			if err != nil || n == 0 && oobn == 0 {
				return
			}
			x := newWritten(slot, buf[:n], oob[:oobn])
			w.ledger.write(x.slot, x.pid, x.uid, x.data, now)
		}
	})
}

// receive reads one write. The control buffer holds the sender's credentials,
// which come first, and nothing else: descriptors that a service sends along are
// dropped by the kernel instead of piling up here.
func receive(slot uint32, c *net.UnixConn, buf []byte) (written, error) {
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	// A write of nothing looks like the end, but for its sender's credentials.
	if err != nil && !(errors.Is(err, io.EOF) && oobn > 0) {
		return written{}, err
	}
	return newWritten(slot, buf[:n], oob[:oobn]), nil
}

func newWritten(slot uint32, data, oob []byte) written {
	x := written{slot: slot, data: append([]byte(nil), data...)}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return x
	}
	for i := range msgs {
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			x.pid, x.uid = uint32(cred.Pid), cred.Uid
		}
	}
	return x
}

// readOrders hands the broker's messages on, until its socket ends.
func (w *logWorker) readOrders() {
	buf, oob := make([]byte, wire.MaxOrder+1), make([]byte, unix.CmsgSpace(4))
	for {
		d := w.readOrder(buf, oob)
		select {
		case w.orders <- d:
		case <-w.done:
			if d.file != nil {
				d.file.Close()
			}
			return
		}
		if d.err != nil {
			return
		}
	}
}

func (w *logWorker) readOrder(buf, oob []byte) (d delivered) {
	n, oobn, _, _, err := w.broker.ReadMsgUnix(buf, oob)
	if err != nil {
		return delivered{err: err}
	}
	if n == 0 {
		return delivered{err: io.EOF}
	}
	fds := 0
	if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
		if got, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(got) == 1 {
			d.file, fds = os.NewFile(uintptr(got[0]), "from broker"), 1
		}
	}
	d.order, d.err = wire.DecodeOrder(buf[:n], fds)
	if d.err != nil && d.file != nil {
		d.file.Close()
	}
	return d
}
