package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// DocumentFormat is the format_version of a Document.
const DocumentFormat = 1

// MaxDocument is the size in bytes of the largest Document that is read.
const MaxDocument = 32 << 20

// Digest names a policy: "sha256:" and the hex SHA-256 of its canonical bytes.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ValidDigest tells whether s could be a Digest.
func ValidDigest(s string) bool {
	text, ok := strings.CutPrefix(s, "sha256:")
	sum, err := hex.DecodeString(text)
	return ok && err == nil && len(sum) == sha256.Size && strings.ToLower(s) == s
}

// DecodeDocument reads a Document, with the one newline that `casemate compile` ends its output
// with or without. The digest has to be that of the policy's bytes as they stand
// there, whose every field is known, and the policy sound. That the bytes are the canonical ones is for
// package canon to say, to who writes or reviews a document, and to the compiler that casemated has it from.
func DecodeDocument(b []byte) (*Document, error) {
	if len(b) > MaxDocument+1 {
		return nil, fmt.Errorf("decode document: %d bytes are more than %d", len(b), MaxDocument)
	}
	var text struct {
		FormatVersion int             `json:"format_version"`
		Digest        string          `json:"digest"`
		Policy        json.RawMessage `json:"policy"`
		Origins       Origins         `json:"origins"`
	}
	if err := Unmarshal(b, &text); err != nil {
		return nil, fmt.Errorf("decode document: %w", err)
	}
	if text.FormatVersion != DocumentFormat {
		return nil, fmt.Errorf("decode document: format_version %d is not known, expected %d", text.FormatVersion, DocumentFormat)
	}
	if want := Digest(text.Policy); text.Digest != want {
		return nil, fmt.Errorf("decode document: digest %q does not fit the policy, which has %s", text.Digest, want)
	}
	for key, at := range text.Origins {
		if strings.ContainsFunc(key+at, unicode.IsControl) {
			return nil, fmt.Errorf("decode document: origins: %q at %q has a control character", key, at)
		}
	}
	p := new(Policy)
	err := Unmarshal(text.Policy, p)
	if err == nil {
		err = p.Sound()
	}
	if err != nil {
		return nil, fmt.Errorf("decode document: policy: %w", err)
	}
	for i := range p.Profiles {
		s := &p.Profiles[i].Syscalls
		s.Rules = p.Filters[s.Filter]
	}
	return &Document{FormatVersion: text.FormatVersion, Digest: text.Digest, Policy: p, Origins: text.Origins}, nil
}

// Unmarshal reads one JSON value strictly: a field that v has not, and data after
// the value's end, are errors.
func Unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after its end")
	}
	return nil
}
