package need

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Stats is for DeadMount: all that stat(2) asks for is answered, whatever file it is asked about
// is there, and nobody can open anything.
const Stats = -1

// DeadMount makes the directory dir, if it is not there, and mounts a FUSE over it, an empty directory, whose server
// answers so many requests and then none: what asks it hangs, until heal, or the end of the test, takes it
// off again.
func DeadMount(t testing.TB, dir string, answers int) (heal func()) {
	t.Helper()
	Root(t, "it mounts a file system")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		Kernel(t, "needs FUSE: open /dev/fuse: %v", err)
	}
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)); err != nil {
		unix.Close(fd)
		Kernel(t, "needs FUSE: mount: %v", err)
	}
	server := os.NewFile(uintptr(fd), "fuse") // non-blocking, so its reads end when it is closed
	heal = sync.OnceFunc(func() {
		server.Close() // frees who waits
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	t.Cleanup(heal)
	if answers != 0 {
		go serve(server, answers)
	}
	return heal
}

// aFile is the node of every file there is; 1 is the directory's.
const aFile = 2

// attr writes what stat(2) says of a node.
func attr(body []byte, node uint64) {
	mode, links := uint32(unix.S_IFDIR|0o755), uint32(2)
	if node == aFile {
		mode, links = unix.S_IFREG|0o755, 1
	}
	binary.NativeEndian.PutUint64(body, node)
	binary.NativeEndian.PutUint32(body[60:], mode)
	binary.NativeEndian.PutUint32(body[64:], links)
}

// serve speaks FUSE (linux/fuse.h, 7.31) as far as an empty directory needs it.
func serve(server *os.File, answers int) {
	const lookup, getattr, statfs, initialize = 1, 3, 17, 26
	le, request := binary.NativeEndian, make([]byte, 128<<10)
	only := answers == Stats
	for only || answers >= 0 { // INIT does not count
		n, err := server.Read(request)
		if err != nil || n < 40 {
			return
		}
		answers--
		var body []byte
		var errno unix.Errno
		switch le.Uint32(request[4:]) {
		case initialize:
			body = make([]byte, 64)
			le.PutUint32(body, 7)
			le.PutUint32(body[4:], 31)
			le.PutUint32(body[20:], 4096) // max_write
		case getattr:
			body = make([]byte, 104) // valid for no time
			attr(body[16:], le.Uint64(request[16:]))
		case statfs:
			body = make([]byte, 80)
		case lookup:
			errno = unix.ENOENT
			if only {
				errno, body = 0, make([]byte, 128) // valid for no time
				le.PutUint64(body, aFile)
				attr(body[40:], aFile)
			}
		default:
			if only {
				continue
			}
			errno = unix.ENOSYS
		}
		answer := make([]byte, 16, 16+len(body))
		le.PutUint32(answer, uint32(16+len(body)))
		le.PutUint32(answer[4:], uint32(-int32(errno)))
		copy(answer[8:], request[8:16])
		_, _ = server.Write(append(answer, body...)) // of a request that nobody waits for any more, an error
	}
}
