package escape

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// exchange swaps what two names lead to.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// flip exchanges two names over and over, until settle is called, which leaves
// them as they were.
func flip(t *testing.T, a, b string) (settle func()) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var swapped bool
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if exchange(a, b) == nil {
					swapped = !swapped
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	settle = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
		if swapped {
			_ = exchange(a, b)
		}
	})
	t.Cleanup(settle)
	return settle
}

// refused starts a broker on the policy, which must not serve, and say why.
func refused(t *testing.T, what, text, why string) {
	t.Helper()
	whole := strings.Replace(policyHead, "{ edition = 1 }", "{\n  edition = 1\n  on_broken = \"refuse\"\n}", 1)
	b, err := rig.Start(rig.Options{Bin: rig.Root(t), Files: map[string]string{"test.cm.hcl": whole + text}})
	if err == nil {
		b.Stop()
		t.Errorf("%s: served", what)
	} else if !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want %q", what, err, why)
	}
}

// unloaded loads the policy again, which must fail, and say why.
func unloaded(t *testing.T, b *rig.Broker, why string) {
	t.Helper()
	a, err := b.Request(control.Request{Verb: control.VerbReload})
	if err != nil || a.OK || !strings.Contains(a.Error, why) {
		t.Errorf("reload: %+v (%v), want %q", a, err, why)
	}
}

// raced loads the policy again and again while the two names are exchanged all the
// time, and looks after each load, which may fail for one of the reasons alone.
// Then it loads once more with the names as they were, and leaves them exchanged.
func raced(t *testing.T, b *rig.Broker, name, evil string, look func(when string), reasons ...string) {
	t.Helper()
	settle := flip(t, name, evil)
	var loaded, failed int
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		switch {
		case err != nil:
			t.Fatal(err)
		case a.OK:
			loaded++
		case slices.ContainsFunc(reasons, func(why string) bool { return strings.Contains(a.Error, why) }):
			failed++
		default:
			t.Errorf("reload: %s", a.Error)
		}
		look(fmt.Sprintf("after %d loads and %d that failed", loaded, failed))
	}
	t.Logf("loaded %d times, failed %d times", loaded, failed)
	settle()
	reloaded(t, b)
	try(t, exchange(name, evil))
}

// TestPlantedLink: a service that may write a folder renames what is in it and
// plants a link, so that the next load shows it what the link leads to. Nothing
// is resolved through a folder that a service may write, in this profile or
// another's, by its own name or by a link of root's (attempt 14).
func TestPlantedLink(t *testing.T) {
	rig.Root(t)
	victim, port, dir := compileVictim(t), rig.Port(t), rig.PublicDir(t)
	try(t, os.MkdirAll(dir+"/w/sub/cfg", 0o755))
	try(t, os.Symlink("w", dir+"/alias"))
	files := func(write, read string) string {
		text := "  base = profile.files\n  widens = [\"files\"]\n  files {\n"
		if write != "" {
			text += fmt.Sprintf("    write = [%q]\n", write)
		}
		if read != "" {
			text += fmt.Sprintf("    read = [%q]\n", read)
		}
		return text + "  }"
	}
	one := func(write, read string) string { return serviceText("victim", port, victim, files(write, read)) }
	two := func(write, read string) string {
		return one("", read) + serviceText("writer", rig.Port(t), victim, files(write, ""))
	}
	const word, host = "which a service may write, and so put something else there", "which a service of the policy may write"
	refused(t, "below its own folder", one(dir+"/w", dir+"/w/sub/cfg"), word)
	refused(t, "below another's folder", two(dir+"/w", dir+"/w/sub/cfg"), word)
	refused(t, "below its own folder, by a link", one(dir+"/w", dir+"/alias/sub/cfg"), host)
	refused(t, "below another's folder, by a link", two(dir+"/w", dir+"/alias/sub/cfg"), host)
	refused(t, "below another's folder, which is the link", two(dir+"/alias", dir+"/w/sub/cfg"), host)

	// The control: what is refused is the way, not the folders.
	b := rig.Serve(t, policyHead+two(dir+"/w", dir+"/w"))
	if o := inside(t, port, "open-read "+dir+"/w/sub/cfg"); o.result != "ok" {
		t.Errorf("the folder as a whole: %s", o)
	}
	reloaded(t, b)
}

