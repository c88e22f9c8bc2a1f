package need

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// DeadMount makes the directory dir and mounts a FUSE over it that has a server which answers
// nothing: what asks it hangs, until heal, or the end of the test, takes it off again.
func DeadMount(t testing.TB, dir string) (heal func()) {
	t.Helper()
	Root(t, "it mounts a file system")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Kernel(t, "needs FUSE: open /dev/fuse: %v", err)
	}
	heal = sync.OnceFunc(func() {
		unix.Close(server) // frees who waits
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", server)); err != nil {
		unix.Close(server)
		Kernel(t, "needs FUSE: mount: %v", err)
	}
	t.Cleanup(heal)
	return heal
}
