package key

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"casemate/policy/signed"
)

// The kinds of keys: one in a file or an agent, and one in hardware (PROTOCOL.u2f), which casemated --trust does not take.
const (
	plain    = "ssh-ed25519"
	hardware = "sk-ssh-ed25519@openssh.com"
)

// Public is a public key of one of the two kinds.
type Public struct {
	blob        string // as SSH writes it
	key         ed25519.PublicKey
	application string // of hardware's, as "ssh:"
	sk          bool
}

// Hardware tells whether the private key is in hardware.
func (p *Public) Hardware() bool { return p.sk }

// IsPublic tells whether a text begins as a file of a public key.
func IsPublic(text []byte) bool {
	kind, _, ok := bytes.Cut(text, []byte(" "))
	return ok && (bytes.HasPrefix(kind, []byte("ssh-")) || bytes.HasPrefix(kind, []byte("sk-ssh-")) || bytes.HasPrefix(kind, []byte("ecdsa-")))
}

// ParsePublic reads the one line of a public key: its kind, the key in base64 and a comment.
func ParsePublic(line string) (*Public, error) {
	f := strings.Fields(line)
	if len(f) < 2 || strings.ContainsAny(strings.TrimSpace(line), "\n\x00") {
		return nil, errors.New("not a public key of OpenSSH: one line as ssh-keygen writes it")
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil {
		return nil, errors.New("the public key is damaged")
	}
	r := reader{b: blob}
	p := &Public{blob: string(blob), sk: f[0] == hardware}
	kind := r.text()
	if p.key = ed25519.PublicKey(r.text()); p.sk {
		p.application = r.text()
	}
	switch {
	case kind != f[0] || kind != plain && kind != hardware:
		return nil, fmt.Errorf("the key is %q: casemate takes %s, and where casemated need not admit it %s", f[0], plain, hardware)
	case r.bad || len(r.b) > 0 || len(p.key) != ed25519.PublicKeySize:
		return nil, errors.New("the public key is damaged")
	}
	return p, nil
}

// present is the flag that somebody has touched the hardware.
const present = 1

// verify holds a signature, as SSH writes one, to the key.
func (p *Public) verify(message []byte, signature string) error {
	r := reader{b: []byte(signature)}
	kind, own := r.text(), r.text()
	if p.sk {
		if len(r.b) != 5 { // flags and the counter
			r.bad = true
		} else if r.b[0]&present == 0 {
			return errors.New("nobody has touched the key's hardware for it")
		}
		application, hash := sha256.Sum256([]byte(p.application)), sha256.Sum256(message)
		message = append(append(application[:], r.b...), hash[:]...)
		r.b = nil
	}
	if want := map[bool]string{false: plain, true: hardware}[p.sk]; r.bad || len(r.b) > 0 || kind != want || len(own) != ed25519.SignatureSize || !ed25519.Verify(p.key, message, []byte(own)) {
		return errors.New("not of this document, or damaged")
	}
	return nil
}

// text is s as SSH writes texts.
func text(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// head is what a signature has in front of its own.
func (p *Public) head() string {
	return "SSHSIG\x00\x00\x00\x01" + text(p.blob) + text(signed.Namespace) + text("") + text("sha512")
}

// Verify is signed.Verify, which casemated --trust asks, for keys in hardware as well: by is such a key, nil for one of the plain ones. Who has
// one is asked to have touched it, which ssh-keygen asks of nobody.
func Verify(document, signature, keys []byte) (by *Public, err error) {
	var plains []string
	var list []*Public
	for i, line := range strings.Split(string(keys), "\n") {
		f := strings.Fields(strings.ReplaceAll(line, ` namespaces="`+signed.Namespace+`" `, " "))
		at := 0
		if len(f) > 1 && f[0] != hardware { // whose it is
			at = 1
		}
		if len(f) < 2 || f[at] != hardware || at == 1 && (strings.ContainsAny(f[0], `="`) || f[0] == "cert-authority") {
			plains = append(plains, line)
			continue
		}
		p, err := ParsePublic(strings.Join(f[at:], " "))
		if err != nil {
			return nil, fmt.Errorf("trusted keys, line %d: %w", i+1, err)
		}
		list, plains = append(list, p), append(plains, "") // its number stays
	}
	begun, begins := strings.CutPrefix(string(signature), signed.Begin)
	begun, ends := strings.CutSuffix(begun, signed.End)
	blob, err := base64.StdEncoding.Strict().DecodeString(begun)
	for _, p := range list {
		own, ok := strings.CutPrefix(string(blob), p.head())
		if !begins || !ends || err != nil || !ok {
			continue
		}
		r := reader{b: []byte(own)}
		if own = r.text(); r.bad || len(r.b) > 0 {
			return nil, errors.New("not an SSH signature")
		}
		return p, p.verify(signed.Message(document), own)
	}
	return nil, signed.Verify(document, signature, []byte(strings.Join(plains, "\n")))
}
