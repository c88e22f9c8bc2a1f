package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openProgram opens and verifies the service's program: a regular executable
// file that only root can change. byFD tells whether it can be executed through
// its descriptor: a script cannot, its interpreter opens it by name again.
func openProgram(path string) (fd int, byFD bool, err error) {
	fail := func(err error) (int, bool, error) {
		return -1, false, fmt.Errorf("command %s: %w", path, err)
	}
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return fail(os.NewSyscallError("fstat", err))
	}
	if err := programMode(&st); err != nil {
		unix.Close(fd)
		return fail(err)
	}
	var magic [2]byte
	n, err := unix.Pread(fd, magic[:], 0)
	if err != nil || n < len(magic) {
		unix.Close(fd)
		return fail(errors.New("not a program: too short"))
	}
	return fd, string(magic[:]) != "#!", nil
}

// programMode refuses what somebody other than root could change or what could
// not run.
func programMode(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file")
	case st.Mode&0o111 == 0:
		return errors.New("not executable")
	case st.Uid != 0:
		return fmt.Errorf("owned by uid %d: a service's program must belong to root", st.Uid)
	case st.Mode&0o002 != 0, st.Mode&0o020 != 0 && st.Gid != 0:
		return fmt.Errorf("mode %04o: others than root may change it: chmod go-w", st.Mode&0o7777)
	}
	return nil
}
