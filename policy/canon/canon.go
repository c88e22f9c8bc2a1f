// Package canon is the one form that a compiled policy's bytes have: who writes a document
// makes it, and who takes one from somebody holds it to that, so that one policy
// has one digest. casemated itself goes by the digest of the bytes it has.
package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/sandbox"
)

// Encode returns the canonical JSON of p: fields in the order of the types,
// map keys sorted, no white space, no HTML escapes, absent lists as []. p must
// be sound; what is not is not read back.
func Encode(p *policy.Policy) ([]byte, error) {
	if err := p.Sound(); err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return marshal(normal(p))
}

// EncodeDocument returns the canonical JSON of doc. The digest must be that of
// the policy inside.
func EncodeDocument(doc *policy.Document) ([]byte, error) {
	b, err := Encode(doc.Policy)
	if err != nil {
		return nil, err
	}
	if want := policy.Digest(b); doc.Digest != want {
		return nil, fmt.Errorf("encode document: digest %q does not fit the policy, which has %s", doc.Digest, want)
	}
	origins := doc.Origins
	if origins == nil {
		origins = policy.Origins{}
	}
	at, err := marshal(origins)
	if err != nil {
		return nil, err
	}
	return document(doc.FormatVersion, doc.Digest, b, at), nil
}

// document writes a document of a policy and of origins that are canonical already, and large.
func document(version int, digest string, policy, origins []byte) []byte {
	out := fmt.Appendf(make([]byte, 0, len(policy)+len(origins)+256), `{"format_version":%d,"digest":%q,"policy":`, version, digest)
	return append(append(append(append(out, policy...), `,"origins":`...), origins...), '}')
}

// DecodeDocument is policy.DecodeDocument of exactly the bytes that EncodeDocument makes of
// a document, or of `casemate compile`, which ends its output with one newline: repeated
// fields, another order or spacing are errors.
func DecodeDocument(b []byte) (*policy.Document, error) {
	doc, err := policy.DecodeDocument(b)
	if err != nil {
		return nil, err
	}
	again, err := EncodeDocument(doc)
	if err != nil {
		return nil, fmt.Errorf("decode document: %w", err)
	}
	if !bytes.Equal(again, bytes.TrimSuffix(b, []byte("\n"))) {
		return nil, errors.New("decode document: not the canonical bytes")
	}
	return doc, nil
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

// normal returns p with absent lists as empty ones where the JSON shows them.
// It copies what it changes.
func normal(p *policy.Policy) *policy.Policy {
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
	q.Services = append([]policy.Service{}, p.Services...)
	if q.Filters == nil {
		q.Filters = policy.Filters{}
	}
	return &q
}
