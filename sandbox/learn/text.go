package learn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + itoa(int(s))
}

// ErrorName is the name of an error, as "ENOENT".
func ErrorName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return "error " + itoa(int(e))
}

var families = map[uint32]string{unix.AF_UNIX: "unix", unix.AF_INET: "inet", unix.AF_INET6: "inet6", unix.AF_NETLINK: "netlink", unix.AF_PACKET: "packet", unix.AF_VSOCK: "vsock", unix.AF_ALG: "alg"}

var socketTypes = map[uint32]string{unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "dgram", unix.SOCK_RAW: "raw", unix.SOCK_SEQPACKET: "seqpacket"}

var openFlags = []struct {
	bits uint32
	name string
}{{unix.O_WRONLY, "write"}, {unix.O_RDWR, "read+write"}, {unix.O_CREAT, "create"}, {unix.O_TRUNC, "truncate"}, {unix.O_DIRECTORY, "directory"}}

// String is the call as people read it: its name, and the arguments that matter.
func (f *Fact) String() string {
	var parts []string
	for _, p := range []string{f.Path, f.To} {
		if p != "" {
			parts = append(parts, strconv.Quote(p))
		}
	}
	if f.Addr != "" && f.Path == "" {
		parts = append(parts, f.Addr)
	}
	a := access[f.Call]
	switch {
	case f.Call == "socket" || f.Call == "socketpair":
		parts = append(parts, name(families, f.arg(0)), name(socketTypes, f.arg(1)&0xf), itoa(int(f.arg(2))))
	case a.flags > 0:
		for _, o := range openFlags {
			if f.arg(uint(a.flags))&o.bits == o.bits {
				parts = append(parts, o.name)
			}
		}
	case slices.Contains([]string{"ioctl", "prctl", "fcntl", "clone", "setsockopt", "personality"}, f.Call):
		for _, arg := range f.Args {
			parts = append(parts, fmt.Sprintf("%#x", arg.Value))
		}
	}
	return f.Call + "(" + strings.Join(parts, ", ") + ")"
}

// Outcome says how the call ended.
func (f *Fact) Outcome() string {
	switch {
	case f.Killed:
		return "killed"
	case f.Err != 0:
		return ErrorName(f.Err)
	}
	return "ok"
}

func name(names map[uint32]string, n uint32) string {
	if s, ok := names[n]; ok {
		return s
	}
	return itoa(int(n))
}

// String says how a process ended.
func (e *End) String() string {
	switch {
	case e.Exec:
		return "became another program"
	case e.Signal != 0:
		return "died of " + signalName(e.Signal)
	}
	return "exited with status " + itoa(e.Status)
}
