// Package signed holds compiled documents to signatures in OpenSSH's format (PROTOCOL.sshsig), as
// ssh-keygen -Y sign and casemate compile --sign make them. All but the last bytes of one follows from
// its key, so nothing of the format is read: it is written for each key, and compared.
package signed

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// What signatures are for, what the name of their file has behind the document's, and the lines around one.
const (
	Namespace = "casemate-policy"
	Suffix    = ".sig"
	Begin     = "-----BEGIN SSH SIGNATURE-----\n"
	End       = "\n-----END SSH SIGNATURE-----\n"
)

// kind begins an ed25519 key and a signature of one.
const kind = "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00"

// Head is what a signature has in front of its own ed25519.SignatureSize bytes.
func Head(key ed25519.PublicKey) string {
	return "SSHSIG\x00\x00\x00\x01" + texts(kind+"\x20"+string(key), Namespace, "", "sha512") + "\x00\x00\x00\x53" + kind + "\x40"
}

// Message is what is signed of a document's bytes as they stand in its file.
func Message(document []byte) []byte {
	sum := sha512.Sum512(document)
	return []byte("SSHSIG" + texts(Namespace, "", "sha512", string(sum[:])))
}

func texts(list ...string) string {
	var out []byte
	for _, s := range list {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(s))), s...)
	}
	return string(out)
}

// Verify returns nil for a signature of document by one of the keys: lines of public keys or of allowed signers
// (ssh-keygen(1)). One that is restricted otherwise than to Namespace, or not ed25519's, is an error.
func Verify(document, signature, keys []byte) error {
	text, begins := strings.CutPrefix(string(signature), Begin)
	text, ends := strings.CutSuffix(text, End)
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if !begins || !ends || err != nil {
		return errors.New("not an SSH signature")
	}
	err = errors.New("not signed by a trusted ed25519 key for " + Namespace)
	for i, line := range strings.Split(strings.ReplaceAll(string(keys), ` namespaces="`+Namespace+`" `, " "), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		} else if f[0] != "ssh-ed25519" && !strings.ContainsAny(f[0], `="`) && f[0] != "cert-authority" { // whose key it is
			f = f[1:]
		}
		key, _ := base64.StdEncoding.DecodeString(append(f, "", "")[1]) // what is wrong with it is too short
		public, ok := strings.CutPrefix(string(key), kind+"\x20")
		if !ok || f[0] != "ssh-ed25519" || len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("trusted keys, line %d: write ssh-ed25519 KEY, with whose it is in front or not, and no options", i+1)
		}
		own, ok := strings.CutPrefix(string(blob), Head(ed25519.PublicKey(public)))
		if ok && len(own) == ed25519.SignatureSize {
			if err = nil; !ed25519.Verify(ed25519.PublicKey(public), Message(document), []byte(own)) {
				return errors.New("not of this document, or damaged")
			}
		}
	}
	return err
}
