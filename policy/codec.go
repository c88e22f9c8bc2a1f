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

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/sandbox"
)

// DocumentFormat is the format_version of a Document.
const DocumentFormat = 1

// MaxDocument is the size in bytes of the largest Document that is read.
const MaxDocument = 32 << 20

// Encode returns the canonical JSON of p: fields in the order of the types,
// map keys sorted, no white space, no HTML escapes, absent lists as []. p must
// be sound; what is not is not read back.
func Encode(p *Policy) ([]byte, error) {
	if err := p.sound(); err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return marshal(p.normal())
}

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

// EncodeDocument returns the canonical JSON of doc. The digest must be that of
// the policy inside.
func EncodeDocument(doc *Document) ([]byte, error) {
	b, err := Encode(doc.Policy)
	if err != nil {
		return nil, err
	}
	if err := doc.check(b); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	origins := doc.Origins
	if origins == nil {
		origins = Origins{}
	}
	at, err := marshal(origins)
	if err != nil {
		return nil, err
	}
	// By hand: the policy is canonical already, and large.
	out := fmt.Appendf(make([]byte, 0, len(b)+len(at)+256), `{"format_version":%d,"digest":%q,"policy":`, doc.FormatVersion, doc.Digest)
	return append(append(append(append(out, b...), `,"origins":`...), at...), '}'), nil
}

// DecodeDocument reads what EncodeDocument or `casemate compile` wrote (which
// ends its output with one newline). It accepts exactly the bytes that
// EncodeDocument makes of a document: unknown or repeated fields, another order or
// spacing, and trailing data are errors, and so is a policy that is not sound.
func DecodeDocument(b []byte) (*Document, error) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("decode document: %d bytes are more than %d", len(b), MaxDocument)
	}
	doc := new(Document)
	if err := Unmarshal(b, doc); err != nil {
		return nil, fmt.Errorf("decode document: %w", err)
	}
	if doc.Policy == nil {
		return nil, errors.New("decode document: it holds no policy")
	}
	again, err := EncodeDocument(doc)
	if err != nil {
		return nil, fmt.Errorf("decode document: %w", err)
	}
	if !bytes.Equal(again, b) {
		return nil, errors.New("decode document: not the canonical bytes")
	}
	for i := range doc.Policy.Profiles {
		s := &doc.Policy.Profiles[i].Syscalls
		s.Rules = doc.Policy.Filters[s.Filter]
	}
	return doc, nil
}

// check compares the document's head with the policy's canonical bytes.
func (doc *Document) check(canonical []byte) error {
	if doc.FormatVersion != DocumentFormat {
		return fmt.Errorf("format_version %d is not known, expected %d", doc.FormatVersion, DocumentFormat)
	}
	if want := Digest(canonical); doc.Digest != want {
		return fmt.Errorf("digest %q does not fit the policy, which has %s", doc.Digest, want)
	}
	for key, at := range doc.Origins {
		if strings.ContainsFunc(key+at, unicode.IsControl) {
			return fmt.Errorf("origins: %q at %q has a control character", key, at)
		}
	}
	return nil
}

func marshal(v any) ([]byte, error) {
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

// normal returns p with absent lists as empty ones where the JSON shows them.
// It copies what it changes.
func (p *Policy) normal() *Policy {
	q := *p
	q.ACLs = append([]acl.List{}, p.ACLs...)
	for i := range q.ACLs {
		q.ACLs[i].Rules = append([]acl.Rule{}, q.ACLs[i].Rules...)
	}
	q.Limits = append([]limit.Spec{}, p.Limits...)
	q.Profiles = append([]sandbox.Profile{}, p.Profiles...)
	for i := range q.Profiles {
		q.Profiles[i].Syscalls.Allow = append([]string{}, q.Profiles[i].Syscalls.Allow...)
	}
	q.Services = append([]Service{}, p.Services...)
	if q.Filters == nil {
		q.Filters = Filters{}
	}
	return &q
}
