package lang

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"casemate/policy/visible"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// printer writes blocks of the language, with where each value comes from behind it.
type printer struct {
	// at gives the comment of a value by its path, "" for none.
	at func(path string) string
	b  bytes.Buffer
}

// block writes a block, unless it is empty.
func (e *printer) block(name string, body func()) {
	from := e.b.Len()
	fmt.Fprintf(&e.b, "\n%s {\n", name)
	inside := e.b.Len()
	if body(); e.b.Len() == inside {
		e.b.Truncate(from)
		return
	}
	e.b.WriteString("}\n")
}

// comment is what at says of the value at a path.
func (e *printer) comment(path string) string {
	if at := e.at(path); at != "" {
		return commented + "# " + printable([]byte(at))
	}
	return ""
}

func (e *printer) line(name, value, path string) { e.attribute(name, value, e.comment(path)) }

func (e *printer) attribute(name, value, comment string) {
	e.b.WriteString(name + assigned + "= " + value + comment + "\n")
}

// What stands in the text before layout where it may have to fill up with blanks.
const (
	assigned  = "\x00"
	commented = "\x01"
)

// flag writes a truth that is not the nothing that every profile begins with.
func (e *printer) flag(name, path string, v, base bool) {
	if v || base {
		e.line(name, fmt.Sprint(v), path)
	}
}

// list writes items, in one line where all were written in one. The place of each is below path.
func (e *printer) list(name, path string, items []string) {
	paths := make([]string, len(items))
	for i := range items {
		paths[i] = fmt.Sprintf("%s.%d", path, i)
	}
	e.placed(name, items, paths)
}

// placed writes items, each with the place of its own path.
func (e *printer) placed(name string, items, paths []string) {
	if len(items) == 0 {
		return
	}
	places := make([]string, len(items))
	for i, path := range paths {
		places[i] = e.comment(path)
	}
	alike := !slices.ContainsFunc(places, func(at string) bool { return at != places[0] })
	if one := strings.Join(items, ", "); alike && len(one) < 90 {
		e.attribute(name, "["+one+"]", places[0])
		return
	}
	e.attribute(name, "[", "")
	for i, item := range items {
		fmt.Fprintf(&e.b, "%s,%s\n", item, places[i])
	}
	e.b.WriteString("]\n")
}

// quote is s as the language writes it.
func quote(s string) string {
	return visible.Harmless(string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()), `\u0023`)
}

func quotedAll(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, quote(w))
	}
	return out
}

func quoted(words []string) string { return strings.Join(quotedAll(words), ", ") }
