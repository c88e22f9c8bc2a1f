package listener

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// Errors of unix socket paths, for errors.Is.
var (
	// ErrNotSocket means that the path holds something that is not a socket; it is never removed.
	ErrNotSocket = errors.New("exists and is not a socket")
	// ErrLive means that another process listens on the path.
	ErrLive = errors.New("another process listens on it")
)

// findFile notes which file is the socket's.
func (s *Socket) findFile() error {
	fd, file, err := s.Spec.hold()
	if err == nil {
		unix.Close(fd)
		s.file = file
	}
	return err
}

// setFile gives the socket file its mode and then its owner, through a
// descriptor of the very file: its owner may put another one under its name in a
// sticky directory, and a link there must not lead chmod or chown elsewhere.
func (s *Socket) setFile() error {
	key := s.Spec.Key()
	fd, file, err := s.Spec.hold()
	defer unix.Close(fd)
	switch {
	case errors.Is(err, ErrNotSocket), err == nil && file != s.file:
		return fmt.Errorf("chmod %s: the path no longer leads to this socket", key)
	case err != nil:
		return err
	}
	// fchmod(2) takes no O_PATH descriptor; the magic link leads to what it holds.
	if err := unix.Chmod(magicPath(fd), s.Spec.Mode&0o777); err != nil {
		return fmt.Errorf("chmod %s: %w", key, err)
	}
	uid, gid := int(int32(s.Spec.UID)), int(int32(s.Spec.GID))
	return os.NewSyscallError("chown "+key, unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH))
}

// clearPath makes room for bind: it checks the directory, and removes a stale
// socket (nobody listens). Everything else it finds stays, and is an error.
func clearPath(s Spec) error {
	if err := CheckDir(filepath.Dir(s.Path)); err != nil {
		return fmt.Errorf("bind %s: %w", s.Key(), err)
	}
	fd, _, err := s.hold()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := probeStale(s, fd); err != nil {
		return fmt.Errorf("bind %s: %w", s.Key(), err)
	}
	if err := unix.Unlink(s.Path); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unlink stale %s: %w", s.Key(), err)
	}
	return nil
}

// hold opens the file at the path of a unix socket, a link itself and not what it leads to, which
// is ErrNotSocket too. Through magicPath the kernel then uses that very file, whatever has its name. It
// is called on the loop, which a file system that does not answer must not hold up.
func (s Spec) hold() (fd int, file hostpath.ID, err error) {
	var st unix.Stat_t
	fd = -1
	if _, err = hostpath.Ask(filepath.Dir(s.Path)); !errors.As(err, new(*hostpath.SilentError)) {
		fd, err = unix.Open(s.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = ErrNotSocket
	}
	if err != nil {
		unix.Close(fd)
		return -1, file, fmt.Errorf("look at %s: %w", s.Key(), err)
	}
	return fd, hostpath.ID{Dev: st.Dev, Ino: st.Ino}, nil
}

func magicPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// probeStale returns nil when connecting to the socket file is refused, which
// is how the kernel says that no socket is bound to it any more. A listener of
// another type (EPROTOTYPE) or with a full queue (EAGAIN) is alive.
func probeStale(s Spec, file int) error {
	fd, err := unix.Socket(unix.AF_UNIX, kinds[s.Network].of|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: magicPath(file)})
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return ErrLive
	}
	return fmt.Errorf("probe: %w", err)
}

// CheckDir refuses directories in which, or on the way to which, another user
// could replace the socket between two of our steps.
func CheckDir(dir string) error {
	f, err := hostpath.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Private()
}

func (s *Socket) unlink() error {
	if s.file == (hostpath.ID{}) || s.lent {
		return nil
	}
	mine := s.file
	s.file = hostpath.ID{}
	fd, file, err := s.Spec.hold()
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, ErrNotSocket), err == nil && file != mine:
		err = nil // gone, or somebody else's by now
	case err == nil:
		err = os.NewSyscallError("unlink "+s.Spec.Key(), unix.Unlink(s.Spec.Path))
	}
	unix.Close(fd)
	return err
}
