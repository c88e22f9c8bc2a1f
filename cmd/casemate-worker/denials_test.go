package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/policy/denied"
	"casemate/sandbox/machine"
	"casemate/sandbox/seccomp/spoken"
	"casemate/tests/logline"

	"golang.org/x/sys/unix"
)

// written collects records.
type written struct{ records []map[string]any }

func (w *written) put(r journal.Record) {
	var one map[string]any
	if err := json.Unmarshal(logline.Of(r), &one); err != nil {
		panic(err)
	}
	w.records = append(w.records, one)
}

// of gives the counts of those with a value, 0 for one that has no count.
func (w *written) of(key string, value any) (counts []float64) {
	for _, r := range w.records {
		if r[key] == value {
			n, _ := r["count"].(float64)
			counts = append(counts, n)
		}
	}
	return counts
}

// TestDenialLedger: the first of each kind at once, the others counted at the end, kinds
// beyond the bound counted together, and never more records than the service's budget has.
func TestDenialLedger(t *testing.T) {
	var out written
	l := newDenialLedger(out.put)
	f := &filter{of: denied.Service{Service: "git", Digest: "sha256:a"}}
	uid := func(n uint64) spoken.Call { return spoken.Call{Nr: unix.SYS_SETUID, Args: [6]uint64{n}} }
	for range 5 {
		l.note(f, 7, 99, uid(0))
	}
	l.note(f, 8, 99, uid(0))
	if got := out.of("args", "0"); !slices.Equal(got, []float64{1, 1}) {
		t.Errorf("two sessions: %v", out.records)
	}
	l.over(7)
	if got := out.of("id", 7.0); !slices.Equal(got, []float64{1, 4}) {
		t.Errorf("at its end: %v", out.records)
	}
	for n := range uint64(maxDistinct + 10) {
		l.note(f, 9, 99, uid(n))
	}
	l.gone(f)
	if got := out.of("id", 9.0); len(got) != maxDistinct+1 || got[maxDistinct] != 10 {
		t.Errorf("%d records of %d kinds, the last of %v", len(got), maxDistinct+10, got[len(got)-1])
	}
	if len(l.sessions) != 0 {
		t.Errorf("%d sessions are remembered", len(l.sessions))
	}
	begin := time.Now()
	for n := range uint64(50) {
		for id := range uint64(50) {
			l.note(f, 100+id, 99, uid(n))
		}
	}
	l.finish()
	most := denialRate.Burst + int(time.Since(begin)/denialRate.Every) + 1
	total := 0.0
	for _, r := range out.records[:len(out.records)-1] {
		if n, _ := r["id"].(float64); n >= 100 {
			total += r["count"].(float64)
		}
	}
	if len(out.records) > most+10 || out.records[len(out.records)-1]["msg"] != deniedSuppressed {
		t.Errorf("%d records, at most %d, the last of them %v", len(out.records), most, out.records[len(out.records)-1])
	}
	if total == 0 || total > 2500 {
		t.Errorf("%v calls in the records", total)
	}
}

// TestKills: the broker's word and the kernel's meet in either order; without the kernel's the
// record has no call, and a call of another architecture has no name of ours.
func TestKills(t *testing.T) {
	var out written
	k := newKills(out.put)
	now := time.Unix(1, 0)
	order := func(id, pid uint64) wire.Order {
		return wire.Order{Kind: wire.Killed, ID: id, Token: pid, Name: `{"service":"x","digest":"d","profile":{"name":"p","base":["strict"]}}`}
	}
	k.call(violation{pid: 5, nr: unix.SYS_SOCKET, arch: machine.Audit}, now)
	k.program(order(1, 5), now)
	k.program(order(2, 6), now)
	k.call(violation{pid: 6, nr: unix.SYS_GETPID, arch: machine.Audit}, now)
	k.program(order(3, 7), now)
	k.call(violation{pid: 8, nr: 1, arch: 0x40000003}, now)
	k.program(order(4, 8), now)
	if !k.tick(now) || len(out.records) != 3 {
		t.Errorf("%v", out.records)
	}
	if k.tick(now.Add(killsFor)) || len(out.records) != 4 {
		t.Errorf("%v", out.records)
	}
	for id, call := range map[float64]any{1: "socket", 2: "getpid", 3: nil, 4: "another architecture's"} {
		i := slices.IndexFunc(out.records, func(r map[string]any) bool { return r["id"] == id })
		if i < 0 || out.records[i]["syscall"] != call || out.records[i]["signal"] != "SIGSYS" || out.records[i]["service"] != "x" {
			t.Errorf("session %v: %v, want %v", id, out.records, call)
		}
	}
	// Another program's end of long ago is none of a later one with its number.
	k.call(violation{pid: 9, nr: unix.SYS_SOCKET, arch: machine.Audit}, now)
	k.program(order(5, 9), now.Add(2*killsFor))
	k.finish(now.Add(3 * killsFor))
	if last := out.records[len(out.records)-1]; last["id"] != 5.0 || last["syscall"] != nil {
		t.Errorf("%v", last)
	}
}

