package escape

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// leftover is what a session leaves in its /tmp, and whether tmp-look sees it there.
type leftover struct {
	kind string
	seen bool
}

var leftovers = []leftover{
	{"file", true}, {"dir", true}, {"symlink", true}, {"fifo", true}, {"socket", true}, {"big", true}, {"full", true}, {"xattr", true}, {"mode", true},
	{"times", true}, {"removed", true}, {"unnamed", true}, {"lock", true}, {"list", true}, {"watch", false},
}

// at asks the victim behind a unix socket and gives its answer, with the descriptors that it handed over.
func at(t *testing.T, path, line string) (answer string, fds []int) {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	try(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(line + "\n"))
	try(t, err)
	try(t, conn.CloseWrite())
	try(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	text, rights := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(8))
	for {
		n, got, _, _, err := conn.ReadMsgUnix(text, rights)
		answer += string(text[:max(n, 0)])
		if got > 0 {
			messages, err := unix.ParseSocketControlMessage(rights[:got])
			try(t, err)
			more, err := unix.ParseUnixRights(&messages[0])
			try(t, err)
			fds = append(fds, more...)
		}
		if err != nil || n == 0 && got == 0 {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
				t.Fatalf("%s: %v", line, err)
			}
			return answer, fds
		}
	}
}

// looked is what tmp-look says of /tmp, and the mount namespace that it is in.
func looked(t *testing.T, answer string) (says, ns string) {
	t.Helper()
	o := parse("tmp-look", answer)
	if o.result != "ok" {
		t.Fatalf("look: %s: %q", o, answer)
	}
	ns, _ = o.note("ns ")
	return strings.Join(slices.DeleteFunc(o.notes, func(n string) bool { return strings.HasPrefix(n, "ns ") }), "\n"), ns
}

// TestNothingIsLeftAhead: whatever a session leaves in its /tmp, in a mount namespace that was made ahead and is given to others after
// it, no other session sees; and who was handed a descriptor of that /tmp sees nothing of theirs. What tmp-look sees of
// each in the session that left it is the control.
func TestNothingIsLeftAhead(t *testing.T) {
	rig.Root(t)
	victim, dir, text := compileVictim(t), rig.PublicDir(t), policyHead
	paths := map[string]string{}
	for name, own := range map[string]string{"ahead": "false", "ahead-init": "true"} {
		paths[name] = filepath.Join(dir, name)
		text += strings.NewReplacer("acl.localhost", "acl.anyone", `"tcp://127.0.0.1:0"`, fmt.Sprintf("%q", "unix:"+paths[name])).Replace(serviceText(name, "0", victim, "  base = profile.server\n  widens = [\"network\", \"syscalls\"]\n  because = \"tests\"\n  network { mode = \"host\" }\n  best_effort = [\"landlock.net\", \"landlock.scopes\"]\n  init = "+own+"\n  files {\n    tmp = \"1MiB\"\n    proc = true\n  }\n"+
			"  syscalls { allow = [\"inotify_init1\", \"inotify_add_watch\", \"sendmsg\", \"flock\", \"fsetxattr\", \"listxattr\", \"mknodat\", \"mknod\", \"@socket-server\"] }"))
	}
	b := rig.Serve(t, text)
	for name, path := range paths {
		t.Run(name, func(t *testing.T) { leaves(t, b, name, path) })
	}
}

func leaves(t *testing.T, b *rig.Broker, name, path string) {
	answer, _ := at(t, path, "tmp-look")
	empty, _ := looked(t, answer)
	turns, handed, in := 0, []int(nil), map[string]int{}
	leftovers := leftovers
	if tooNew(t, "setxattr") {
		leftovers = slices.DeleteFunc(slices.Clone(leftovers), func(l leftover) bool { return l.kind == "xattr" })
	}
	for turn := range 4 {
		for _, l := range leftovers {
			mark := fmt.Sprintf("left-%d-%s", turn, l.kind)
			answer, _ := at(t, path, "tmp-leave "+l.kind+" "+mark+";tmp-look")
			says, _ := looked(t, answer)
			if o := parse("tmp-leave", answer); o.result != "ok" || l.seen != (says != empty) {
				t.Fatalf("control: leave %s: %s, and it looks like\n%s", l.kind, o, says)
			}
			_, fds := at(t, path, "tmp-leave watch -;tmp-leave file "+mark+"-handed;tmp-hand")
			if len(fds) != 2 {
				t.Fatalf("%d descriptors were handed over", len(fds))
			}
			if handed = append(handed, fds...); turn > 0 { // some stay for good, as files do whose clients do
				unix.Close(fds[0])
				unix.Close(fds[1])
				handed = handed[:len(handed)-2]
			}
			for range 2 {
				answer, _ = at(t, path, "tmp-look")
				says, ns := looked(t, answer)
				if turns++; says != empty {
					t.Errorf("after %s another session sees\n%s\nand the first one saw\n%s", l.kind, says, empty)
				}
				in[ns]++
			}
		}
	}
	s, err := b.Service(name)
	try(t, err)
	shared := 0
	for ns, n := range in {
		if n > 1 && holds(t, s.ZygotePID, ns) {
			shared += n
		}
	}
	if turns < 100 || shared < turns/2 {
		t.Errorf("of %d sessions %d were where others had been, of %v: too few to prove anything", turns, shared, in)
	}
	for i := 0; i < len(handed); i += 2 {
		onlyOwn(t, handed[i], handed[i+1], fmt.Sprintf("left-0-%s-handed", leftovers[i/2].kind))
	}
	if err := b.Idle(30 * time.Second); err != nil {
		t.Fatal(name, err)
	}
}

