package lang

import (
	"bytes"
	"fmt"
	"strings"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Deprecated says of an attribute which one of the same block takes its values in its place.
type Deprecated struct {
	Since   string // the version that brought the other one
	Use     string // its name
	Removed int    // the edition of the language that knows this one no longer
}

// current tells whether an attribute that is written may be read, and warns of one that is deprecated.
func (b *block) current(a *Attribute) bool {
	old := a.Deprecated
	if old == nil {
		return true
	}
	rng := b.syn.Body.Attributes[a.Name].NameRange
	next := fmt.Sprintf("write %s in its place: casemate fmt --fix does", old.Use)
	switch {
	case b.has(old.Use):
		b.c.report(codeDuplicate, rng, fmt.Sprintf("remove %s", a.Name), "%s and %s are one attribute: %s is its name", a.Name, old.Use, old.Use)
		return false
	case b.c.edition >= old.Removed:
		b.c.report(codeAttr, rng, next, "edition %d has no attribute %s", b.c.edition, a.Name)
		return false
	}
	b.c.warn(codeDeprecated, rng, next, "%s is deprecated since %s, and edition %d will not have it", a.Name, old.Since, old.Removed)
	return true
}

// Fix returns a policy file with what is deprecated in it written as it is to be, and nothing else changed. A file that
// does not parse gives diagnostics and no bytes.
func Fix(f policy.SourceFile) ([]byte, []policy.Diagnostic) { return fix(f, Reference()) }

func fix(f policy.SourceFile, language []Block) ([]byte, []policy.Diagnostic) {
	c := newCompiler(nil)
	if _, ok := c.parse([]policy.SourceFile{f}); !ok {
		return nil, c.diagnostics()
	}
	src := bytes.TrimPrefix(f.Data, byteOrderMark)
	file, ds := hclwrite.ParseConfig(src, f.Name, hcl.InitialPos)
	if ds.HasErrors() {
		c.fromHCL(ds)
		return nil, c.diagnostics()
	}
	if !rename(file.Body(), language) {
		return f.Data, nil
	}
	return file.Bytes(), nil
}

// rename gives deprecated attributes of the blocks in a body their new names. One whose new name is there too is left to
// the compiler to refuse.
func rename(body *hclwrite.Body, language []Block) (changed bool) {
	for _, inner := range body.Blocks() {
		for i := range language {
			kind, _, _ := strings.Cut(language[i].Name, " ")
			if kind != inner.Type() && !(kind == "allow" && inner.Type() == "deny") {
				continue
			}
			for _, a := range language[i].Attributes {
				if a.Deprecated != nil && inner.Body().RenameAttribute(a.Name, a.Deprecated.Use) {
					changed = true
				}
			}
			changed = rename(inner.Body(), language[i].Blocks) || changed
		}
	}
	return changed
}
