// Package key signs documents with private keys as ssh-keygen -t ed25519 writes them, or by an agent, and verifies what keys in
// hardware have signed. casemated, which takes plain keys alone, needs no more than package signed.
package key

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"casemate/policy/signed"
)

// magic begins a private key (PROTOCOL.key in OpenSSH's source).
const magic = "openssh-key-v1\x00"

// Parse reads an unencrypted ed25519 private key in OpenSSH's format.
func Parse(text []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "OPENSSH PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("not a private key of OpenSSH: make one with ssh-keygen -t ed25519")
	}
	body, ok := bytes.CutPrefix(block.Bytes, []byte(magic))
	r := reader{b: body, bad: !ok}
	cipher := r.text()
	r.text() // the key derivation's name and
	r.text() // its options
	count, public, secret := r.number(), r.text(), reader{b: []byte(r.text())}
	switch {
	case r.bad || len(r.b) > 0 || count != 1:
		return nil, errors.New("the private key is damaged")
	case kind(public) != "ssh-ed25519":
		return nil, fmt.Errorf("the key is %q: casemate signs with ssh-ed25519 alone; make one with ssh-keygen -t ed25519", kind(public))
	case cipher != "none":
		return nil, fmt.Errorf("the key has a passphrase: sign with ssh-keygen -Y sign -n %s -f KEY policy.json, or an agent behind it", signed.Namespace)
	}
	first, second := secret.number(), secret.number()
	secret.text() // its kind once more
	pub, private := secret.text(), secret.text()
	secret.text() // a comment
	if secret.bad || first != second || len(private) != ed25519.PrivateKeySize || !padding(secret.b) {
		return nil, errors.New("the private key is damaged")
	}
	key := ed25519.NewKeyFromSeed([]byte(private[:ed25519.SeedSize]))
	if own := string(key[ed25519.SeedSize:]); string(key) != private || own != pub || !strings.HasSuffix(public, own) {
		return nil, errors.New("the private key does not fit its public key")
	}
	return key, nil
}

// padding tells whether b is 1, 2, 3 and so on, of less than a block.
func padding(b []byte) bool {
	for i := range b {
		if b[i] != byte(i+1) {
			return false
		}
	}
	return len(b) < 8
}

// kind is the first word of a public key.
func kind(public string) string {
	r := reader{b: []byte(public)}
	return r.text()
}

// reader takes numbers and texts from the front of b. bad is set once there is none.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint32 {
	if len(r.b) < 4 {
		r.bad, r.b = true, nil
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if uint64(n) > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// lineLength is that of ssh-keygen's signatures.
const lineLength = 70

// Sign is the file of a signature of document, byte by byte that of ssh-keygen -Y sign.
func Sign(key ed25519.PrivateKey, document []byte) []byte {
	public := ed25519.PublicKey(key[ed25519.SeedSize:])
	return armored(signed.Head(public) + string(ed25519.Sign(key, signed.Message(document))))
}
