package root

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestTrust: with --trust casemated begins with, and reloads, a document that a trusted key has signed and no
// other, and keeps the one it has where one is refused. casemate and ssh-keygen both sign.
func TestTrust(t *testing.T) {
	bin := rig.Root(t)
	keygen := need.Programs(t, "ssh-keygen")[0]
	dir, port := t.TempDir(), rig.Port(t)
	for _, key := range []string{"own", "other"} {
		must(t, keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	// signed is a policy whose service answers with a word, and its signature.
	signed := func(word, key string) (string, string) {
		t.Helper()
		source, to := filepath.Join(dir, "p.cm.hcl"), filepath.Join(dir, word+".json")
		if err := os.WriteFile(source, []byte(head+service("says", "tcp://127.0.0.1:"+port, []string{"/bin/echo", word}, "profile = profile.line")), 0o644); err != nil {
			t.Fatal(err)
		}
		must(t, filepath.Join(bin, "casemate"), "compile", "--sign", filepath.Join(dir, key), "--write", to, source)
		return slurp(t, to), slurp(t, to+".sig")
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte("# who may\n"+slurp(t, filepath.Join(dir, "own.pub"))), 0o644); err != nil {
		t.Fatal(err)
	}
	one, oneSig := signed("one", "own")
	two, twoSig := signed("two", "own")
	_, otherSig := signed("two", "other")
	for what, files := range map[string]map[string]string{
		"sources":                  {"test.cm.hcl": head + service("says", "tcp://127.0.0.1:"+port, []string{"/bin/echo", "x"})},
		"make it, or name another": {"test.json": one},
		"not of this document":     {"test.json": one, "test.json.sig": twoSig},
		"not signed by a trusted":  {"test.json": two, "test.json.sig": otherSig},
		"test.json.sig (casemate compile --sign makes it): not an SSH sig": {"test.json": two, "test.json.sig": "x"},
	} {
		b, err := rig.Start(rig.Options{Bin: bin, Files: files, Args: []string{"--trust", keys}})
		if err == nil {
			b.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("start: %v, want %q", err, what)
		}
	}
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.json": one, "test.json.sig": oneSig}, Args: []string{"--trust", keys}})
	step := func(document, signature, refusal, answer string) {
		t.Helper()
		for name, text := range map[string]string{"test.json": document, "test.json.sig": signature} {
			if err := b.WritePolicy(name, text); err != nil {
				t.Fatal(err)
			}
		}
		reload(t, b, refusal)
		if got, err := rig.Exchange(port, ""); err != nil || got != answer+"\n" {
			t.Errorf("it answers %q, %v, want %q", got, err, answer)
		}
	}
	step(one, oneSig, "", "one")
	step(two, oneSig, "not of this document", "one")
	step(two, otherSig, "not signed by a trusted", "one")
	step(one, "", "not an SSH signature", "one") // what runs already, too
	step(two, twoSig, "", "two")
	// What ssh-keygen signs, and a key that is trusted no longer.
	if err := os.Remove(filepath.Join(b.Policy, "test.json.sig")); err != nil {
		t.Fatal(err)
	}
	must(t, keygen, "-Y", "sign", "-n", "casemate-policy", "-f", filepath.Join(dir, "own"), filepath.Join(b.Policy, "test.json"))
	reload(t, b, "")
	if err := os.WriteFile(keys, []byte(slurp(t, filepath.Join(dir, "other.pub"))), 0o644); err != nil {
		t.Fatal(err)
	}
	step(two, twoSig, "not signed by a trusted", "two")
	step(two, otherSig, "", "two")

	// Back to what ran: a signature that is trusted now has to stand beside the kept document, which casemated keeps none for.
	kept, err := filepath.Glob(filepath.Join(b.Dir, "*.history", "*.json"))
	if err != nil || len(kept) != 2 {
		t.Fatalf("%q, %v", kept, err)
	}
	back := func(want int, says, answer string) {
		t.Helper()
		if code, out, errs := casemate(t, b, "rollback", "1"); code != want || !strings.Contains(out+errs, says) {
			t.Errorf("rollback: %d, %s%s, want %d and %q", code, out, errs, want, says)
		}
		if got, err := rig.Exchange(port, ""); err != nil || got != answer+"\n" {
			t.Errorf("it answers %q, %v, want %q", got, err, answer)
		}
	}
	back(1, filepath.Base(kept[0])+".sig (casemate compile --sign makes it): read policy: ", "two")
	write(t, kept[0]+".sig", oneSig, 0o600)
	back(1, "not signed by a trusted", "two")
	must(t, filepath.Join(bin, "casemate"), "compile", "--sign", filepath.Join(dir, "other"), "--write", filepath.Join(dir, "again.json"), kept[0])
	write(t, kept[0]+".sig", slurp(t, filepath.Join(dir, "again.json.sig")), 0o600)
	back(0, "rolled back", "one")
	back(0, "in force already", "one")
}

func slurp(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
