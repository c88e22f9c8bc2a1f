package listener

import (
	"casemate/listener/endpoint"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/sandbox/hostpath"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

func unixSpec(network, path string) Spec {
	return Spec{Endpoint: endpoint.Endpoint{Network: network, Path: path}, Mode: 0o620, UID: KeepID, GID: KeepID}
}

func lstat(path string) (st unix.Stat_t, err error) {
	err = unix.Lstat(path, &st)
	return st, err
}

// TestSilentDirectory: a socket whose directory lies under a file system that does not answer holds up
// nobody who closes it, changes its file's mode or opens it anew.
func TestSilentDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := unixSpec("unix", filepath.Join(dir, "s"))
	s := mustOpen(t, spec)
	need.DeadMount(t, dir, 0)
	began := time.Now()
	to := s.Spec
	to.Mode = 0o600
	var silent *hostpath.SilentError
	if err := s.Reconfigure(to); !errors.As(err, &silent) {
		t.Errorf("the mode was changed: %v", err)
	}
	if err := s.Close(); !errors.As(err, &silent) {
		t.Errorf("it was closed with its file: %v", err)
	}
	if s, err := Open(spec); !errors.As(err, &silent) {
		t.Errorf("it was opened: %v, %v", s, err)
	}
	if took := time.Since(began); took > hostpath.Patience+10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestUnixFileModeAndOwner(t *testing.T) {
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		spec := unixSpec(network, filepath.Join(t.TempDir(), "s"))
		if os.Geteuid() == 0 {
			spec.UID, spec.GID = 4242, 4343
		}
		s := mustOpen(t, spec)
		st, err := lstat(spec.Path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode&0o7777 != 0o620 || (os.Geteuid() == 0 && (st.Uid != 4242 || st.Gid != 4343)) {
			t.Errorf("%s: mode %o owner %d:%d", network, st.Mode, st.Uid, st.Gid)
		}
		to := s.Spec
		to.Mode = 0o600
		if err := s.Reconfigure(to); err != nil {
			t.Fatal(err)
		}
		if st, err = lstat(spec.Path); err != nil || st.Mode&0o7777 != 0o600 {
			t.Errorf("%s: mode %o after Reconfigure, %v", network, st.Mode, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := lstat(spec.Path); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: the path is left behind: %v", network, err)
		}
	}
}

func TestUnixStaleSocketIsReplaced(t *testing.T) {
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		path := filepath.Join(t.TempDir(), "s")
		dead := mustOpen(t, unixSpec(network, path))
		dead.file = hostpath.ID{} // as after a crash: the file stays
		if err := dead.Close(); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, unixSpec(network, path))
	}
}

func TestUnixRefusesToSteal(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    error
	}{
		{"live", func(t *testing.T, path string) { mustOpen(t, unixSpec("unix", path)) }, ErrLive},
		{"live, of another type", func(t *testing.T, path string) { mustOpen(t, unixSpec("unixgram", path)) }, ErrLive},
		{"live, queue full", func(t *testing.T, path string) {
			s := unixSpec("unix", path)
			s.Backlog = 1
			mustOpen(t, s)
			for {
				fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { unix.Close(fd) })
				if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); errors.Is(err, unix.EAGAIN) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}, ErrLive},
		{"regular file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("keep"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrNotSocket},
		{"symlink to a dead socket", func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".real"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, ErrNotSocket},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrNotSocket},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tt.prepare(t, path)
			before, err := lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if sock, err := Open(unixSpec("unix", path)); !errors.Is(err, tt.want) {
				if sock != nil {
					sock.Close()
				}
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
			after, err := lstat(path)
			if err != nil || after.Ino != before.Ino || after.Mode != before.Mode {
				t.Errorf("the path was touched: %+v, %v", after, err)
			}
		})
	}
}

func TestUnixUnsafeDirectory(t *testing.T) {
	dir := t.TempDir()
	spec := unixSpec("unix", filepath.Join(dir, "s"))
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var unsafe *hostpath.UnsafeError
	if _, err := Open(spec); !errors.As(err, &unsafe) {
		t.Errorf("world-writable directory: %v", err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, spec)
	if os.Geteuid() == 0 {
		above := t.TempDir()
		spec.Path = filepath.Join(above, "d", "s")
		if err := errors.Join(os.Mkdir(filepath.Join(above, "d"), 0o755), os.Chown(above, 4242, 4242)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(spec); !errors.As(err, &unsafe) || unsafe.Path != above {
			t.Errorf("somebody's directory above: %v", err)
		}
	}
}

// What the socket's owner puts in its place in a sticky directory is left alone,
// and so is what a link there leads to.
func TestUnixModeFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := errors.Join(os.WriteFile(secret, nil, 0o600), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, unixSpec("unix", filepath.Join(dir, "s")))
	if err := errors.Join(os.Remove(s.Spec.Path), os.Symlink("secret", s.Spec.Path)); err != nil {
		t.Fatal(err)
	}
	to := s.Spec
	to.Mode = 0o666
	if err := s.Reconfigure(to); err == nil || !strings.Contains(err.Error(), "no longer leads") {
		t.Errorf("reconfigured: %v", err)
	}
	if st, err := os.Stat(secret); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("what the link leads to: %v %v", st.Mode(), err)
	}
}

// TestUnixSwappedFile has the directory's other user swap the socket for a link
// while its mode changes back and forth: what the link leads to keeps its own.
func TestUnixSwappedFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := errors.Join(os.WriteFile(secret, nil, 0o600), os.Symlink("secret", filepath.Join(dir, "evil"))); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, unixSpec("unix", filepath.Join(dir, "s")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "s"), unix.AT_FDCWD, filepath.Join(dir, "evil"), unix.RENAME_EXCHANGE)
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	var done, refused int
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		to := s.Spec
		to.Mode = 0o666 - to.Mode&0o066 // 0600 and 0666 in turn
		if err := s.Reconfigure(to); err != nil {
			refused++
		} else {
			done++
		}
		if st, err := os.Stat(secret); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("what the link leads to has mode %v (%v) after %d and %d", st.Mode(), err, done, refused)
		}
	}
	if done == 0 || refused == 0 {
		t.Errorf("done %d times, refused %d times: nothing was raced", done, refused)
	}
	t.Logf("done %d times, refused %d times", done, refused)
}

func TestUnixCloseKeepsForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := mustOpen(t, unixSpec("unix", path))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	other := mustOpen(t, unixSpec("unix", path))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := lstat(path); err != nil || st.Ino != other.file.Ino {
		t.Errorf("the other socket's file is gone: %v", err)
	}
}

func TestUnixAbstract(t *testing.T) {
	name := "@casemate-test-" + filepath.Base(t.TempDir()) + t.Name()
	mustOpen(t, unixSpec("unix", name))
	if _, err := Open(unixSpec("unix", name)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("second bind: %v", err)
	}
	c, err := net.Dial("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
