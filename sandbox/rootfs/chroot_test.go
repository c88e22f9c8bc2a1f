package rootfs

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// In a chroot, what pivot_root(2) replaces is not the root that joining the
// namespace leads to: a sandbox would show the host. Build has to refuse.
func TestBuildRefusesChroot(t *testing.T) {
	needRoot(t)
	if dir := os.Getenv("CASEMATE_TEST_CHROOT"); dir != "" {
		if err := unix.Chroot(dir); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chdir("/"); err != nil {
			t.Fatal(err)
		}
		ns, err := Build(Tree{Entries: []Entry{{Kind: Dir, Path: "/srv"}}}, nil)
		if err == nil {
			unix.Close(ns)
			t.Fatal("built in a chroot")
		}
		if !strings.Contains(err.Error(), "chroot") {
			t.Fatalf("the error %q does not say why", err)
		}
		return
	}
	// A root of its own that sees the host's files: a recursive bind of them.
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", `mount --rbind / "$CASEMATE_TEST_CHROOT" && exec "$0" "$@"`,
		self, "-test.run=^TestBuildRefusesChroot$", "-test.count=1")
	cmd.Env = append(os.Environ(), "CASEMATE_TEST_CHROOT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
