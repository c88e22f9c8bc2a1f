package lang

import (
	"cmp"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Attribute is what the language knows of one attribute beside what it does.
// Values are as they are written in a policy.
type Attribute struct {
	Name    string
	Path    string // of its value in the canonical JSON of its block; "" is Name
	Example string
	Unset   string   // what it is where nobody writes it; "" is nothing, or what the base has
	Bounds  string   // the least and the largest number, as "1 to 256"
	Words   []string // the texts that it, or each item of its list, may be; empty is any
	Layer   string   // the word of widens for what grants more than the base
	Doc     string   // one line
	Instead string   // of that other attribute
	With    string   // only beside that, as it is written
	// Program says that it is about a program of one's own, and a builtin has none.
	Program bool
	// Deprecated is set of one that another has taken the place of.
	Deprecated *Deprecated
}

// At is where its value stands in the canonical JSON of its block.
func (a *Attribute) At() string { return cmp.Or(a.Path, a.Name) }

// About is what there is to say of it in one line, in the order of the columns of its row.
func (a *Attribute) About() string {
	var parts []string
	if a.Instead != "" {
		parts = append(parts, "in place of "+a.Instead)
	}
	if a.With != "" {
		parts = append(parts, "with "+a.With)
	}
	if a.Doc != "" {
		parts = append(parts, a.Doc)
	}
	if len(a.Words) > 0 {
		parts = append(parts, "one of "+strings.Join(a.Words, ", "))
	}
	if a.Bounds != "" {
		parts = append(parts, a.Bounds)
	}
	if a.Unset != "" {
		parts = append(parts, "absent: "+a.Unset)
	}
	return strings.Join(parts, "; ")
}

// Kind is what its values are, by the example.
func (a *Attribute) Kind() string {
	c := (a.Example + " ")[0]
	switch {
	case c == '"':
		return "string"
	case c == '[' || strings.HasPrefix(a.Example, "concat("):
		return "list"
	case c == '{':
		return "object"
	case c >= '0' && c <= '9':
		return "number"
	case a.Example == "true" || a.Example == "false":
		return "truth value"
	}
	return "reference"
}

// write is the attribute as it may be written.
func (a *Attribute) write() string { return a.Name + " = " + a.Example }

// Block is a kind of block: how it begins, its attributes and the blocks in it.
type Block struct {
	Name       string
	Attributes []Attribute
	Blocks     []Block
}

// row is an attribute of a T and how it is read. Where read is nil, the compiler
// of the whole block reads it.
type row[T any] struct {
	Attribute
	read reader[T]
}

// reader reads an attribute that is written.
type reader[T any] func(b *block, a *Attribute, to *T)

// group is the rows of one block. more are the blocks in it that may be there
// several times, and done is called after an inner block's rows are read.
type group[T any] struct {
	block string
	rows  []row[T]
	more  []string
	done  func(b *block, to *T)
}

func (g *group[T]) names() []string {
	out := make([]string, len(g.rows))
	for i := range g.rows {
		out[i] = g.rows[i].Name
	}
	return out
}

// table is all rows of a kind of block: first its own, then those of the blocks
// in it, in the order in which they are read and shown.
type table[T any] []group[T]

// open opens a block of the table's kind.
func (t table[T]) open(c *compiler, syn *hclsyntax.Block, path string) *block {
	blocks := t[0].more
	for _, g := range t[1:] {
		blocks = append(blocks[:len(blocks):len(blocks)], g.block)
	}
	return c.open(syn, path, t[0].names(), blocks...)
}

// read reads what an opened block says.
func (t table[T]) read(b *block, to *T) {
	for i := range t {
		g, at := &t[i], b
		if g.block != "" {
			if at = b.one(g.block, g.names(), g.more...); at == nil {
				continue
			}
		}
		for k := range g.rows {
			if r := &g.rows[k]; at.has(r.Name) && at.current(&r.Attribute) && r.read != nil {
				r.read(at, &r.Attribute, to)
			}
		}
		if g.done != nil {
			g.done(at, to)
		}
	}
}

// blank is a T of which nothing is written.
func (t table[T]) blank() (to T) {
	c := newCompiler(nil)
	for _, g := range t {
		for _, r := range g.rows {
			if r.Unset == "" || r.read == nil {
				continue
			}
			e, ds := hclsyntax.ParseExpression([]byte(r.Unset), r.Name, hcl.InitialPos)
			if ds.HasErrors() {
				panic(fmt.Sprintf("policy/lang: %s: %v", r.Name, ds))
			}
			b := &block{c: c, syn: &hclsyntax.Block{Body: &hclsyntax.Body{Attributes: hclsyntax.Attributes{r.Name: {Name: r.Name, Expr: e}}}}}
			r.read(b, &r.Attribute, &to)
		}
	}
	if len(c.found) > 0 {
		panic(fmt.Sprintf("policy/lang: default: %+v", c.found))
	}
	return to
}

// shape is the table for people.
func (t table[T]) shape(name string) Block {
	out := Block{Name: name}
	for _, g := range t {
		at := &out
		if g.block != "" {
			out.Blocks = append(out.Blocks, Block{Name: g.block})
			at = &out.Blocks[len(out.Blocks)-1]
		}
		for _, r := range g.rows {
			at.Attributes = append(at.Attributes, r.Attribute)
		}
	}
	return out
}

// What blocks are of which nothing is written.
var (
	headBlank    = sync.OnceValue(headTable.blank)
	aclBlank     = sync.OnceValue(aclTable.blank)
	limitBlank   = sync.OnceValue(limitTable.blank)
	serviceBlank = sync.OnceValue(serviceTable.blank)
	inetdBlank   = sync.OnceValue(inetdTable.blank)
)

// Reference is all blocks of the language with their attributes, but locals,
// whose names are free.
func Reference() []Block {
	list, profile := aclTable.shape(`acl "NAME"`), profileTable.shape(`profile "NAME"`)
	list.Blocks = []Block{ruleTable.shape(`allow "staff"`)}
	for i := range profile.Blocks {
		if b := &profile.Blocks[i]; b.Name == "syscalls" {
			b.Blocks = []Block{syscallTable.shape(`rule "socket"`)}
		}
	}
	bound := limitTable.shape(`limit "NAME"`)
	for i := range bound.Blocks {
		if b := &bound.Blocks[i]; b.Name == "per_source" {
			b.Blocks = []Block{widerTable.shape("wider")}
		}
	}
	return []Block{headTable.shape("policy"), list, bound, profile, serviceTable.shape(`service "NAME"`), inetdTable.shape("inetd"), waiverTable.shape(`waiver "CM504"`)}
}