// holds tells whether a process has a descriptor of that mount namespace.
func holds(t *testing.T, pid int, ns string) bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	try(t, err)
	return slices.ContainsFunc(links, func(link string) bool {
		to, err := os.Readlink(link)
		return err == nil && to == ns
	})
}

// onlyOwn looks for anything but one file, through a descriptor of a /tmp that has gone and one of a watch of it, and closes both.
func onlyOwn(t *testing.T, tmp, watch int, own string) {
	t.Helper()
	dir := os.NewFile(uintptr(tmp), "tmp")
	defer dir.Close()
	defer unix.Close(watch)
	names, err := dir.Readdirnames(-1)
	if err != nil || !slices.Equal(names, []string{own}) {
		t.Errorf("through a descriptor of another session's /tmp: %q (%v), want %q alone", names, err, own)
	}
	events := make([]byte, 1<<16)
	n, err := unix.Read(watch, events)
	if err != nil || !strings.Contains(string(events[:n]), own) {
		t.Errorf("a watch tells nothing of its own session (%v), which proves nothing", err)
	}
	if told := strings.ReplaceAll(string(events[:max(n, 0)]), own, ""); strings.Contains(told, "left-") {
		t.Errorf("a watch of another session's /tmp tells %q", told)
	}
}

// makerFaults are calls of the process that makes mount namespaces ahead, and clears them.
var makerFaults = []fault{
	{"join", "", unix.SYS_SETNS, 1, unix.CLONE_NEWNS, 0, false, unix.EPERM, 0},
	{"make", "", unix.SYS_UNSHARE, 0, unix.CLONE_NEWNS, 0, false, unix.ENOSPC, 0}, // of which there is none any more
	{"mount /tmp", "", unix.SYS_MOUNT, 3, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, 0, false, unix.ENOMEM, 0},
	{"take off what was mounted", "", unix.SYS_UMOUNT2, -1, 0, 0, false, unix.EBUSY, 0},
	{"see a session's end", "", unix.SYS_PIDFD_OPEN, -1, 0, 0, false, unix.EMFILE, 0},
}

// TestMakerFails makes each call of that process fail: sessions are served, with a copy of their own, and none sees what another
// left; what it could not clear is given up. When nothing fails any more, they are made ahead again.
func TestMakerFails(t *testing.T) {
	rig.Root(t)
	victim, rule, port := compileVictim(t), filepath.Join(t.TempDir(), "rule"), rig.Port(t)
	try(t, os.WriteFile(rule, nil, 0o600))
	text := policyHead + serviceText("made", port, victim, "  base = profile.server\n  init = false\n  files {\n    tmp = \"1MiB\"\n    proc = true\n  }")
	asked := fmt.Sprintf("%d,%d,%d,%d,%d", unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIDFD_OPEN)
	b := rig.ServeWith(t, rig.Options{Under: []string{rig.Compile(t, "testdata/faults.c"), rule, asked}, Files: map[string]string{"test.cm.hcl": text}})
	served(t, b, "made", port)
	for i, f := range slices.Concat(makerFaults, []fault{{step: "nothing"}}) {
		arm(t, rule, i+1, f)
		ahead := 0
		for turn := range 24 {
			answer, err := rig.Exchange(port, "list /tmp;identity;tmp-leave file left\n")
			if err != nil || strings.Contains(answer, "left\n") || !strings.HasPrefix(answer, "list ok\n") || !strings.Contains(answer, "\ntmp-leave ok\n") {
				t.Fatalf("%s fails, session %d: %q (%v)", f.step, turn, answer, err)
			}
			s, err := b.Service("made")
			try(t, err)
			other := held(t, b, "made", port)
			if holds(t, s.ZygotePID, namespace(t, other)) {
				ahead++
			}
			try(t, unix.Kill(other, unix.SIGKILL))
			try(t, b.Idle(30*time.Second))
		}
		again := f.call == 0 || f.call == unix.SYS_UMOUNT2 // another is made in place of one that cannot be cleared
		if again && ahead == 0 || !again && ahead > 20 {
			t.Errorf("%s fails, and %d of 24 sessions were in what was made ahead", f.step, ahead)
		}
	}
	if failed, err := b.Find("msg", "session", "service", "made", "reason", "start-failed"); err != nil || len(failed) > 0 {
		t.Errorf("%v (%v)", failed, err)
	}
}
