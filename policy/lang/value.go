package lang

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
)

// kind is the type of a value.
type kind uint8

const (
	kindString kind = iota
	kindNumber
	kindBool
	kindNull
	kindList
	kindObject
)

func (k kind) String() string {
	return [...]string{"a string", "a number", "true or false", "null", "a list", "an object"}[k]
}

// value is an evaluated expression. Every value keeps the range where it was
// written, also on its way through locals and functions, so that a bad item of
// a concatenated list is underlined where it stands.
type value struct {
	kind kind
	rng  hcl.Range
	s    string
	n    int64
	b    bool
	list []value
	obj  []field // in the order written
}

// field is one entry of an object.
type field struct {
	name string
	rng  hcl.Range
	val  value
}

// scalar tells whether v is text, a number or a truth value.
func (v *value) scalar() bool { return v.kind <= kindBool }

// text is a scalar as a template or a comparison sees it.
func (v *value) text() string {
	switch v.kind {
	case kindString:
		return v.s
	case kindNumber:
		return strconv.FormatInt(v.n, 10)
	case kindBool:
		return strconv.FormatBool(v.b)
	}
	return ""
}

// key makes scalars comparable: the string "1" is not the number 1.
func (v *value) key() string { return string('0'+byte(v.kind)) + v.text() }

// describe names a value in a message.
func (v *value) describe() string {
	if v.kind == kindString {
		return fmt.Sprintf("the string %s", clip(strconv.Quote(v.s)))
	}
	if v.scalar() {
		return fmt.Sprintf("%s (%s)", v.text(), v.kind)
	}
	return v.kind.String()
}
