package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox/cgroup"
	"casemate/tests/need"
)

// TestGroupGoesWithItsZygote: a cgroup in which the zygote is still ending when its sandbox is
// closed is removed when that has ended.
func TestGroupGoesWithItsZygote(t *testing.T) {
	needRoot(t)
	h, err := cgroup.Claim()
	if err != nil {
		need.Kernel(t, "no cgroup v2 for us: %v", err)
	}
	path := filepath.Join(h.Path, fmt.Sprintf("casemate-test-%d-%s", os.Getpid(), t.Name()))
	fd, err := h.Create(path, cgroup.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	zygote := exec.Command("/bin/sleep", "0.5")
	zygote.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if err := zygote.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := (&Sandbox{group: path}).Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind after %s (%v)", path, time.Since(began), err)
	}
	if err := zygote.Wait(); err != nil {
		t.Errorf("the zygote was not left to end by itself: %v", err)
	}
	_ = cgroup.Destroy(path, time.Second)
}
