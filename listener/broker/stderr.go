package broker

import (
	"os"

	"golang.org/x/sys/unix"
)

// stderrPair is a unix seqpacket socketpair: the programs of a service write to
// one end as their descriptor 2, the log worker reads the other. The broker
// keeps both open, because a worker that is started again needs the reading
// end, and reads neither. Each write is a message, as with datagrams; but a
// datagram socket made here would send to any abstract address of this network
// namespace, and a seqpacket socket has its one peer.
type stderrPair struct {
	program *os.File
	reader  *os.File
}

// newStderr makes a pair. SO_PASSCRED on the reading end makes the kernel tell
// which process wrote each message.
func newStderr() (*stderrPair, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	p := &stderrPair{program: os.NewFile(uintptr(fds[0]), "stderr"), reader: os.NewFile(uintptr(fds[1]), "stderr")}
	if err := unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		p.close()
		return nil, os.NewSyscallError("setsockopt SO_PASSCRED", err)
	}
	// The programs only write to it: what is left of them after SHUT_RD cannot
	// use the pair to talk to each other.
	if err := unix.Shutdown(fds[0], unix.SHUT_RD); err != nil {
		p.close()
		return nil, os.NewSyscallError("shutdown", err)
	}
	return p, nil
}

// end is the programs' end, nil for a nil pair.
func (p *stderrPair) end() *os.File {
	if p == nil {
		return nil
	}
	return p.program
}

func (p *stderrPair) close() {
	if p == nil {
		return
	}
	// Closing a socketpair does not fail.
	_ = p.program.Close()
	_ = p.reader.Close()
}
