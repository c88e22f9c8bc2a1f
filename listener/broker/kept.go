package broker

import (
	"os"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// keptFile is the file in which the workers of a built-in hand on, one to the next, what its limits remember, so that nobody is
// rid of a penalty or of what it owes a rate by a worker's end, by a reload least of all. It is the service's name's as long as the
// limiter is; of one size for ever, so that no worker makes it grow; and theirs alone: nobody here reads it.
func (t *tally) keptFile() (int, error) {
	if t.kept != nil {
		return int(t.kept.Fd()), nil
	}
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, wire.KeptSize); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	t.kept = os.NewFile(uintptr(fd), "kept")
	return fd, nil
}
