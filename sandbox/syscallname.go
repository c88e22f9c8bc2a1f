package sandbox

import (
	"strconv"

	"casemate/sandbox/seccomp"
)

// SyscallName is the name of a system call of this architecture, or its number
// in decimal when the table does not know it. Logs use it for violations.
func SyscallName(nr int) string {
	if name := seccomp.Name(nr); name != "" {
		return name
	}
	return strconv.Itoa(nr)
}
