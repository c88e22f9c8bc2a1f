package observe

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix has no names for (linux/ptrace.h).
const (
	ptraceGetSyscallInfo = 0x420e
	infoEntry, infoExit  = 1, 2
	sysgood              = unix.SIGTRAP | 0x80
	maxPath              = 4096
)

// Options of what is traced. No EXITKILL: what is followed outlives the tracer. With
// TRACESYSGOOD a stop whose tracer has died leaves no signal behind that could be delivered.
const (
	zygoteOptions = unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACESYSGOOD
	tracedOptions = zygoteOptions | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEEXEC
	freeOptions   = tracedOptions | unix.PTRACE_O_TRACEEXIT // of what was let go: it may end within a call
)

func ptrace(request, pid int, addr, data uintptr) (uintptr, error) {
	r, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0)
	if e != 0 {
		return 0, e
	}
	return r, nil
}

// syscallInfo is struct ptrace_syscall_info of an entry; of an exit args[0] has nothing and
// nr is the result.
type syscallInfo struct {
	op   uint8
	_    [3]byte
	arch uint32
	ip   uint64
	sp   uint64
	nr   uint64
	args [6]uint64
}

func (t *Tracer) info(tid int) (*syscallInfo, error) {
	t.scratch = syscallInfo{}
	_, err := ptrace(ptraceGetSyscallInfo, tid, unsafe.Sizeof(t.scratch), uintptr(unsafe.Pointer(&t.scratch)))
	return &t.scratch, err
}

func eventMessage(tid int) (int, error) {
	var message uint64
	_, err := ptrace(unix.PTRACE_GETEVENTMSG, tid, 0, uintptr(unsafe.Pointer(&message)))
	return int(message), err
}

// statusField is one line of /proc/TID/status.
func statusField(tid int, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut("\n"+string(text), "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// groupOf is the process that a thread belongs to.
func groupOf(tid int) int {
	if n, err := strconv.Atoi(statusField(tid, "Tgid")); err == nil {
		return n
	}
	return tid
}
