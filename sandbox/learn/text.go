package learn

import (
	"strconv"
	"strings"
	"syscall"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/spoken"

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

// String is the call as C writes it, with its paths and the arguments that rules compare.
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
	if nr, ok := seccomp.Number(f.Call); ok {
		call := spoken.Call{Nr: nr}
		var known []uint
		for _, a := range f.Args {
			call.Args[a.Index], known = uint64(a.Value), append(known, a.Index)
		}
		parts = append(parts, call.Of(known...)...)
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
