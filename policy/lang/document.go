package lang

import (
	"fmt"
	"strings"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/granted"
)

// newDocument wraps a valid policy with its digest. What casemated would not
// read for its size is an error here.
func newDocument(p *policy.Policy, o policy.Origins) (doc *policy.Document, text []byte, err error) {
	if text, err = canon.Encode(p); err != nil {
		return nil, nil, err
	}
	if n := len(text) + sizeOf(o); n > granted.MaxDocument {
		return nil, nil, fmt.Errorf("%s of compiled policy are more than %s", explain.FormatSize(int64(n)), explain.FormatSize(granted.MaxDocument))
	}
	return &policy.Document{FormatVersion: granted.DocumentFormat, Digest: granted.Digest(text), Policy: p, Origins: o}, text, nil
}

// sizeOf is what o takes in a document's JSON, the document's own head included.
func sizeOf(o policy.Origins) int {
	n := 200
	text := func(s string) { // 0xe2 is of U+2028 and U+2029, which are escaped
		n += len(s) + 3 + strings.Count(s, `"`) + strings.Count(s, `\`) + 3*strings.Count(s, "\xe2")
	}
	for path, at := range o {
		text(path)
		text(at)
	}
	return n
}