// TestLineage: a process's session, and the topmost of itself and its parents below the broker.
func TestLineage(t *testing.T) {
	me, up := int32(os.Getpid()), int32(os.Getppid())
	sid, err := unix.Getsid(0)
	if got := lineage(me, parent(up)); err != nil || !slices.Equal(got, []int32{int32(sid), me, up}) {
		t.Errorf("%v, %v", got, err)
	}
	if got := lineage(-1, 0); fmt.Sprint(got) != "[-1]" && fmt.Sprint(got) != "[0]" {
		t.Errorf("of nobody: %v", got)
	}
	if got := owner(me); got != uint32(os.Getuid()) {
		t.Errorf("its user is %d", got)
	}
}

// TestLineageOfTheDeep: as many forks as there may be put nothing between a process and
// those of its parents that tell whose it is.
func TestLineageOfTheDeep(t *testing.T) {
	const depth = 70
	// Each shell is the child of the one before; the last leads a session of its own.
	script := `n=$1; if [ "$n" -gt 0 ]; then sh -c "$0" "$0" $((n-1)); exit; fi; exec setsid sh -c 'echo $$; read x'`
	cmd := exec.Command("sh", "-c", script, script, strconv.Itoa(depth))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Logf("the shells: %v", err) // read's at the end of its file
		}
	}()
	var deep int32
	if _, err := fmt.Fscan(out, &deep); err != nil {
		t.Fatal(err)
	}
	top := int32(os.Getpid())
	line := lineage(deep, top)
	if len(line) != wire.MaxPIDs || line[0] != deep || line[len(line)-1] != int32(cmd.Process.Pid) {
		t.Errorf("%v, want its session %d and last the first shell, %d", line, deep, cmd.Process.Pid)
	}
	steps := 0
	for pid := deep; pid != top && steps <= 2*depth; pid = parent(pid) {
		steps++
	}
	if steps <= depth || steps > 2*depth {
		t.Errorf("%d forks deep, want more than %d", steps, depth)
	}
}

// TestCallersShare: one user's calls leave room for the others', and what ends makes room.
func TestCallersShare(t *testing.T) {
	var w callers
	for n := range maxOwn + 1 {
		if got := w.enter(7); got != (n < maxOwn) {
			t.Fatalf("%d of one user's: %v", n+1, got)
		}
	}
	for uid := uint32(100); w.enter(uid); uid++ {
	}
	if w.all != maxWaiting || w.own[100] != 1 {
		t.Errorf("%d wait, %d of one user", w.all, w.own[100])
	}
	w.leave(100)
	if w.enter(7) || !w.enter(101) || w.own[100] != 0 {
		t.Errorf("after one has left: %d wait", w.all)
	}
}

// TestEndedSession: what comes after a session's end is written, and nothing of the session is kept.
func TestEndedSession(t *testing.T) {
	var out written
	d := newDenials(nil, out.put)
	f := &filter{d: d, of: denied.Service{Service: "git", Digest: "sha256:a"}}
	end := func(id uint64) {
		t.Helper()
		if err := d.obey(delivered{order: wire.Order{Kind: wire.Over, ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	d.remember(50, 7)
	if got := d.recall(50); got != 7 {
		t.Errorf("recalled %d, want 7", got)
	}
	end(7)
	d.remember(50, 7) // its answer was on the way
	if got := d.recall(50); got != 0 {
		t.Errorf("recalled %d, which is over", got)
	}
	for range 2 {
		d.ledger.note(f, 7, 99, spoken.Call{Nr: unix.SYS_SETUID})
	}
	if got := out.of("id", 7.0); !slices.Equal(got, []float64{1, 1}) || len(d.ledger.sessions) != 0 {
		t.Errorf("%v, and %d sessions are remembered", out.records, len(d.ledger.sessions))
	}
	for id := range uint64(2 * maxPast) {
		end(1000 + id)
	}
	if d.ledger.ended(7) || !d.ledger.ended(1000+2*maxPast-1) || len(d.ledger.past) != maxPast {
		t.Errorf("%d ended sessions are remembered, want the last %d", len(d.ledger.past), maxPast)
	}
}
