package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/input"
	"casemate/policy/policytest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The blocks of a file of tests.
const (
	kindCase      = "case"
	kindInvariant = "invariant"
	kindArrive    = "arrive"
)

// suite is the state of reading tests: what they are about, and what they say.
type suite struct {
	doc     *policy.Document
	out     policytest.Suite
	budget  int // of each condition
	visits  int // of all cases
	reaches *policytest.Reaches
	model   *value
	ranges  map[policytest.Place]hcl.Range
	vars    []variable // of the loops around what is evaluated
	blame   []string   // of the last loop over services: the name of each item
}

// Tests reads files of policy tests about a valid document. Their locals are those of the tests and, where
// sources are the HCL that the document was made of, of the policy. The suite is nil when a diagnostic is an
// error: what is not in the policy is one before any test runs.
func Tests(doc *policy.Document, files, sources []policy.SourceFile) (*policytest.Suite, []policy.Diagnostic) {
	return readTests(doc, files, sources, maxCondition)
}

// maxCondition is what one condition may take of what maxWork counts, and all locals together.
const maxCondition = 4 << 20

func readTests(doc *policy.Document, files, sources []policy.SourceFile, budget int) (*policytest.Suite, []policy.Diagnostic) {
	if len(files) == 0 {
		return &policytest.Suite{}, nil
	}
	c := newCompiler(nil)
	c.suite = &suite{doc: doc, budget: budget, reaches: policytest.NewReaches(doc.Policy), ranges: map[policytest.Place]hcl.Range{}}
	if slices.ContainsFunc(files, func(f policy.SourceFile) bool { return strings.Contains(string(f.Data), "local.") }) {
		for _, f := range sources {
			if strings.HasSuffix(f.Name, input.SourceSuffix) {
				files = append(files[:len(files):len(files)], f)
			}
		}
	}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b policy.SourceFile) int { return cmp.Compare(a.Name, b.Name) })
	if bodies, ok := c.parse(files); ok {
		c.collectTests(bodies)
	}
	ds := c.diagnostics()
	if policy.HasErrors(ds) {
		return nil, ds
	}
	return &c.suite.out, ds
}

// isTests tells whether a file holds tests, whose language has operators, conditions and loops as well.
func isTests(name string) bool { return strings.HasSuffix(name, input.TestSuffix) }

// strayTests reports files of tests among those of a policy.
func (c *compiler) strayTests(files []policy.SourceFile) bool {
	for _, f := range files {
		if isTests(f.Name) {
			c.report(codeFeature, at(f, 0), "run casemate test, which takes it beside the policy", "the file holds tests, which are no part of a policy")
		}
	}
	return c.failed(0)
}

// collectTests reads the locals of all files, and then the blocks of the tests.
func (c *compiler) collectTests(bodies []*hclsyntax.Body) {
	kinds := []string{kindCase, kindInvariant, "locals"}
	for _, b := range bodies {
		for _, blk := range b.Blocks {
			if blk.Type == "locals" {
				c.collectLocals(blk)
			}
		}
	}
	all := c.work
	c.work = c.suite.budget
	for _, name := range c.localNames() {
		c.localValue(name, hcl.Range{})
	}
	c.work = all
	named := map[[3]string]*hclsyntax.Block{}
	for _, b := range bodies {
		if !isTests(b.SrcRange.Filename) {
			continue
		}
		for _, a := range sortedAttrs(b) {
			c.report(codeAttr, a.NameRange, "put it into a block: case, invariant or locals", "attribute %q stands outside of a block", a.Name)
		}
		for _, blk := range b.Blocks {
			switch {
			case blk.Type == "locals":
				c.labels(blk, 0)
			case !slices.Contains(kinds, blk.Type):
				c.report(codeBlock, blk.TypeRange, unknownName(blk.Type, kinds), "there is no block %q in a file of tests", clip(blk.Type))
			case !c.testName(blk):
			default:
				key := [3]string{blk.Type, blk.Labels[0], blk.TypeRange.Filename}
				if first := named[key]; first != nil {
					c.twice(blk, first, fmt.Sprintf("%s %q", blk.Type, clip(blk.Labels[0])))
					continue
				}
				if named[key] = blk; blk.Type == kindCase {
					c.caseBlock(blk)
				} else {
					c.invariantBlock(blk)
				}
			}
		}
	}
}

