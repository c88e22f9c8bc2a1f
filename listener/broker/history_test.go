package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"casemate/listener"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/policy/granted"
)

var someSum = strings.Repeat("0f", 32)

// TestParseRun: names say what they do, and nothing that is not one is taken for one.
func TestParseRun(t *testing.T) {
	root := uint32(0)
	for name, want := range map[string]control.Run{
		"00000007-1700000000-reload-0-12-" + someSum + ".json":        {Number: 7, How: "reload", UID: &root, Services: 12},
		"00000001-1700000000-start-4294967295-0-" + someSum + ".json": {Number: 1, How: "start"},
	} {
		want.Digest, want.Began = "sha256:"+someSum, time.Unix(1700000000, 0).UTC()
		if got, err := parseRun(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	good := "00000007-1700000000-reload-0-12-" + someSum + ".json"
	for _, bad := range []string{"", ".json", "x", strings.TrimSuffix(good, ".json"), good + ".json", "a" + good, strings.Replace(good, "reload", "", 1), strings.Replace(good, "reload", "Re load", 1),
		strings.Replace(good, "-0-12", "--1-12", 1), strings.Replace(good, "-0-12", "-4294967296-12", 1), strings.Replace(good, "0f.json", ".json", 1), strings.Replace(good, "0f.json", "0F.json", 1),
		strings.Replace(good, "1700000000", "99999999999999999", 1), strings.Replace(good, "-12-", "-12-13-", 1)} {
		if r, err := parseRun(bad); err == nil || !reflect.DeepEqual(r, control.Run{}) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
}

// FuzzParseRun: no name ends the broker, and one that is taken says the same in the form that root gives it.
func FuzzParseRun(f *testing.F) {
	f.Add("00000007-1700000000-reload-0-12-" + someSum + ".json")
	f.Add("00000001-1700000000-start-4294967295-0-" + someSum + ".json")
	f.Fuzz(func(t *testing.T, name string) {
		r, err := parseRun(name)
		if err != nil {
			return
		}
		uid := listener.KeepID
		if r.UID != nil {
			uid = *r.UID
		}
		again := fmt.Sprintf("%08d-%d-%s-%d-%d-%s.json", r.Number, r.Began.Unix(), r.How, uid, r.Services, strings.TrimPrefix(r.Digest, "sha256:"))
		if got, err := parseRun(again); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%q is %+v, and %q %+v (%v)", name, r, again, got, err)
		}
	})
}

// TestRolledBack: what runs was rolled back to, unless the files said the same when they were loaded last.
func TestRolledBack(t *testing.T) {
	for _, c := range []struct {
		runs, running, sources string
		rolled                 bool
	}{
		{"", "a", "", false},
		{"start a", "a", "", false},
		{"start a, reload b, rollback a", "a", "b", true},
		{"start a, reload b, rollback a, rollback c", "c", "b", true},
		{"start a, reload b, rollback a, rollback b", "b", "", false},
		{"rollback a", "a", "", true}, // what was before is not kept any more
		{"start a, reload b, rollback a", "b", "", false},
		{"start a, reload b, rollback a, reload a", "a", "", false},
	} {
		b := &Broker{gen: &generation{digest: c.running}}
		for i, one := range strings.Split(c.runs, ", ") {
			if how, digest, ok := strings.Cut(one, " "); ok {
				b.past = append(b.past, control.Run{Number: i, How: how, Digest: digest, Began: time.Unix(int64(i+1), 0)})
			}
		}
		if since, sources := b.rolledBack(); since.IsZero() == c.rolled || sources != c.sources {
			t.Errorf("%s, with %s in force: since %v, %q", c.runs, c.running, since, sources)
		}
	}
	seen := time.Unix(50, 7)
	name := func(n, at int, how string) warden.Kept {
		return warden.Kept{Name: fmt.Sprintf("%08d-%d-%s-0-1-%s.json", n, at, how, someSum), Seen: seen}
	}
	got := runsOf([]warden.Kept{name(1, 10, "start"), {Name: "x.json"}, name(2, 20, "reload"), name(3, 90, "start")})
	if len(got) != 3 || got[0].Ended.Unix() != 20 || got[1].Ended.Unix() != 50 || !got[2].Ended.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestConditions: a condition that does not hold refuses the load before anything is prepared or opened, what runs stays, and
// neither it nor an order for a document that ran shares the outcome of another load.
func TestConditions(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	old, other := g.doc.Digest, "sha256:"+someSum
	g.setPolicy(svc("dog", "tcp", freePort(t), "/bin/cat"))
	var asked []string
	loads := 0
	compile := g.compile
	g.compile = func(ran string) (*policy.Document, []policy.Diagnostic, error) {
		asked, loads = append(asked, ran), loads+1
		return compile(ran)
	}
	ask := func(request string) (a control.Response) {
		t.Helper()
		if err := json.NewDecoder(g.asksControl(request)).Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for request, unmet := range map[string]string{
		`"verb":"reload","if_digest":"` + other + `"`:                                           "if_digest",
		`"verb":"reload","if_running":"` + g.doc.Digest + `"`:                                   "if_running",
		`"verb":"reload","if_running":"` + other + `","if_digest":"` + g.doc.Digest + `"`:       "if_running",
		`"verb":"rollback","digest":"` + g.doc.Digest + `","if_running":"` + g.doc.Digest + `"`: "if_running",
		`"verb":"rollback","digest":"` + other + `"`:                                            "", // another document comes than was asked for
	} {
		if a := ask(request); a.OK || a.Unmet != unmet || a.Digest != old || a.Error == "" {
			t.Errorf("%s: %+v", request, a)
		}
	}
	if g.fakes["dog"] != nil {
		t.Error("a sandbox was prepared for what was refused")
	}
	g.expect(`"load refused, nothing changed"`, `"asked_uid":0`, `"how":"re`)
	asked = nil
	if a := ask(`"verb":"reload","if_digest":"` + g.doc.Digest + `","if_running":"` + old + `"`); !a.OK || a.Digest != g.doc.Digest || a.Replaced != old || a.EndedRollback {
		t.Errorf("%+v", a)
	}
	g.expect(`"loaded"`, `"how":"reload"`, `"asked_uid":0`, g.doc.Digest)
	if a := ask(`"verb":"rollback","digest":"` + g.doc.Digest + `"`); !a.OK || a.Digest != g.doc.Digest || a.Replaced != a.Digest || a.EndedRollback { // which runs
		t.Errorf("%+v", a)
	}
	if !reflect.DeepEqual(asked, []string{""}) {
		t.Errorf("the compiler was asked for %q", asked)
	}

	// At the swap itself: what ran has changed since the conditions were looked at.
	c := &candidate{gen: &generation{digest: old, doc: g.doc}}
	if err := g.loop.Do(func() { refusedAtSwap(t, func() error { return g.commit(c, &order{ifRunning: old}) }) }); err != nil {
		t.Error(err)
	}
}

// TestNothingBeforeTheFirstLoad: an order for what ran, or with a condition, does not come before the load of what was in force with
// the broker before, and does not take it away.
func TestNothingBeforeTheFirstLoad(t *testing.T) {
	g := newRig(t)
	g.setPolicy(svc("cat", "tcp", freePort(t), "/bin/cat"))
	compile, asked := g.compile, 0
	g.compile = func(ran string) (*policy.Document, []policy.Diagnostic, error) { asked++; return compile(ran) }
	for _, request := range []string{`"verb":"rollback","digest":"` + g.doc.Digest + `"`, `"verb":"reload","if_digest":"` + g.doc.Digest + `"`, `"verb":"reload","if_running":"` + g.doc.Digest + `"`} {
		var a control.Response
		if err := json.NewDecoder(g.asksControl(request)).Decode(&a); err != nil || a.OK || !strings.Contains(a.Error, "no policy is in force yet") || asked > 0 {
			t.Errorf("%s: %+v, %v, and the compiler was asked %d times", request, a, err, asked)
		}
	}
}

// TestFirstLoadThatFails: the record of a first load says that it is the start's, also where it fails.
func TestFirstLoadThatFails(t *testing.T) {
	g := newRig(t)
	g.setPolicy(svc("cat", "tcp", freePort(t), "/bin/cat"))
	compile := g.compile
	g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) {
		return nil, nil, errors.New("no compiler")
	}
	if _, _, err := g.Load(); err == nil {
		t.Error("loaded")
	}
	g.expect(`"load failed, nothing changed"`, `"how":"start"`, "no compiler")
	g.compile = compile
	if _, _, err := g.Load(); err != nil {
		t.Error(err)
	}
	g.expect(`"loaded"`, `"how":"start"`)
	if _, _, err := g.Load(); err != nil {
		t.Error(err)
	}
	g.expect(`"loaded"`, `"how":"signal"`)
}

// refusedAtSwap wants an unmet condition.
func refusedAtSwap(t *testing.T, commit func() error) {
	var u *unmet
	if err := commit(); !errors.As(err, &u) || u.condition != "if_running" {
		t.Errorf("at the swap: %v", err)
	}
}

// TestConditionsAreHeeded: a digest that is none, or in a request that does not heed it, is refused.
func TestConditionsAreHeeded(t *testing.T) {
	ok := "sha256:" + someSum
	for request, good := range map[string]bool{
		`"verb":"reload"`: true, `"verb":"reload","if_digest":"` + ok + `","if_running":"` + ok + `"`: true, `"verb":"rollback","digest":"` + ok + `","if_running":"` + ok + `"`: true,
		`"verb":"document","digest":"` + ok + `"`: true, `"verb":"history"`: true,
		`"verb":"reload","digest":"` + ok + `"`: false, `"verb":"reload","if_digest":"x"`: false, `"verb":"reload","if_running":"sha256:"`: false, `"verb":"rollback"`: false,
		`"verb":"rollback","digest":"../x"`: false, `"verb":"rollback","digest":"` + ok + `","if_digest":"` + ok + `"`: false, `"verb":"status","if_running":"` + ok + `"`: false,
		`"verb":"kill","if_digest":"` + ok + `"`: false, `"verb":"history","digest":"` + ok + `"`: false, `"verb":"document","digest":"SHA256:` + someSum + `"`: false,
	} {
		q, err := readRequest(strings.NewReader(`{"format_version":1,` + request + "}\n"))
		if (err == nil) != good || err != nil && !reflect.DeepEqual(q, control.Request{}) {
			t.Errorf("%s: %+v, %v", request, q, err)
		}
	}
	for verb, reads := range map[string]bool{control.VerbHistory: true, control.VerbDocument: true, control.VerbRollback: false, control.VerbReload: false} {
		if (control.Request{Verb: verb}).Reads() != reads {
			t.Errorf("%s reads: %v", verb, !reads)
		}
	}
	if warden.Rollback != control.HowRollback || warden.Start != control.HowStart || control.HowRollback != control.VerbRollback || control.HowReload != control.VerbReload {
		t.Error("root and broker have other words for a cause")
	}
	for _, how := range []string{control.HowStart, control.HowReload, control.HowSignal, control.HowRollback} {
		if !granted.ValidName(how) || strings.Contains(how, "-") {
			t.Errorf("%q in the name of a file", how)
		}
	}
}

// forgetful are hands that keep nothing.
type forgetful struct{ near }

func (forgetful) Past() ([]warden.Kept, error) { return nil, errors.New("no space left") }

// TestUnkept: a policy that cannot be written down runs, and that is said by who loads it, in the log and in the history.
func TestUnkept(t *testing.T) {
	g := newRig(t)
	g.hands = forgetful{g.hands.(near)}
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	a, _ := g.answer(control.Request{Verb: control.VerbReload}, 0)
	if !a.OK || a.Unkept != "no space left" || a.Digest != g.doc.Digest {
		t.Errorf("%+v", a)
	}
	g.expect(`"history not kept"`, "no space left")
	if a, _ := g.answer(control.Request{Verb: control.VerbHistory}, 0); a.OK || !strings.Contains(a.Error, "the history is not kept: no space left") {
		t.Errorf("%+v", a)
	}
}
