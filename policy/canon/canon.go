// Package canon is the one form that a compiled policy's bytes have, with what they grant to root in front: who
// writes a document makes it, and who reads one whole holds it to that, so that one policy has one digest. casemated
// itself reads what is granted to it alone (package granted), of the same bytes.
package canon

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/granted"
	"casemate/sandbox"
)

// Encode returns the canonical JSON of p: fields in the order of the types,
// map keys sorted, no white space, no HTML escapes, absent lists as []. p must
// be sound; what is not is not read back.
func Encode(p *policy.Policy) ([]byte, error) {
	err := p.Sound()
	q := normal(p)
	if err == nil {
		q.Granted = Granted(p)
		err = q.Granted.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return granted.Encode(q)
}

// EncodeDocument returns the canonical JSON of doc. The digest must be that of
// the policy inside.
func EncodeDocument(doc *policy.Document) ([]byte, error) {
	b, err := Encode(doc.Policy)
	if err != nil {
		return nil, err
	}
	return Text(doc, b)
}

// Text is EncodeDocument where Encode has made b of the policy already.
func Text(doc *policy.Document, b []byte) ([]byte, error) {
	if digest := granted.Digest(b); doc.Digest != digest || doc.FormatVersion != granted.DocumentFormat {
		return nil, fmt.Errorf("encode document: format_version %d or digest %q does not fit the policy, which has %d and %s", doc.FormatVersion, doc.Digest, granted.DocumentFormat, digest)
	}
	origins := doc.Origins
	if origins == nil {
		origins = policy.Origins{}
	}
	at, err := granted.Encode(origins)
	if err != nil {
		return nil, err
	}
	return granted.Frame(doc.Digest, b, at), nil
}

// DecodeDocument reads exactly the bytes that EncodeDocument makes of
// a document, or those of `casemate compile`, which ends its output with one newline: repeated
// fields, another order or spacing, and another grant to root than the policy comes to are errors.
func DecodeDocument(b []byte) (*policy.Document, error) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	doc, err := decode(b)
	if err != nil {
		if _, known := granted.Decode(b); known != nil { // what root says of it says more
			return nil, known
		}
		return nil, fmt.Errorf("decode document: %w", err)
	}
	return doc, nil
}

// decode holds b to be the text of the document in it: with that it is all that granted.Decode asks for.
func decode(b []byte) (*policy.Document, error) {
	if len(b) > granted.MaxDocument {
		return nil, errors.New("too large")
	}
	doc := new(policy.Document)
	if err := granted.Unmarshal(b, doc); err != nil {
		return nil, err
	}
	p := doc.Policy
	if p == nil || p.Granted == nil {
		return nil, errors.New("there is no policy, or nothing that it grants")
	}
	if err := plain(doc.Origins); err != nil {
		return nil, fmt.Errorf("origins: %w", err)
	}
	p.Filters, p.Granted = p.Granted.Filters, nil
	resolve(p)
	text, err := Encode(p)
	if err != nil {
		return nil, err
	}
	if again, err := Text(doc, text); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("not the canonical bytes")
	}
	return doc, nil
}

// resolve gives profiles the rules of the filters that they name.
func resolve(p *policy.Policy) {
	for i := range p.Profiles {
		s := &p.Profiles[i].Syscalls
		s.Rules = p.Filters[s.Filter]
	}
}

// plain is the fault of an origin that would not be one line of a terminal.
func plain(origins policy.Origins) error {
	for key, at := range origins {
		if strings.ContainsFunc(key+at, unicode.IsControl) {
			return fmt.Errorf("%q at %q has a control character", key, at)
		}
	}
	return nil
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
	return &q
}
