package lang

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/input"
	"casemate/policy/netdb"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// compiler is the state of one compilation.
type compiler struct {
	sources map[string][]byte
	found   []finding
	leftOut int // findings beyond maxFindings
	inText  int // templates being evaluated
	work    int

	locals map[string]*local
	chain  []string // locals being evaluated, outermost first
	each   *each    // of the service being compiled, nil where its block has no for_each

	blocks  map[string]map[string]*hclsyntax.Block // kind, name
	order   map[string][]string                    // kind, names as written
	heads   []*hclsyntax.Block                     // the policy blocks, at most one a file
	edition int                                    // that the policy says
	// waiverBlocks are for who reviews the policy, and reviewed is what they come to.
	waiverBlocks []*hclsyntax.Block
	reviewed     *Review

	suite *suite // of tests, nil of a policy

	tables
	hosts   hosts
	banners map[string]*bannerFile // among the sources, by their clean names
	netdb   *netdb.Services        // of a services file among the sources
	named   []named                // names of ports that the policy uses

	acls     map[string]acl.List
	limits   map[string]limit.Spec
	profiles map[string]*profile
	parents  []string // profiles being resolved, outermost first

	base   *compiler // the shipped blocks; nil while these are compiled
	places map[string]hcl.Range
	within map[string][]string   // profile: the paths of its places, some of them gone
	inner  map[string]bool       // places that are blocks: what they do not set is a default
	calls  map[string]resolution // what lists of system calls mean
}

// The kinds of blocks that have a name.
const (
	kindACL     = "acl"
	kindLimit   = "limit"
	kindProfile = "profile"
	kindService = "service"
)

func newCompiler(base *compiler) *compiler {
	c := &compiler{sources: map[string][]byte{}, work: maxWork, base: base, locals: map[string]*local{},
		blocks: map[string]map[string]*hclsyntax.Block{}, order: map[string][]string{},
		acls: map[string]acl.List{}, limits: map[string]limit.Spec{}, profiles: map[string]*profile{},
		places: map[string]hcl.Range{}, within: map[string][]string{}, inner: map[string]bool{}, calls: map[string]resolution{}}
	for _, k := range []string{kindACL, kindLimit, kindProfile, kindService} {
		c.blocks[k] = map[string]*hclsyntax.Block{}
	}
	return c
}

// Compile turns policy files into a document. The document is nil when one of
// the diagnostics is an error; diagnostics are sorted by file, line and column.
// Files are taken by name, so their order means nothing.
func Compile(files []policy.SourceFile) (*policy.Document, []policy.Diagnostic) {
	doc, ds, _ := CompileForReview(files)
	return doc, ds
}

// CompileForReview is Compile, with what the text says beside the document; nil where there is no document.
func CompileForReview(files []policy.SourceFile) (*policy.Document, []policy.Diagnostic, *Review) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b policy.SourceFile) int { return cmp.Compare(a.Name, b.Name) })
	c := newCompiler(shipped())
	doc := c.compile(files)
	for n := 0; n < maxSkips; n++ {
		skip := c.unservable()
		if skip == nil {
			break
		}
		c = newCompiler(shipped())
		c.skip = skip
		doc = c.compile(files)
	}
	ds := c.diagnostics()
	if policy.HasErrors(ds) {
		return nil, ds, nil
	}
	return doc, ds, c.reviewed
}