// TestPlantedLinkRaced: who owns a folder on the way to what a service reads
// swaps it for a link to a secret, while the policy is loaded again and again.
// Loads fail when they meet the link; none follows it (attempt 14).
func TestPlantedLinkRaced(t *testing.T) {
	rig.Root(t)
	victim, port, dir := compileVictim(t), rig.Port(t), rig.PublicDir(t)
	own, evil, secret := dir+"/bob/sub", dir+"/bob/evil", dir+"/secret"
	try(t, errors.Join(os.MkdirAll(own+"/cfg", 0o755), os.MkdirAll(secret+"/cfg", 0o755), os.Symlink(secret, evil),
		os.WriteFile(own+"/cfg/own", []byte("x"), 0o644), os.WriteFile(secret+"/cfg/secret", []byte("x"), 0o644), os.Chmod(secret, 0o700)))
	for _, p := range []string{dir + "/bob", own, own + "/cfg", evil} {
		try(t, os.Lchown(p, nobody, nobody))
	}
	// The controls: the link leads to the secret, and nobody cannot go there alone.
	if _, err := os.Stat(evil + "/cfg/secret"); err != nil {
		t.Fatal(err)
	}
	if o := outside(t, victim, "open-read "+evil+"/cfg/secret", asNobody); o.result != "EACCES" {
		t.Fatalf("nobody outside: %s", o)
	}
	b := rig.Serve(t, policyHead+serviceText("victim", port, victim,
		fmt.Sprintf("  base = profile.files\n  widens = [\"files\"]\n  files {\n    read = [%q]\n  }", own+"/cfg")))
	raced(t, b, own, evil, func(when string) {
		if o := inside(t, port, "open-read "+own+"/cfg/secret"); o.result != "ENOENT" {
			t.Fatalf("the secret %s: %s", when, o)
		}
		if o := inside(t, port, "open-read "+own+"/cfg/own"); o.result != "ok" {
			t.Fatalf("its own file: %s", o)
		}
	}, "is a link of uid 65534, who chooses where it leads", "no such file")
	unloaded(t, b, own+" is a link of uid 65534, who chooses where it leads")
	if o := inside(t, port, "open-read "+own+"/cfg/secret"); o.result != "ENOENT" {
		t.Errorf("the secret with the link in place: %s", o)
	}
}

// TestSwappedScript: a script is swapped while the policy is loaded again and
// again. What runs is always a script that was verified: root's (attempt 15).
func TestSwappedScript(t *testing.T) {
	rig.Root(t)
	port, dir := rig.Port(t), rig.PublicDir(t)
	name, evil := dir+"/prog", dir+"/evil"
	try(t, errors.Join(os.WriteFile(name, []byte("#!/bin/sh\necho good\n"), 0o755), os.WriteFile(evil, []byte("#!/bin/sh\necho evil\n"), 0o755),
		os.Chown(evil, nobody, nobody)))
	text := serviceText("victim", port, name, "  base = profile.server")
	// In a folder of somebody else's it is refused at once, however good it looks.
	try(t, os.Chown(dir, nobody, nobody))
	refused(t, "in nobody's folder", text, "belongs to uid 65534, who could put something else in place of prog (of uid 0)")
	try(t, os.Chown(dir, 0, 0))

	says := func() string {
		t.Helper()
		answer, err := rig.Exchange(port, "")
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	b := rig.Serve(t, policyHead+text)
	if got := says(); got != "good\n" {
		t.Fatalf("before: %q", got)
	}
	raced(t, b, name, evil, func(when string) {
		if got := says(); got != "good\n" {
			t.Fatalf("%s: %q", when, got)
		}
	}, "belongs to uid 65534, who may change it")
	unloaded(t, b, name+" belongs to uid 65534, who may change it: run chown root "+name+" ("+b.Policy+"/")
	if got := says(); got != "good\n" {
		t.Errorf("with the other script in place: %q", got)
	}
}

// TestForeignPolicy: a policy file that a user owns is that user's way to be
// root. It is read neither at the start nor by a reload.
func TestForeignPolicy(t *testing.T) {
	rig.Root(t)
	victim, port := compileVictim(t), rig.Port(t)
	b := rig.Serve(t, policyHead+serviceText("victim", port, victim, "  base = profile.line"))
	file := b.Policy + "/test.cm.hcl"
	reload := func(when, why string) {
		t.Helper()
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		if err != nil || a.OK != (why == "") || !strings.Contains(a.Error, why) {
			t.Errorf("%s: %+v (%v), want %q", when, a, err, why)
		}
		if o := inside(t, port, "identity"); o.result != "ok" {
			t.Errorf("%s: %s", when, o)
		}
	}
	reload("root's", "")
	try(t, os.Chown(file, nobody, nobody))
	reload("nobody's file", "belongs to uid 65534, who may change it: run chown root "+file)
	try(t, os.Chown(file, 0, 0))
	try(t, os.Chown(b.Policy, nobody, nobody))
	reload("nobody's folder", "belongs to uid 65534")
	try(t, os.Chown(b.Policy, 0, 0))
	reload("root's again", "")
}
