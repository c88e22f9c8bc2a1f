package key

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/policy/signed"
	"casemate/tests/need"
)

// token is hardware in software: it signs as PROTOCOL.u2f has it.
type token struct {
	private     ed25519.PrivateKey
	application string
	flags       byte
	counter     uint32
}

func newToken(seed byte) *token {
	return &token{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), "ssh:", present, 7}
}

func (k *token) blob() string {
	return text(hardware) + text(string(k.private.Public().(ed25519.PublicKey))) + text(k.application)
}

func (k *token) line() string {
	return hardware + " " + base64.StdEncoding.EncodeToString([]byte(k.blob())) + " me\n"
}

func (k *token) sign(document []byte) []byte {
	application, message := sha256.Sum256([]byte(k.application)), sha256.Sum256(signed.Message(document))
	tail := binary.BigEndian.AppendUint32([]byte{k.flags}, k.counter)
	own := ed25519.Sign(k.private, append(append(application[:], tail...), message[:]...))
	p := Public{blob: k.blob()}
	return armored(p.head() + text(text(hardware)+text(string(own))+string(tail)))
}

// TestHardware: what a key in hardware has signed is verified, and nothing else; casemated's own reader takes none of it.
func TestHardware(t *testing.T) {
	k, other, doc := newToken(1), newToken(2), []byte(document)
	good := k.sign(doc)
	for _, keys := range []string{k.line(), "me " + k.line(), "# x\n\n" + other.line() + "me namespaces=\"casemate-policy\" " + k.line()} {
		if by, err := Verify(doc, good, []byte(keys)); err != nil || by == nil || !by.Hardware() {
			t.Errorf("%q: %v", keys, err)
		}
		if err := signed.Verify(doc, good, []byte(keys)); err == nil {
			t.Error("casemated takes it")
		}
	}
	untouched, elsewhere := newToken(1), newToken(1)
	untouched.flags, elsewhere.application = 0, "ssh:other"
	for what, c := range map[string]struct {
		document  string
		signature []byte
		keys      string
	}{
		"another document":      {"x" + document, good, k.line()},
		"another key":           {document, other.sign(doc), k.line()},
		"nobody touched it":     {document, untouched.sign(doc), k.line()},
		"another application":   {document, elsewhere.sign(doc), k.line()},
		"an end":                {document, good, `me valid-before="20200101" ` + k.line()},
		"an authority":          {document, good, "cert-authority " + k.line()},
		"a key that is damaged": {document, good, hardware + " AAAA me\n"},
		"no key":                {document, good, ""},
		"no signature":          {document, nil, k.line()},
	} {
		if _, err := Verify([]byte(c.document), c.signature, []byte(c.keys)); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	for i := range good {
		spoilt := bytes.Clone(good)
		spoilt[i] ^= 1
		for _, s := range [][]byte{good[:i], spoilt} {
			if _, err := Verify(doc, s, []byte(k.line())); err == nil {
				t.Errorf("it passes with byte %d changed or cut", i)
			}
		}
	}
}

// TestKeygenTakesHardware: ssh-keygen verifies what the token of these tests signs, so the tests are about its format.
func TestKeygenTakesHardware(t *testing.T) {
	dir, keygen := made(t)
	k := newToken(1)
	write(t, dir, "hard", string(k.sign([]byte(document))))
	write(t, dir, "allowed-hard", "me "+k.line())
	if err := keygen("-Y", "verify", "-f", "allowed-hard", "-I", "me", "-n", signed.Namespace, "-s", "hard"); err != nil {
		t.Error("ssh-keygen does not verify it")
	}
}

// TestAgent: what a real agent signs is what the private key itself does; a key that it has not, and one that lies, sign nothing.
func TestAgent(t *testing.T) {
	programs := need.Programs(t, "ssh-agent", "ssh-add")
	dir, _ := made(t)
	socket := filepath.Join(t.TempDir(), "a")
	agent := exec.Command(programs[0], "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = agent.Process.Kill(), agent.Wait() })
	dial := func() net.Conn {
		for range 100 {
			if c, err := net.Dial("unix", socket); err == nil {
				t.Cleanup(func() { c.Close() })
				return c
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("no agent")
		return nil
	}
	dial()
	add := exec.Command(programs[1], "-q", filepath.Join(dir, "own"))
	add.Env = []string{"SSH_AUTH_SOCK=" + socket}
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	own, err := ParsePublic(read(t, dir, "own.pub"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := Parse([]byte(read(t, dir, "own")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Ask(dial(), own, []byte(document)); err != nil || !bytes.Equal(got, Sign(private, []byte(document))) {
		t.Errorf("%s, %v", got, err)
	}
	other, err := ParsePublic(read(t, dir, "other.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(dial(), other, []byte(document)); err == nil || !strings.Contains(err.Error(), "has not got it") {
		t.Error(err)
	}
	for name, want := range map[string]string{"rsa.pub": `is "ssh-rsa"`, "ecdsa.pub": `is "ecdsa-sha2-nistp256"`} {
		if _, err := ParsePublic(read(t, dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// said is an agent of that one answer.
type said struct {
	bytes.Reader
}

func (*said) Write(p []byte) (int, error) { return len(p), nil }

// FuzzAsk: an agent's answer is a signature by the key, or an error.
func FuzzAsk(f *testing.F) {
	k := newToken(1)
	p, err := ParsePublic(k.line())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x00\x00\x00\x01\x05"))
	f.Add([]byte("\x00\x00\x00\x05\x0e\x00\x00\x00\x00"))
	f.Add([]byte(text("\x0e" + text(text(hardware)+text(strings.Repeat("x", 64))+"\x01\x00\x00\x00\x07"))))
	f.Fuzz(func(t *testing.T, answer []byte) {
		a := &said{}
		a.Reset(answer)
		if s, err := Ask(a, p, []byte(document)); err == nil {
			t.Errorf("%q signs %s", answer, s)
		}
	})
}

// FuzzVerifyHardware: nothing but what the key has signed passes.
func FuzzVerifyHardware(f *testing.F) {
	k := newToken(1)
	good := k.sign([]byte(document))
	f.Add([]byte(document), good, []byte(k.line()))
	f.Add([]byte(document), good[:90], []byte("me "+k.line()))
	f.Fuzz(func(t *testing.T, doc, signature, keys []byte) {
		if _, err := Verify(doc, signature, []byte(k.line())); err == nil && (string(doc) != document || normal(signature) != normal(good)) {
			t.Errorf("%q passes with %q", doc, signature)
		}
		_, _ = Verify(doc, signature, keys)
	})
}
