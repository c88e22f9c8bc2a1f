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
	"testing/synctest"
	"time"

	"casemate/tests/need"

	"casemate/sandbox"
)

// alone makes leases that see no process of this host.
func alone(dir string) *Leases {
	l := NewLeases(dir)
	l.first = 0
	l.inUse = func(uint32) bool { return false }
	l.processes = func() ([]leased, error) { return nil, nil }
	return l
}

func openLeases(t *testing.T, dir string) *Leases {
	t.Helper()
	l := alone(dir)
	if _, _, err := l.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.drop() })
	return l
}

// drop lets go of the blocks as the end of the process does.
func (l *Leases) drop() {
	for i, f := range l.blocks {
		if f != nil {
			f.Close()
			l.blocks[i] = nil
		}
	}
}

// TestLeasesAreReusedAsLateAsPossible: a broker alone takes several blocks before
// it uses a uid again, then in the order they came back, and all blocks at need.
func TestLeasesAreReusedAsLateAsPossible(t *testing.T) { synctest.Test(t, reusedLate) }

func reusedLate(t *testing.T) {
	l := openLeases(t, t.TempDir())
	seen := map[uint32]bool{}
	take := func() uint32 {
		t.Helper()
		uid, ok := l.Take()
		if !ok || uid < sandbox.LeaseBase || uid >= sandbox.LeaseBase+sandbox.LeaseCount {
			t.Fatalf("lease %d: %x %v", len(seen), uid, ok)
		}
		return uid
	}
	var back []uint32
	for i := range eagerBlocks * blockSize {
		uid := take()
		if seen[uid] {
			t.Fatalf("%x is leased twice", uid)
		}
		seen[uid] = true
		if i%3 == 0 {
			l.Give(uid)
			back = append(back, uid)
		}
	}
	time.Sleep((quarantine + 1) * time.Second)
	for i, want := range back {
		if got := take(); got != want {
			t.Fatalf("take %d after the first blocks are used up: %x, want %x", i, got, want)
		}
	}
	for range sandbox.LeaseCount - eagerBlocks*blockSize {
		uid := take()
		if seen[uid] {
			t.Fatalf("%x is leased twice", uid)
		}
		seen[uid] = true
	}
	if uid, ok := l.Take(); ok {
		t.Errorf("took %x of an empty range", uid)
	}
	l.Give(5) // not ours: must not come back
	if uid, ok := l.Take(); ok {
		t.Errorf("took %x", uid)
	}
}

// TestLeasedUidRests: one that came back is not leased within the quarantine, for
// which further blocks are taken, and after it the oldest comes first. When half the
// blocks are used up, nobody is turned away: the oldest is leased before its time.
func TestLeasedUidRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLeases(t, t.TempDir())
		gone := map[uint32]time.Time{}
		turn := func() (early bool) {
			t.Helper()
			uid, ok := l.Take()
			if !ok {
				t.Fatal("a client is turned away")
			}
			at, again := gone[uid]
			early = again && time.Since(at) < quarantine*time.Second
			l.Give(uid)
			gone[uid] = time.Now()
			return early
		}
		const rate = 1500 // a second
		for n := range 30 * rate {
			if turn() {
				t.Fatalf("%d starts at %d a second: a uid rested for less than %d s", n+1, rate, quarantine)
			}
			time.Sleep(time.Second / rate)
		}
		if l.held <= eagerBlocks || l.held > 2+(quarantine+1)*rate/blockSize {
			t.Errorf("%d blocks are held", l.held)
		}
		time.Sleep(quarantine * 2 * time.Second)
		held, early := l.held, 0
		for range restBlocks * blockSize {
			if turn() {
				early++
			}
		}
		if early > 0 || l.held != restBlocks || l.held == held {
			t.Errorf("%d of a sudden crowd leased early, %d blocks held", early, l.held)
		}
		first := l.back[0].uid
		if uid, _ := l.Take(); uid != first || time.Since(gone[uid]) >= quarantine*time.Second {
			t.Errorf("took %x, not the oldest %x", uid, first)
		}
	})
}

