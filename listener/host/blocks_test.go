package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"casemate/tests/need"

	"casemate/sandbox"
)

// alone makes leases that see no process of this host.
func alone(dir string) *Blocks {
	l := NewBlocks(dir)
	l.first = 0
	l.inUse = func(uint32) bool { return false }
	l.processes = func() ([]leased, error) { return nil, nil }
	return l
}

func openBlocks(t *testing.T, dir string) *Blocks {
	t.Helper()
	l := alone(dir)
	if _, _, err := l.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.drop() })
	return l
}

// drop lets go of the blocks as the end of the process does.
func (l *Blocks) drop() {
	for i, f := range l.files {
		if f != nil {
			f.Close()
			l.files[i] = nil
		}
	}
}

// TestLeasesOfOneHost: brokers of one host never hold the same block, and one
// that finds none says so.
func TestLeasesOfOneHost(t *testing.T) {
	dir := t.TempDir()
	var all []*Blocks
	seen := map[uint32]bool{}
	for range BlockCount {
		l := openBlocks(t, dir)
		uid, ok := l.Own()
		if !ok || seen[uid/BlockSize] {
			t.Fatalf("broker %d leases %x (%v)", len(all), uid, ok)
		}
		seen[uid/BlockSize] = true
		all = append(all, l)
	}
	if _, _, err := alone(dir).Open(); !errors.Is(err, errNoBlock) {
		t.Errorf("one broker too many: %v", err)
	}
	all[7].drop()
	if uid, ok := openBlocks(t, dir).Own(); !ok || (uid-sandbox.LeaseBase)/BlockSize != 7 {
		t.Errorf("the block of one that ended: %x %v", uid, ok)
	}
}

// TestUidsOfTheDeadRest: a broker that follows one that died, even within a second, takes a block that the
// dead one did not have, as long as there is another.
func TestUidsOfTheDeadRest(t *testing.T) {
	dir := t.TempDir()
	had := map[uint32]bool{}
	for i := range BlockCount {
		l := openBlocks(t, dir)
		uid, ok := l.Own()
		if block := uid / BlockSize; !ok || had[block] {
			t.Errorf("broker %d leases %x, of one that has died (%v)", i, uid, ok)
		} else {
			had[block] = true
		}
		l.drop() // without Settle
	}
	if uid, ok := openBlocks(t, dir).Own(); !ok {
		t.Errorf("where all blocks were a dead broker's: %x, %v", uid, ok)
	}
}

// TestLeaseWords: what a block's file says through the lives of a broker.
func TestLeaseWords(t *testing.T) {
	dir := t.TempDir()
	says := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, "0")); err != nil || string(got) != want {
			t.Errorf("it says %q (%v), want %q", got, err, want)
		}
	}
	l := openBlocks(t, dir)
	says(wordEnd)
	if err := l.Settle(); err != nil {
		t.Error(err)
	}
	says(wordNone)
	l.drop()
	l = openBlocks(t, dir)
	if err := l.Leave(); err != nil {
		t.Error(err)
	}
	says(wordLeave)
	if err := l.Settle(); err != nil {
		t.Error(err)
	}
	says(wordLeave) // what an older generation left may live on
	l.drop()
	openBlocks(t, dir) // nobody does
	says(wordEnd)
}

// TestSurvivorsByWord: the processes in a block are ended, or left be, as its file
// says; those of a living broker's block, and of one that no broker here ever
// held, are somebody else's.
func TestSurvivorsByWord(t *testing.T) {
	dir := t.TempDir()
	living := openBlocks(t, dir) // block 0
	for block, word := range map[int]string{1: wordEnd, 2: wordLeave, 3: wordNone} {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(block)), []byte(word), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := alone(dir)
	var killed []uint32
	l.processes = func() (out []leased, _ error) {
		for block := range uint32(5) {
			out = append(out, leased{uid: sandbox.LeaseBase + block*BlockSize + 3})
		}
		return out, nil
	}
	l.end = func(p leased) bool { killed = append(killed, p.uid); return true }
	ended, left, err := l.Open()
	defer l.drop()
	if err != nil || ended != 1 || left != 1 || !slices.Equal(killed, []uint32{sandbox.LeaseBase + BlockSize + 3}) {
		t.Errorf("ended %d, left %d (%v), killed %x", ended, left, err, killed)
	}
	if l.files[3] == nil || living.files[0] == nil {
		t.Error("it does not hold the first block that no broker holds, or held when it died")
	}
	for range BlockCount - 2 { // into the block of those who may live on
		if _, err := l.Take(); err != nil {
			t.Fatal(err)
		}
	}
	if first, err := l.Take(); !errors.Is(err, errNoBlock) {
		t.Errorf("took the block of %x, which somebody holds (%v)", first, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "2")); err != nil || string(text) != wordLeave {
		t.Errorf("the block of those who may live on says %q (%v)", text, err)
	}
}

