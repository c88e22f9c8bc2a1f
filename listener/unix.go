package listener

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// inode identifies a file; the zero inode identifies none.
type inode struct{ dev, ino uint64 }

// Errors of unix socket paths, for errors.Is.
var (
	// ErrNotSocket means that the path holds something that is not a socket; it is never removed.
	ErrNotSocket = errors.New("exists and is not a socket")
	// ErrLive means that another process listens on the path.
	ErrLive = errors.New("another process listens on it")
	// ErrUnsafeDir means that others could swap files in the socket's directory.
	ErrUnsafeDir = errors.New("directory is writable by other users")
)

func openUnix(s Spec) (*Socket, error) {
	abstract := strings.HasPrefix(s.Path, "@")
	if !abstract {
		if !filepath.IsAbs(s.Path) || filepath.Clean(s.Path) != s.Path {
			return nil, fmt.Errorf("bind %s: the path must be absolute and clean", s.Key())
		}
		if err := clearPath(s); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, s.sockType()|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", s.Key(), err)
	}
	sock := &Socket{FD: fd, Spec: s}
	if err := sock.bindUnix(abstract); err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	return sock, nil
}

func (s *Socket) bindUnix(abstract bool) error {
	key := s.Spec.Key()
	// The kernel makes the file with the socket inode's mode cut by the umask
	// (unix_bind), so fchmod before bind gives the file mode 0 from its first
	// moment. A umask would do the same, but for the whole process.
	if err := unix.Fchmod(s.FD, 0); err != nil {
		return fmt.Errorf("fchmod %s: %w", key, err)
	}
	if s.Spec.Network == "unixgram" {
		// Datagrams carry their sender's credentials; see PeekSource.
		if err := unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
			return fmt.Errorf("setsockopt SO_PASSCRED %s: %w", key, err)
		}
	}
	if err := unix.Bind(s.FD, &unix.SockaddrUnix{Name: s.Spec.Path}); err != nil {
		return fmt.Errorf("bind %s: %w", key, err)
	}
	if !abstract {
		st, err := lstat(s.Spec.Path)
		if err != nil {
			return fmt.Errorf("lstat %s: %w", key, err)
		}
		s.file = inode{st.Dev, st.Ino}
	}
	// Listening before chmod would change nothing (mode 0 lets only root in), and
	// a file that clients may use should already have somebody behind it.
	if err := s.listen(); err != nil {
		return err
	}
	if abstract {
		return nil
	}
	return s.setFile()
}

// setFile gives the socket file its mode and then its owner. In this order a
// sticky directory is safe too: until chown the file is root's, and nobody else
// can put another file under its name. clearPath checked the directory.
func (s *Socket) setFile() error {
	key := s.Spec.Key()
	if st, err := lstat(s.Spec.Path); err != nil {
		return fmt.Errorf("lstat %s: %w", key, err)
	} else if (inode{st.Dev, st.Ino}) != s.file {
		return fmt.Errorf("chmod %s: the path no longer leads to this socket", key)
	}
	if err := unix.Chmod(s.Spec.Path, s.Spec.Mode&0o777); err != nil {
		return fmt.Errorf("chmod %s: %w", key, err)
	}
	uid, gid := int(int32(s.Spec.UID)), int(int32(s.Spec.GID))
	if err := unix.Lchown(s.Spec.Path, uid, gid); err != nil {
		return fmt.Errorf("chown %s: %w", key, err)
	}
	return nil
}

// clearPath makes room for bind: it checks the directory, and removes a stale
// socket (nobody listens). Everything else it finds stays, and is an error.
func clearPath(s Spec) error {
	if err := checkDir(filepath.Dir(s.Path)); err != nil {
		return fmt.Errorf("bind %s: %w", s.Key(), err)
	}
	st, err := lstat(s.Path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lstat %s: %w", s.Key(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("bind %s: %w", s.Key(), ErrNotSocket)
	}
	if err := probeStale(s); err != nil {
		return fmt.Errorf("bind %s: %w", s.Key(), err)
	}
	if err := unix.Unlink(s.Path); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unlink stale %s: %w", s.Key(), err)
	}
	return nil
}

// probeStale returns nil when connecting to the socket file is refused, which
// is how the kernel says that no socket is bound to it any more. A listener of
// another type (EPROTOTYPE) or with a full queue (EAGAIN) is alive.
func probeStale(s Spec) error {
	fd, err := unix.Socket(unix.AF_UNIX, s.sockType()|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: s.Path})
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return ErrLive
	}
	return fmt.Errorf("probe: %w", err)
}

// checkDir refuses directories where another user could replace the socket
// between two of our steps: owned by neither root nor us, or writable by group
// or others without the sticky bit.
func checkDir(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s: %w", dir, ErrUnsafeDir)
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("%s: %w", dir, ErrUnsafeDir)
	}
	return nil
}

func (s *Socket) unlink() error {
	if s.file.ino == 0 {
		return nil
	}
	mine := s.file
	s.file = inode{}
	st, err := lstat(s.Spec.Path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lstat %s: %w", s.Spec.Key(), err)
	}
	if (inode{st.Dev, st.Ino}) != mine {
		return nil // somebody else's by now
	}
	if err := unix.Unlink(s.Spec.Path); err != nil {
		return fmt.Errorf("unlink %s: %w", s.Spec.Key(), err)
	}
	return nil
}

func lstat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return st, err
}
