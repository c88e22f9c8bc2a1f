package facts

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NoVsock is Facts.Vsock of a host whose vsocks nothing reaches.
const NoVsock = "none"

// Vsock is the cid under which this host's vsocks are reached, NoVsock where no transport is loaded, and "" where that is not known.
// A Landlock domain may forbid the question.
func Vsock() string {
	misc, err := os.ReadFile("/proc/misc")
	if err != nil {
		return ""
	}
	if !hasMisc(string(misc), "vsock") {
		return NoVsock // the family itself is not loaded, and each transport loads it
	}
	f, err := os.Open("/dev/vsock")
	if err != nil {
		return ""
	}
	defer f.Close()
	cid, err := unix.IoctlGetUint32(int(f.Fd()), unix.IOCTL_VM_SOCKETS_GET_LOCAL_CID)
	switch {
	case err != nil:
		return ""
	case cid == unix.VMADDR_CID_ANY:
		return NoVsock
	}
	return strconv.FormatUint(uint64(cid), 10)
}

// hasMisc tells whether proc_misc(5) lists a device.
func hasMisc(misc, name string) bool {
	for line := range strings.Lines(misc) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == name {
			return true
		}
	}
	return false
}
