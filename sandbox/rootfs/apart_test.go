package rootfs

import (
	"errors"
	"os"
	"strings"
	"testing"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// A source below what a service may write is refused, however it is reached and
// whoever owns what is there: a service that runs as root plants root's links.
func TestSourceBelowAWritableTree(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/w/sub/cfg", 0o755), os.Mkdir(dir+"/apart", 0o755), os.Symlink("w/sub", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	w, err := hostpath.Open(dir + "/w")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write := Entry{Kind: Write, Path: dir + "/w"}
	for _, c := range []struct {
		name  string
		tree  Tree
		fails bool
	}{
		{"apart", Tree{Entries: []Entry{write, {Kind: ReadOnly, Path: dir + "/apart"}}}, false},
		{"the tree itself", Tree{Entries: []Entry{write, {Kind: ReadOnly, Path: dir + "/w"}}}, false},
		{"below its own", Tree{Entries: []Entry{{Kind: ReadOnly, Path: dir + "/w/sub/cfg"}, write}}, true},
		{"through a link", Tree{Entries: []Entry{write, {Kind: ReadOnly, Path: dir + "/link"}}}, true},
		{"written below written", Tree{Entries: []Entry{write, {Kind: Write, Path: dir + "/w/sub"}}}, true},
		{"below another service's", Tree{Entries: []Entry{{Kind: Exec, Path: dir + "/w/sub"}}, Writable: []hostpath.ID{w.ID()}}, true},
	} {
		ns, err := Build(c.tree, nil)
		if err == nil {
			unix.Close(ns)
		}
		var unsafe *hostpath.UnsafeError
		if c.fails != errors.As(err, &unsafe) || !c.fails && err != nil || c.fails && !strings.Contains(err.Error(), dir+"/w, which a service of the policy may write") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What a service plants in a writable bind leads nobody inside anywhere.
func TestWriteBindFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	tree := Tree{Entries: []Entry{{Kind: Write, Path: dir}, {Kind: ReadOnly, Path: "/etc/group"}, {Kind: Symlink, Path: "/g", Text: "/etc/group"}}}
	err := within(t, build(t, tree, nil), func() error {
		if err := os.Symlink("/etc/group", dir+"/link"); err != nil {
			return err
		}
		if text, err := os.Readlink(dir + "/link"); err != nil || text != "/etc/group" {
			t.Errorf("read the link: %q %v", text, err)
		}
		if _, err := os.ReadFile("/g"); err != nil {
			t.Errorf("a link elsewhere: %v", err)
		}
		_, err := os.ReadFile(dir + "/link")
		return err
	})
	var release unix.Utsname
	if uerr := unix.Uname(&release); uerr != nil {
		t.Fatal(uerr)
	}
	if !errors.Is(err, unix.ELOOP) {
		t.Errorf("following a planted link: %v (nosymfollow is there since Linux 5.14, this is %s)", err, unix.ByteSliceToString(release.Release[:]))
	}
}
