package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/policy/denied"
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
	k.call(violation{pid: 5, nr: 41, arch: archX8664}, now)
	k.program(order(1, 5), now)
	k.program(order(2, 6), now)
	k.call(violation{pid: 6, nr: 39, arch: archX8664}, now)
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
	k.call(violation{pid: 9, nr: 41, arch: archX8664}, now)
	k.program(order(5, 9), now.Add(2*killsFor))
	k.finish(now.Add(3 * killsFor))
	if last := out.records[len(out.records)-1]; last["id"] != 5.0 || last["syscall"] != nil {
		t.Errorf("%v", last)
	}
}

// TestLineage: a process, its session and its parents.
func TestLineage(t *testing.T) {
	line := lineage(int32(os.Getpid()))
	sid, err := unix.Getsid(0)
	if err != nil || len(line) < 3 || line[0] != int32(sid) || line[1] != int32(os.Getpid()) || line[2] != int32(os.Getppid()) {
		t.Errorf("%v, %v", line, err)
	}
	if got := lineage(-1); fmt.Sprint(got) != "[-1]" && fmt.Sprint(got) != "[0]" {
		t.Errorf("of nobody: %v", got)
	}
}