func (c *compiler) compile(files []policy.SourceFile) *policy.Document {
	if c.strayTests(files) {
		return nil
	}
	bodies, ok := c.parse(files)
	if !ok {
		return nil
	}
	for _, b := range bodies {
		c.collect(b)
	}
	if len(c.heads) == 0 {
		next := "begin with: policy { edition = 1 }"
		if len(bodies) == 0 {
			next = "name a file of the policy beside it, with policy { edition = 1 } and inetd { acl = acl.anyone } or another acl"
		}
		c.report(codeMissing, hcl.Range{Filename: files[0].Name, Start: hcl.InitialPos, End: hcl.InitialPos}, next, "the policy block is missing")
	}
	p := &policy.Policy{}
	c.policyBlock(p)
	c.edition = p.Edition
	c.definitions()
	c.readTables()
	services := c.services()
	c.reviewed = c.review(services)
	c.advise(services)
	c.assemble(p, services)
	if !c.meaning(p) {
		return nil
	}
	c.habits(p)
	c.unsent()
	c.together(p)
	// From here on only values and their places count; the syntax trees are larger than both.
	c.blocks, c.locals, c.profiles, c.within, c.calls = nil, nil, nil, nil, nil
	doc, text, err := newDocument(p, c.origins(p))
	if err != nil {
		c.report(codeBounds, c.start(), "shorten the policy", "the policy cannot be written: %v", err)
		return nil
	}
	c.reviewed.Text = text
	return doc
}

// bytesPerPlace is about how much text of a large policy is one value with a place of its own.
const bytesPerPlace = 14

// byteOrderMark is what some editors put before UTF-8 text; it says nothing.
var byteOrderMark = []byte("\xef\xbb\xbf")

// parse checks and parses every file. With one broken file nothing else is
// looked at: what the file defines would be missing everywhere.
func (c *compiler) parse(files []policy.SourceFile) ([]*hclsyntax.Body, bool) {
	if len(files) == 0 {
		c.report(codeMissing, hcl.Range{Filename: "policy", Start: hcl.InitialPos, End: hcl.InitialPos}, "name a policy file", "there is no policy file")
		return nil, false
	}
	total := 0
	for _, f := range files {
		if total += len(f.Data); total > input.MaxSourceAll {
			c.report(codeSize, at(f, 0), "shorten it", "the policy is larger than %s", explain.FormatSize(input.MaxSourceAll))
			return nil, false
		}
	}
	c.places = make(map[string]hcl.Range, total/bytesPerPlace)
	c.tellTables(files)
	var bodies []*hclsyntax.Body
	for _, f := range files {
		if _, twice := c.sources[f.Name]; twice {
			c.report(codeDuplicate, at(f, 0), "name each file once", "the file is given twice")
			return nil, false
		}
		if !strings.HasSuffix(f.Name, input.BannerSuffix) { // whose bytes are all meant
			f.Data = bytes.TrimPrefix(f.Data, byteOrderMark)
		}
		c.sources[f.Name] = f.Data
		if c.otherSource(f) {
			continue
		}
		if body, ok := c.parsed(f); ok {
			bodies = append(bodies, body)
			continue
		}
		if !c.precheck(f) {
			continue
		}
		file, ds := hclsyntax.ParseConfig(f.Data, f.Name, hcl.InitialPos)
		if ds.HasErrors() {
			c.fromHCL(ds)
			continue
		}
		bodies = append(bodies, file.Body.(*hclsyntax.Body))
	}
	return bodies, !c.failed(0)
}

// definitions compiles every acl, limit, profile and local, used or not.
func (c *compiler) definitions() {
	for _, name := range c.localNames() {
		c.localValue(name, hcl.Range{})
	}
	for _, name := range c.order[kindACL] {
		c.acls[name] = c.aclBlock(name, c.blocks[kindACL][name])
	}
	for _, name := range c.order[kindLimit] {
		c.limits[name] = c.limitBlock(name, c.blocks[kindLimit][name])
	}
	for _, name := range c.order[kindProfile] {
		c.resolve(name)
	}
}

// services compiles the service blocks, and then the entries that none of them extends.
func (c *compiler) services() []policy.Service {
	var out []policy.Service
	for _, i := range c.instances() {
		c.each = i.each
		out = append(out, c.serviceBlock(i.name, i.syn))
	}
	c.each = nil
	out = append(out, c.unextended()...)
	c.behindTcpd()
	c.beforeTcpd()
	c.lostWords()
	return out
}
