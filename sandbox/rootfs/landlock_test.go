package rootfs

import (
	"errors"
	"os"
	"testing"

	"casemate/sandbox/landlock"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// A ruleset made by the callback must cover what is mounted for a connection
// later below a directory that has a rule, and nothing else.
func TestLandlockRulesetMadeInside(t *testing.T) {
	if landlock.ABI() == 0 {
		need.Kernel(t, "no Landlock")
	}
	ruleset := -1
	dir, err := os.MkdirTemp("/var/tmp", "casemate-") // /tmp is a connection's own
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	spool, closed := dir+"/spool", dir+"/closed"
	if err := errors.Join(os.Mkdir(spool, 0o755), os.Mkdir(closed, 0o755)); err != nil {
		t.Fatal(err)
	}
	tree := Tree{Entries: append(connection(), Entry{Kind: Write, Path: spool}, Entry{Kind: Write, Path: closed})}
	ns := build(t, tree, func() (err error) {
		ruleset, err = landlock.Ruleset(landlock.ABI(), []landlock.Rule{{Path: "/private", Access: landlock.Write}, {Path: spool, Access: landlock.Write},
			{Path: "/dev/null", Access: landlock.Device}, {Path: "/etc/group", Access: landlock.Read}}, landlock.Net{Connect: []uint16{0}, Bind: []uint16{0}, UDP: true})
		return err
	})
	defer unix.Close(ruleset)
	err = within(t, ns, func() error {
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS),
			unix.Mount("tmpfs", "/private/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=1777"),
			unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		if err != nil {
			return err
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0); errno != 0 {
			return errno
		}
		for p, want := range map[string]error{"/tmp/x": nil, spool + "/x": nil, closed + "/x": unix.EACCES, "/dev/null": nil, "/etc/group": unix.EROFS} {
			if err := os.WriteFile(p, []byte("x"), 0o600); !errors.Is(err, want) {
				t.Errorf("write %s: %v, want %v", p, err, want)
			}
		}
		if _, err := os.ReadFile("/etc/group"); err != nil {
			t.Error(err)
		}
		if _, err := os.ReadDir("/"); !errors.Is(err, unix.EACCES) {
			t.Errorf("list /: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
