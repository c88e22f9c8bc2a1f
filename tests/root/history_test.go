package root

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// ran is what history has, the oldest first. The disk of a busy machine may take its time.
func ran(t *testing.T, b *rig.Broker) []control.Run {
	t.Helper()
	var h struct {
		FormatVersion int `json:"format_version"`
		Runs          []control.Run
	}
	if err := rig.Until(60*time.Second, func() error {
		code, out, errs := casemate(t, b, "history", "-o", "json")
		if err := json.Unmarshal([]byte(out), &h); code != 0 || err != nil || h.FormatVersion != 1 {
			return fmt.Errorf("history: %d, %v, %s%s", code, err, out, errs)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return h.Runs
}

// story is runs in short: number, how and which of the digests.
func story(runs []control.Run, digests ...string) (out string) {
	for _, r := range runs {
		which := r.Digest
		for i, d := range digests {
			if d == r.Digest {
				which = fmt.Sprint(i)
			}
		}
		out += fmt.Sprintf("%d %s %s; ", r.Number, r.How, which)
	}
	return strings.TrimSuffix(out, "; ")
}

// digestOf is that of a policy's text.
func digestOf(t *testing.T, b *rig.Broker, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p.cm.hcl")
	write(t, file, text, 0o644)
	code, out, errs := casemate(t, b, "check", "-o", "json", file)
	var c struct{ Digest string }
	if err := json.Unmarshal([]byte(out), &c); code != 0 || err != nil {
		t.Fatalf("check: %d, %v, %s%s", code, err, out, errs)
	}
	return c.Digest
}

// TestHistory: what ran before is kept over the end of a broker and of casemated, and comes into force again by its digest or
// number, checked as what comes from the files is; one that this host does not hold with now does not, and what runs stays.
func TestHistory(t *testing.T) {
	rig.Root(t)
	dir, port := rig.PublicDir(t), rig.Port(t)
	program := filepath.Join(dir, "answer")
	text, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	write(t, program, string(text), 0o755)
	echo := func(words ...string) string {
		return head + service("one", "tcp4://127.0.0.1:"+port, append([]string{"/bin/echo"}, words...), "profile = profile.line")
	}
	passing := head + service("one", "tcp4://127.0.0.1:"+port, []string{program, "gone"}, "profile = profile.line")
	o := rig.Options{Dir: dir, Files: map[string]string{"test.cm.hcl": echo("one")}}
	b := rig.ServeWith(t, o)
	does := func(want int, says string, args ...string) {
		t.Helper()
		if code, out, errs := casemate(t, b, args...); code != want || !strings.Contains(out+errs, says) {
			t.Errorf("%v: %d, %s%s, want %d and %q", args, code, out, errs, want, says)
		}
	}
	turn := func(text string) {
		t.Helper()
		if err := b.WritePolicy("test.cm.hcl", text); err != nil {
			t.Fatal(err)
		}
	}
	runs := func(want string, digests ...string) {
		t.Helper()
		st, err := b.Status()
		if err != nil {
			t.Fatal(err)
		}
		list := ran(t, b)
		if got := story(list, digests...); got != want || st.Digest != list[len(list)-1].Digest {
			t.Errorf("%s runs, after %s, want %s", st.Digest, got, want)
		}
	}
	one, two, old := digestOf(t, b, echo("one")), digestOf(t, b, echo("two")), digestOf(t, b, passing)

	turn(passing)
	does(0, "reloaded, digest "+old, "reload")
	turn(echo("two"))
	does(0, "reloaded, digest "+two, "reload", "--if-digest", two, "--if-running", old)
	runs("1 start 0; 2 reload 2; 3 reload 1", one, two, old)
	list := ran(t, b)
	if r := list[0]; r.UID != nil || !r.Ended.Equal(list[1].Began) || r.Services != 1 || r.Bytes < 1000 || r.Began.IsZero() {
		t.Errorf("%+v", r)
	}
	if r := list[2]; r.UID == nil || *r.UID != 0 || !r.Ended.IsZero() {
		t.Errorf("%+v", r)
	}

	// Conditions: the file has changed since it was looked at; another policy runs than the one that it was compared with.
	turn(echo("three"))
	does(3, "not "+two, "reload", "--if-digest", two)
	does(3, "not "+old, "reload", "--if-running", old)
	does(3, "not "+old, "rollback", "1", "--if-running", old)
	does(1, "is no digest", "reload", "--if-digest", "")
	if _, err := b.Await(3, 30*time.Second, "msg", "load refused, nothing changed", "asked_uid", "0", "digest", two); err != nil {
		t.Error(err)
	}
	if st, err := b.Status(); err != nil || st.LastReload != "" {
		t.Errorf("%+v, %v", st, err)
	}
	runs("1 start 0; 2 reload 2; 3 reload 1", one, two, old)

	// Back to what this host has no more, to what was never there, and to what it has.
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	does(1, program, "rollback", old)
	does(1, "no policy of the digest", "rollback", digestOf(t, b, echo("never")))
	does(3, "run 77 is not kept", "rollback", "77")
	exchange(t, port, "", "two\n")
	does(0, "rolled back, digest "+one, "rollback", "1", "--if-running", two)
	exchange(t, port, "", "one\n")
	ran(t, b)
	does(0, "casemate reload --control "+b.Control+" loads what the files say", "status")
	if _, err := b.Await(1, 30*time.Second, "msg", "loaded", "how", "rollback", "asked_uid", "0", "digest", one); err != nil {
		t.Error(err)
	}

	does(0, "in force already, digest "+one+": nothing is changed, and the history has no run more", "rollback", "1")
	does(0, "in force already", "rollback", one, "--if-running", one)

	// Another broker, and another casemated, know it all.
	killed := acceptor(t, b)
	if err := unix.Kill(killed, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if unix.Kill(killed, 0) == nil {
			return fmt.Errorf("process %d runs", killed)
		}
		st, err := b.Status()
		if err == nil && (st.RolledBack.IsZero() || st.Sources != two) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	runs("1 start 0; 2 reload 2; 3 reload 1; 4 rollback 0", one, two, old)
	does(0, "this ends the rollback to "+one, "reload")
	b.Stop()
	turn(echo("one"))
	b = rig.ServeWith(t, o)
	three := digestOf(t, b, echo("three"))
	runs("1 start 0; 2 reload 2; 3 reload 1; 4 rollback 0; 5 reload 3; 6 start 0", one, two, old, three)
	if r := ran(t, b)[4]; r.Ended.Before(r.Began) || r.Ended.IsZero() {
		t.Errorf("%+v", r)
	}
	does(0, "rolled back, digest "+two, "rollback", two)
	exchange(t, port, "", "two\n")
}