// TestLeasesOfOneHost: brokers of one host never hold the same block, and one
// that finds none says so.
func TestLeasesOfOneHost(t *testing.T) {
	dir := t.TempDir()
	var all []*Leases
	seen := map[uint32]bool{}
	for range blockCount {
		l := openLeases(t, dir)
		uid, ok := l.Take()
		if !ok || seen[uid/blockSize] {
			t.Fatalf("broker %d leases %x (%v)", len(all), uid, ok)
		}
		seen[uid/blockSize] = true
		all = append(all, l)
	}
	if _, _, err := alone(dir).Open(); !errors.Is(err, errNoBlock) {
		t.Errorf("one broker too many: %v", err)
	}
	all[7].drop()
	if uid, ok := openLeases(t, dir).Take(); !ok || (uid-sandbox.LeaseBase)/blockSize != 7 {
		t.Errorf("the block of one that ended: %x %v", uid, ok)
	}
}

// TestUidsOfTheDeadRest: a broker that follows one that died, even within a second, takes a block that the
// dead one did not have, as long as there is another.
func TestUidsOfTheDeadRest(t *testing.T) {
	dir := t.TempDir()
	had := map[uint32]bool{}
	for i := range blockCount {
		l := openLeases(t, dir)
		uid, ok := l.Take()
		if block := uid / blockSize; !ok || had[block] {
			t.Errorf("broker %d leases %x, of one that has died (%v)", i, uid, ok)
		} else {
			had[block] = true
		}
		l.drop() // without Settle
	}
	if uid, ok := openLeases(t, dir).Take(); !ok {
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
	l := openLeases(t, dir)
	says(wordEnd)
	if err := l.Settle(); err != nil {
		t.Error(err)
	}
	says(wordNone)
	l.drop()
	l = openLeases(t, dir)
	if err := l.Leave(); err != nil {
		t.Error(err)
	}
	says(wordLeave)
	if err := l.Settle(); err != nil {
		t.Error(err)
	}
	says(wordLeave) // what an older generation left may live on
	l.drop()
	openLeases(t, dir) // nobody does
	says(wordEnd)
}

// TestSurvivorsByWord: the processes in a block are ended, or left be, as its file
// says; those of a living broker's block, and of one that no broker here ever
// held, are somebody else's.
func TestSurvivorsByWord(t *testing.T) {
	dir := t.TempDir()
	living := openLeases(t, dir) // block 0
	for block, word := range map[int]string{1: wordEnd, 2: wordLeave, 3: wordNone} {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(block)), []byte(word), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := alone(dir)
	var killed []uint32
	l.processes = func() (out []leased, _ error) {
		for block := range uint32(5) {
			out = append(out, leased{uid: sandbox.LeaseBase + block*blockSize + 3})
		}
		return out, nil
	}
	l.end = func(p leased) bool { killed = append(killed, p.uid); return true }
	ended, left, err := l.Open()
	defer l.drop()
	if err != nil || ended != 1 || left != 1 || !slices.Equal(killed, []uint32{sandbox.LeaseBase + blockSize + 3}) {
		t.Errorf("ended %d, left %d (%v), killed %x", ended, left, err, killed)
	}
	if l.blocks[3] == nil || living.blocks[0] == nil {
		t.Error("it does not hold the first block that no broker holds, or held when it died")
	}
	for range 3 * blockSize { // into the block of those who may live on, the second of those that come then
		if _, ok := l.Take(); !ok {
			t.Fatal("no uid")
		}
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

// TestUidInUseIsNotLeased: a uid that a process has is looked past, whoever started it.
func TestUidInUseIsNotLeased(t *testing.T) {
	need.Root(t, "it runs a process under a leased uid")
	l := openLeases(t, t.TempDir())
	l.inUse = inUse
	first, _ := l.Take()
	l.Give(first)
	stray := exec.Command("sleep", "60")
	stray.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: first + 1, Gid: first + 1}}
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stray.Process.Kill(); _ = stray.Wait() }()
	for range 5 {
		if uid, ok := l.Take(); !ok || uid <= first+1 {
			t.Fatalf("took %x (%v), which a process has", uid, ok)
		}
	}
}