// maxTestName is the most bytes of the name of a test.
const maxTestName = 200

// testName checks the name of a test, which is a sentence for people.
func (c *compiler) testName(blk *hclsyntax.Block) bool {
	if !c.labels(blk, 1) {
		return false
	}
	name := blk.Labels[0]
	if strings.TrimSpace(name) == "" || len(name) > maxTestName || printable([]byte(name)) != name || strings.Contains(name, "\t") {
		c.report(codeLabel, blk.LabelRanges[0], "write a line of text, as \"the world cannot reach telnet\"", "%s must have a name of 1 to %d printable characters", blk.Type, maxTestName)
		return false
	}
	return true
}

// testPlace is a range as results show it.
func testPlace(r hcl.Range) policytest.Place {
	return policytest.Place{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column, EndLine: r.End.Line, EndColumn: r.End.Column}
}

// rangeOf is the range of what a test says, for reports.
func (s *suite) rangeOf(p policytest.Place) hcl.Range { return s.ranges[p] }

// blockPlace is the range of a whole block.
func blockPlace(b *hclsyntax.Block) policytest.Place {
	return testPlace(hcl.RangeBetween(b.TypeRange, b.CloseBraceRange))
}

// serviceNames are all that a test may name.
func (s *suite) serviceNames() (out []string) {
	for i := range s.doc.Policy.Services {
		out = append(out, s.doc.Policy.Services[i].Name)
	}
	for i := range s.doc.Policy.Disabled {
		out = append(out, s.doc.Policy.Disabled[i].Name)
	}
	return out
}

// service is the one of that name, also one that is disabled.
func (s *suite) service(name string) *policy.Service {
	if found := s.doc.Policy.Service(name); found != nil {
		return found
	}
	return explain.Disabled(s.doc.Policy, name)
}

// servicesOf reads service.NAME, service.* or a list of those.
func (c *compiler) servicesOf(e hclsyntax.Expression) ([]string, bool) {
	const next = "write service.NAME, service.* for all of them, or a list: [service.a, service.b]"
	switch x := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.servicesOf(x.Expression)
	case *hclsyntax.SplatExpr:
		t, ds := hcl.AbsTraversalForExpr(x.Source)
		if _, plain := x.Each.(*hclsyntax.AnonSymbolExpr); plain && !ds.HasErrors() && len(t) == 1 && t.RootName() == kindService {
			return spelledServices(c.suite.doc.Policy), true
		}
	case *hclsyntax.TupleConsExpr:
		var out []string
		for _, item := range x.Exprs {
			names, ok := c.servicesOf(item)
			if !ok {
				return nil, false
			}
			out = append(out, names...)
		}
		if len(out) == 0 {
			c.report(codeValue, e.Range(), next, "there is no service in the list")
		}
		return out, len(out) > 0
	case *hclsyntax.ScopeTraversalExpr:
		if len(x.Traversal) == 2 && x.Traversal.RootName() == kindService {
			if step, ok := x.Traversal[1].(hcl.TraverseAttr); ok {
				if c.suite.service(step.Name) == nil {
					c.report(codeReference, afterDot(step.SrcRange), didYouMean(step.Name, c.suite.serviceNames(), "service."), "the policy has no service %q", clip(step.Name))
					return nil, false
				}
				return []string{step.Name}, true
			}
		}
	}
	c.report(codeReference, e.Range(), next, "this names no service")
	return nil, false
}

// spelledServices are the services that are served.
func spelledServices(p *policy.Policy) []string {
	out := make([]string, len(p.Services))
	for i := range out {
		out[i] = p.Services[i].Name
	}
	return out
}
