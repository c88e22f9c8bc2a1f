package granted

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// DocumentFormat is the format_version of a compiled document.
	DocumentFormat = 2
	// MaxDocument is the size in bytes of the largest that is read.
	MaxDocument = 32 << 20
)

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

// Document is a compiled document as root has it.
type Document struct {
	Digest string
	Text   []byte // the whole, as it came
	Policy *Policy
}

// head begins the bytes of a policy: what is granted comes first.
const head = `{"granted":`

// Frame is the text of a document.
func Frame(digest string, policy, origins []byte) []byte {
	out := fmt.Appendf(make([]byte, 0, len(policy)+len(origins)+256), `{"format_version":%d,"digest":%q,"policy":`, DocumentFormat, digest)
	return append(append(append(append(out, policy...), between...), origins...), '}')
}

// between stands behind the policy. No string has it in it, whose quotes are escaped.
const between = `,"origins":`

// Decode takes a document apart as far as root acts on it. The digest has to be that of the policy's bytes as they stand
// there, which shows where these end, and what is granted sound and spelt as Encode spells it: a field that is not known or there
// twice, or in other letters, is an error. The rest is not read: package canon does that, in processes without rights.
func Decode(text []byte) (*Document, error) {
	var format int
	var digest string
	_, err := fmt.Sscanf(string(text[:min(len(text), 128)]), `{"format_version":%d,"digest":%q,`, &format, &digest)
	frame, end := bytes.TrimSuffix(Frame(digest, nil, nil), []byte(between+"}")), bytes.LastIndex(text, []byte(between))
	switch {
	case len(text) > MaxDocument:
		return nil, fmt.Errorf("decode document: %d bytes are more than %d", len(text), MaxDocument)
	case err == nil && format != DocumentFormat:
		return nil, fmt.Errorf("decode document: format_version %d is not known, expected %d: compile it again from its sources", format, DocumentFormat)
	case err != nil || end < len(frame) || !bytes.HasPrefix(text, frame) || text[len(text)-1] != '}':
		return nil, errors.New("decode document: not the canonical bytes")
	}
	policy := text[len(frame):end]
	if want := Digest(policy); digest != want {
		return nil, fmt.Errorf("decode document: digest %q does not fit the policy, which has %s", digest, want)
	}
	p, err := first(policy)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("decode document: policy: %w", err)
	}
	for i := range p.Profiles {
		s := &p.Profiles[i].Syscalls
		s.Rules = p.Filters[s.Filter]
	}
	return &Document{Digest: digest, Text: text, Policy: p}, nil
}

// first reads what is granted, the first value of a policy.
func first(policy []byte) (*Policy, error) {
	rest, ok := bytes.CutPrefix(policy, []byte(head))
	if !ok {
		return nil, errors.New("it does not begin with what is granted to root")
	}
	p := new(Policy)
	d := json.NewDecoder(bytes.NewReader(rest))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, err
	}
	again, err := Encode(p)
	if err == nil && !bytes.HasPrefix(rest, again) {
		err = errors.New("granted: not the canonical bytes")
	}
	return p, err
}

// Encode returns the JSON of v as all of a document has it: without HTML escapes, and without a newline.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
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