// TestLeaseDirIsOurs: what others can write to holds no locks.
func TestLeaseDirIsOurs(t *testing.T) {
	open, file := t.TempDir(), filepath.Join(t.TempDir(), "f")
	if err := errors.Join(os.Chmod(open, 0o777), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "5")
	if err := errors.Join(os.WriteFile(second, nil, 0o600), os.Link(second, second+".of.somebody")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{open: "everybody may change", file: "not a directory", filepath.Dir(second): "2 names"} {
		if _, _, err := alone(dir).Open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
}

func TestParseLeased(t *testing.T) {
	status := func(uid, pids string) string {
		return "Name:\tUid: 1879048192\nState:\tS (sleeping)\nUid:\t" + uid + "\nGid:\t5\t5\t5\t5\nNSpid:\t" + pids + "\nThreads:\t1\n"
	}
	for _, tt := range []struct {
		text string
		uid  uint32
	}{
		{status("1879048192\t1879048192\t1879048192\t1879048192", "17\t1"), sandbox.LeaseBase},
		{status("1879113727\t1879113727\t1879113727\t1879113727", "17"), sandbox.LeaseBase + sandbox.LeaseCount - 1},
		{status("0\t1879048200\t0\t0", "17"), sandbox.LeaseBase + 8},
		{status("1879048192\t1879048192\t1879048192\t1879048192", "90\t17\t1"), 0}, // a container's
		{status("1879113728\t1879113728\t1879113728\t1879113728", "17"), 0},
		{status("1879048191\t1879048191\t1879048191\t1879048191", "17"), 0},
		{status("x", "17"), 0},
		{strings.Replace(status("1879048192\t1879048192\t1879048192\t1879048192", "17\t1"), "S (sleeping)", "Z (zombie)", 1), 0},
		{"", 0},
	} {
		if uid, ok := parseLeased(tt.text); uid != tt.uid || ok != (tt.uid != 0) {
			t.Errorf("%q: %x %v, want %x", tt.text, uid, ok, tt.uid)
		}
	}
}

// TestHelpersTakeTurns: a uid of the helpers' block is used again after all others of
// it, and one that a process has is looked past, whoever started it.
func TestHelpersTakeTurns(t *testing.T) {
	l := openBlocks(t, t.TempDir())
	busy := l.own + 3
	l.inUse = func(uid uint32) bool { return uid == busy }
	for round := range 2 {
		for i := range uint32(BlockSize - 1) {
			want := l.own + i
			if want >= busy {
				want++
			}
			if uid, ok := l.Own(); !ok || uid != want {
				t.Fatalf("round %d: took %x (%v), want %x", round, uid, ok, want)
			}
		}
	}
	l.inUse = func(uint32) bool { return true }
	if uid, ok := l.Own(); ok {
		t.Errorf("took %x where all are in use", uid)
	}
}

// TestUidInUse: one that a process has is known, whoever started it.
func TestUidInUse(t *testing.T) {
	need.Root(t, "it runs a process under a leased uid")
	const uid = sandbox.LeaseBase + sandbox.LeaseCount - 7
	stray := exec.Command("sleep", "60")
	stray.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stray.Process.Kill(); _ = stray.Wait() }()
	if !InUse(uid) || InUse(uid+1) {
		t.Errorf("in use: %v, and its neighbour: %v", InUse(uid), InUse(uid+1))
	}
}
