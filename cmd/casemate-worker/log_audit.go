package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// auditSeccomp is AUDIT_SECCOMP (linux/audit.h): a filter did something to a process.
const auditSeccomp = 1326

// violation is a process that its seccomp filter killed.
type violation struct {
	pid  uint32
	nr   int32 // the system call
	arch uint32
}

// parseAudit takes a netlink audit message apart: a header and a text such as
//
//	audit(1700000000.123:45): auid=4294967295 uid=65534 gid=65534 ses=4294967295
//	pid=29134 comm="x" exe="/x" sig=31 arch=c000003e syscall=62 compat=0 ip=0x0 code=0x80000000
//
// It is false for everything but a kill (signal SIGSYS). A process chooses its comm
// and exe, but the kernel writes them without blanks, quoted or in hexadecimal
// (audit_log_untrustedstring), so blanks separate the fields. As the kernel
// writes each field once, a text with one twice is refused whole.
func parseAudit(m []byte) (violation, bool) {
	if len(m) < unix.NLMSG_HDRLEN {
		return violation{}, false
	}
	length := int(binary.NativeEndian.Uint32(m))
	if binary.NativeEndian.Uint16(m[4:]) != auditSeccomp || length < unix.NLMSG_HDRLEN {
		return violation{}, false
	}
	// Kernels differ in whether the length counts the header of audit messages.
	text := strings.TrimRight(string(m[unix.NLMSG_HDRLEN:]), "\x00")
	fields := map[string]string{"pid": "", "sig": "", "arch": "", "syscall": ""}
	for field := range strings.FieldsSeq(text) {
		key, value, ok := strings.Cut(field, "=")
		old, wanted := fields[key]
		if !ok || !wanted {
			continue
		}
		if old != "" {
			return violation{}, false
		}
		fields[key] = value
	}
	if fields["sig"] != strconv.Itoa(int(unix.SIGSYS)) {
		return violation{}, false
	}
	pid, perr := strconv.ParseUint(fields["pid"], 10, 31)
	nr, nerr := strconv.ParseInt(fields["syscall"], 10, 32)
	arch, aerr := strconv.ParseUint(fields["arch"], 16, 32)
	if perr != nil || nerr != nil || aerr != nil || pid == 0 {
		return violation{}, false
	}
	return violation{uint32(pid), int32(nr), uint32(arch)}, true
}

// readAudit reports seccomp kills from an audit socket until the worker ends.
func (w *logWorker) readAudit(f *os.File) error {
	// The broker keeps no copy, so non-blocking is nobody else's matter; only so
	// does Go wait for the socket without holding a thread.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err != nil {
		return fmt.Errorf("audit socket: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("audit socket: %w", err)
	}
	audit := os.NewFile(uintptr(fd), "audit")
	raw, err := audit.SyscallConn()
	if err != nil {
		audit.Close()
		return fmt.Errorf("audit socket: %w", err)
	}
	go func() { <-w.done; audit.Close() }()
	go func() {
		for buf := make([]byte, maxAudit); ; {
			m, err := receiveAudit(raw, buf)
			if err != nil {
				return
			}
			if v, ok := parseAudit(m); ok {
				select {
				case w.kills.heard <- v:
				case <-w.done:
					return
				}
			}
		}
	}()
	return nil
}

// maxAudit is more than the kernel's MAX_AUDIT_MESSAGE_LENGTH (8970).
const maxAudit = 16 << 10

// receiveAudit returns the next message of the kernel.
func receiveAudit(raw syscall.RawConn, buf []byte) ([]byte, error) {
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		if err := raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return rerr != unix.EAGAIN
		}); err != nil {
			return nil, err
		}
		switch rerr {
		case nil:
		case unix.ENOBUFS, unix.EINTR:
			continue // records were lost: those kills have no call in their record
		default:
			return nil, rerr
		}
		// Only the kernel is port 0.
		if nl, ok := from.(*unix.SockaddrNetlink); ok && nl.Pid == 0 {
			return buf[:n], nil
		}
	}
}
