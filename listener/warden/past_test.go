package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/listener"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// numbered is a document with a digest of its own.
func numbered(t *testing.T, n int) *granted.Document {
	t.Helper()
	p := testPolicy()
	p.Services[0].Command = append(p.Services[0].Command, fmt.Sprint(n))
	doc, err := newDocument(p, policy.Origins{})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// kept is Past, however long the disk of a busy machine takes.
func (w *Warden) kept(t *testing.T) []Kept {
	t.Helper()
	for {
		list, err := w.Past()
		if errors.As(err, new(*hostpath.SilentError)) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
}

// names are how documents came, with which they are.
func (w *Warden) names(t *testing.T, docs ...*granted.Document) (out []string) {
	t.Helper()
	for _, k := range w.kept(t) {
		f := strings.Split(strings.TrimSuffix(k.Name, ".json"), "-")
		which := f[len(f)-1]
		for i, d := range docs {
			if strings.HasSuffix(d.Digest, which) {
				which = fmt.Sprint(i)
			}
		}
		out = append(out, strings.TrimLeft(f[0], "0")+" "+f[2]+" "+which)
	}
	return out
}

// TestPast: each turn of what is in force is a file, and neither the same policy again nor a broker or casemated that begins with
// it is one; what was rolled back to is known as that until it is loaded in another way.
func TestPast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	casemated := func() *Warden { w := newWarden(t); w.past.dir = dir; return w }
	w, a, b := casemated(), numbered(t, 1), numbered(t, 2)
	var want []string
	turn := func(doc *granted.Document, how string, more ...string) {
		t.Helper()
		w.InForce(doc, Cause{how, 7})
		want = append(want, more...)
		for range 2 {
			if got := w.names(t, a, b); strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("after %s: %q, want %q", how, got, want)
			}
		}
	}
	turn(a, Start, "1 start 0")
	turn(a, "reload")
	turn(b, "reload", "2 reload 1")
	turn(b, "signal")
	w = casemated()
	turn(b, Start)
	turn(a, Rollback, "3 rollback 0")
	turn(a, Rollback)
	turn(a, Start) // of the next broker
	turn(a, "reload", "4 reload 0")
	turn(b, Rollback, "5 rollback 1")
	w = casemated()
	turn(b, Start, "6 start 1")

	files, err := w.Recall(a.Digest)
	if err != nil || len(files) != 1 || !input.IsDocument(files[0].Name) {
		t.Fatalf("%+v, %v", files, err)
	}
	if doc, err := canon.DecodeDocument(files[0].Data); err != nil || doc.Digest != a.Digest {
		t.Errorf("%+v, %v", doc, err)
	}
	for _, none := range []string{"", "sha256:", a.Digest[:70], strings.TrimPrefix(a.Digest, "sha256:"), "../" + a.Digest, numbered(t, 3).Digest} {
		if files, err := w.Recall(none); err == nil {
			t.Errorf("%q: %+v", none, files)
		}
	}
	info, err := os.Stat(files[0].Name)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(files[0].Name, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recall(a.Digest); err == nil || !strings.Contains(err.Error(), "others than root may change it") {
		t.Errorf("a file that everybody may write: %v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	w.InForce(a, Cause{"reload", 7})
	if _, err := w.Past(); err == nil {
		t.Error("written into a directory of everybody's")
	}
}

// TestPastIsBounded: the oldest files go, by number and by bytes, and what runs stays however large it is.
func TestPastIsBounded(t *testing.T) {
	w := newWarden(t)
	w.past.dir = filepath.Join(t.TempDir(), "history")
	for n := range maxPast + 3 {
		w.InForce(numbered(t, n), Cause{"reload", listener.KeepID})
		w.kept(t)
	}
	list := w.kept(t)
	if len(list) != maxPast || !strings.HasPrefix(list[0].Name, "00000004-") || !strings.HasPrefix(list[maxPast-1].Name, fmt.Sprintf("%08d-", maxPast+3)) {
		t.Fatalf("%d files from %s on", len(list), list[0].Name)
	}
	if err := os.Truncate(filepath.Join(w.past.dir, list[maxPast-3].Name), maxPastBytes); err != nil {
		t.Fatal(err)
	}
	w.InForce(numbered(t, 1000), Cause{"reload", listener.KeepID})
	if list = w.kept(t); len(list) != 3 {
		t.Errorf("%d files", len(list))
	}
	if entries, err := os.ReadDir(w.past.dir); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestPastOverErrands: root takes a cause for no path, and answers an errand that fails without its descriptor.
func TestPastOverErrands(t *testing.T) {
	doc, w := numbered(t, 1), newWarden(t)
	w.past.dir = filepath.Join(t.TempDir(), "history")
	b := w.newBroker(BrokerConfig{})
	b.docs[doc.Digest] = doc
	for _, how := range []string{"", "..", "a/b", "A", strings.Repeat("x", 64)} {
		if _, _, err := b.do(Asked{Do: DoForce, Digest: doc.Digest, Name: how}, nil); err == nil {
			t.Errorf("in force by %q", how)
		}
	}
	if _, _, err := b.do(Asked{Do: DoForce, Digest: doc.Digest, Name: "reload", UID: 7}, nil); err != nil {
		t.Error(err)
	}
	w.kept(t)
	if a, _, err := b.do(Asked{Do: DoPast}, nil); err != nil || len(a.Past) != 1 || !strings.Contains(a.Past[0].Name, "-reload-7-1-") {
		t.Errorf("%+v, %v", a, err)
	}
	b.resume, b.force = doc, nil // of a broker that follows: what it loads first, whatever somebody asks for before
	if _, _, err := b.do(Asked{Do: DoCompile, Digest: numbered(t, 2).Digest}, nil); err == nil {
		t.Error("compiled what is not kept")
	}
	a, files, err := b.do(Asked{Do: DoCompile}, nil)
	if err != nil || a.Same || len(files) != 1 || b.resume != nil || b.newest != doc.Digest {
		t.Errorf("%+v, %v, %v", a, files, err)
	}
	CloseAll(files)
	_, give, err := b.do(Asked{Do: DoRecall, Digest: doc.Digest}, nil)
	if err != nil || len(give) != 1 {
		t.Fatalf("%v, %v", give, err)
	}
	defer unix.Close(give[0])
	if text, err := Slurp(give[0], 1<<20); err != nil || !strings.Contains(string(text), doc.Digest) {
		t.Errorf("%q, %v", text, err)
	}
	if _, give, err := b.do(Asked{Do: DoRecall, Digest: "x"}, nil); err == nil || len(give) > 0 {
		t.Errorf("%v, %v", give, err)
	}
}
