package key

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy/signed"
	"casemate/tests/need"
)

// made is a directory with keys of the kinds that ssh-keygen makes without hardware, and a document.
func made(t *testing.T) (dir string, keygen func(args ...string) error) {
	t.Helper()
	program := need.Programs(t, "ssh-keygen")[0]
	dir = t.TempDir()
	keygen = func(args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(document)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Logf("ssh-keygen %q: %v: %s", args, err, out)
		}
		return err
	}
	for name, args := range map[string][]string{"own": {"-t", "ed25519"}, "other": {"-t", "ed25519"}, "rsa": {"-t", "rsa", "-b", "2048"}, "ecdsa": {"-t", "ecdsa"}} {
		if err := keygen(append(args, "-q", "-N", "", "-C", "me", "-f", name)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := keygen("-q", "-t", "ed25519", "-N", "secret", "-Z", "aes256-ctr", "-f", "locked"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "p.json", document)
	write(t, dir, "allowed", "# who may\n\nme namespaces=\"casemate-policy\" "+read(t, dir, "own.pub"))
	return dir, keygen
}

const document = "{\"format_version\":1}\n"

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSSHKeygen: what this package signs ssh-keygen verifies, and the other way around, byte by byte the same.
func TestSSHKeygen(t *testing.T) {
	dir, keygen := made(t)
	private, err := Parse([]byte(read(t, dir, "own")))
	if err != nil {
		t.Fatal(err)
	}
	ours := string(Sign(private, []byte(document)))
	write(t, dir, "ours", ours)
	if err := keygen("-Y", "verify", "-f", "allowed", "-I", "me", "-n", signed.Namespace, "-s", "ours"); err != nil {
		t.Error("ssh-keygen does not verify what is signed here")
	}
	if err := keygen("-Y", "sign", "-n", signed.Namespace, "-f", "own", "p.json"); err != nil {
		t.Fatal("ssh-keygen does not sign")
	}
	theirs := read(t, dir, "p.json.sig")
	if theirs != ours {
		t.Errorf("signatures differ:\n%s%s", theirs, ours)
	}
	for _, keys := range []string{"allowed", "own.pub"} {
		if err := signed.Verify([]byte(document), []byte(theirs), []byte(read(t, dir, "other.pub")+read(t, dir, keys))); err != nil {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// TestRefused: what ssh-keygen signs otherwise, and what is changed, truncated or not by a trusted key.
func TestRefused(t *testing.T) {
	dir, keygen := made(t)
	sign := func(key, namespace string, more ...string) string {
		t.Helper()
		os.Remove(filepath.Join(dir, "p.json.sig"))
		if err := keygen(append([]string{"-Y", "sign", "-n", namespace, "-f", key}, append(more, "p.json")...)...); err != nil {
			t.Fatal("ssh-keygen does not sign")
		}
		return read(t, dir, "p.json.sig")
	}
	good, own := sign("own", signed.Namespace), read(t, dir, "own.pub")
	if err := signed.Verify([]byte(document), []byte(good), []byte(own)); err != nil {
		t.Fatalf("the signature itself: %v", err)
	}
	const none = "not signed by a trusted ed25519 key"
	for _, c := range []struct{ what, document, signature, keys, want string }{
		{"another namespace", document, sign("own", "file"), own, none},
		{"another hash", document, sign("own", signed.Namespace, "-O", "hashalg=sha256"), own, none},
		{"another key", document, sign("other", signed.Namespace), own, none},
		{"an rsa key", document, sign("rsa", signed.Namespace), own, none},
		{"an ecdsa key", document, sign("ecdsa", signed.Namespace), own, none},
		{"no key", document, good, "# none\n", none},
		{"another document", "x" + document, good, own, "not of this document"},
		{"no newline at the end", strings.TrimSuffix(document, "\n"), good, own, "not of this document"},
		{"no signature", document, "", own, "not an SSH signature"},
		{"something before it", document, "x\n" + good, own, "not an SSH signature"},
		{"something behind it", document, good + "x", own, "not an SSH signature"},
		{"a trusted rsa key", document, good, read(t, dir, "rsa.pub") + own, "line 1: write ssh-ed25519 KEY"},
		{"a trusted key on hardware", document, good, own + "sk-ssh-ed25519@openssh.com AAAA me\n", "line 2: write ssh-ed25519 KEY"},
		{"a key with an end", document, good, `me valid-before="20200101" ` + own, "no options"},
		{"a key for another namespace", document, good, `me namespaces="file" ` + own, "no options"},
		{"a key with an end, of nobody", document, good, `expiry-time="20200101" ` + own, "no options"},
		{"an authority, of nobody", document, good, "cert-authority " + own, "no options"},
		{"an authority", document, good, "me cert-authority " + own, "no options"},
		{"a key that is cut", document, good, own[:40], "line 1"},
		{"half a line", document, good, "ssh-ed25519", "line 1"},
		{"a name alone", document, good, "me", "line 1"},
	} {
		if err := signed.Verify([]byte(c.document), []byte(c.signature), []byte(c.keys)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	for i := range good { // truncated anywhere, and changed anywhere
		if err := signed.Verify([]byte(document), []byte(good[:i]), []byte(own)); err == nil {
			t.Errorf("the first %d bytes of it pass", i)
		}
		spoilt := []byte(good)
		spoilt[i] ^= 1
		if err := signed.Verify([]byte(document), spoilt, []byte(own)); err == nil {
			t.Errorf("it passes with byte %d changed", i)
		}
	}
	for name, want := range map[string]string{"rsa": `is "ssh-rsa"`, "ecdsa": `is "ecdsa-sha2-nistp256"`, "locked": "has a passphrase", "own.pub": "not a private key"} {
		if _, err := Parse([]byte(read(t, dir, name))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("key %s: %v, want %q", name, err, want)
		}
	}
}

// FuzzParse: no bytes make it panic, and a key that is read signs what verifies.
func FuzzParse(f *testing.F) {
	f.Add([]byte(testKey))
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA/////w==\n-----END OPENSSH PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := Parse(text)
		if err != nil {
			return
		}
		if got := Sign(k, text); !bytes.HasPrefix(got, []byte(signed.Begin)) {
			t.Errorf("signature %q", got)
		}
	})
}

// testKey is a key of nobody's, made for the test.
const testKey = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACBJjZ/HZcGzU6EmDdl4Zbs69YJgNxKD6q46OdlspHUYTAAAAIiAT/m9gE/5
vQAAAAtzc2gtZWQyNTUxOQAAACBJjZ/HZcGzU6EmDdl4Zbs69YJgNxKD6q46OdlspHUYTA
AAAED9uQbXDY0E/W4iZ0z4BIyYkMej9hE04mnrddJIrVpItUmNn8dlwbNToSYN2Xhluzr1
gmA3EoPqrjo52WykdRhMAAAAAm1lAQID
-----END OPENSSH PRIVATE KEY-----
`

// FuzzVerify: nothing but what the key has signed passes.
func FuzzVerify(f *testing.F) {
	k, err := Parse([]byte(testKey))
	if err != nil {
		f.Fatal(err)
	}
	const own = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEmNn8dlwbNToSYN2Xhluzr1gmA3EoPqrjo52WykdRhM me"
	good := Sign(k, []byte(document))
	f.Add([]byte(document), good, []byte(own))
	f.Add([]byte(document), good[:60], []byte("me namespaces=\"casemate-policy\" "+own))
	f.Add([]byte{}, []byte(signed.Begin+signed.End), []byte("ssh-ed25519 \nme"))
	f.Fuzz(func(t *testing.T, doc, signature, keys []byte) {
		if err := signed.Verify(doc, signature, []byte(own)); err == nil && (string(doc) != document || normal(signature) != normal(good)) {
			t.Errorf("%q passes with %q", doc, signature)
		}
		_ = signed.Verify(doc, signature, keys)
	})
}

// normal is a signature without the ends of lines, which base64 overlooks.
func normal(b []byte) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(string(b))
}
