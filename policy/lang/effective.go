package lang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"casemate/policy"
	"casemate/sandbox"
)

// Effective writes a resolved profile as a block of the language in Format's form, with all
// that it has from its bases and a comment of each line, as where that was written. The
// block is named name and stands on the nearest shipped profile; it compiles to the same
// profile, which Effective has tried before it returns. What one block cannot say, because
// the profile's own bases said it one after the other, a block before it says.
//
// at gives the comment of a value by its path below the profile ("files.read.0"), "" for none.
func Effective(p *sandbox.Profile, name string, at func(path string) string) ([]byte, error) {
	return effectiveProfile(p, name, at, map[string]resolution{})
}

// effectiveProfile is Effective; calls remembers what lists of system calls mean.
func effectiveProfile(p *sandbox.Profile, name string, at func(path string) string, calls map[string]resolution) ([]byte, error) {
	var last error
	for _, twoBlocks := range []bool{false, true} {
		e := effective{printer: printer{at: at}, p: p, name: name, base: nearest(p), twoBlocks: twoBlocks}
		e.write()
		text := e.laid()
		got, err := compileProfile(text, name, calls)
		if err == nil && sameProfile(p, got) {
			return text, nil
		}
		if last = err; err == nil {
			last = fmt.Errorf("one block of the language cannot say it")
		}
	}
	return nil, fmt.Errorf("print profile %q: %w", p.Name, last)
}

// nearest is the shipped profile that p stands on: its nearest shipped base, or itself.
func nearest(p *sandbox.Profile) *sandbox.Profile {
	for _, name := range append(slices.Clone(p.Base), p.Name) {
		if b := shipped().profiles[name]; b != nil {
			return &b.Profile
		}
	}
	return &shipped().profiles["strict"].Profile
}

// compileProfile resolves one profile of a text that has no policy block.
func compileProfile(text []byte, name string, calls map[string]resolution) (*sandbox.Profile, error) {
	c := newCompiler(shipped())
	c.calls = calls
	if bodies, ok := c.parse([]policy.SourceFile{{Name: name, Data: text}}); ok {
		for _, b := range bodies {
			c.collect(b)
		}
		c.definitions()
	}
	for _, d := range c.diagnostics() {
		if d.Severity == policy.SeverityError {
			return nil, fmt.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
	return &c.profiles[name].Profile, nil
}

// sameProfile tells whether two profiles grant the same, and say the same about it. Their names
// and bases do not count, and widens not where one of them is shipped: it counts from those.
func sameProfile(a, b *sandbox.Profile) bool {
	return bytes.Equal(substance(a, a.Widens), substance(b, a.Widens)) && (shipped().profiles[a.Name] != nil || slices.Equal(a.Widens, b.Widens))
}

func substance(p *sandbox.Profile, widens []string) []byte {
	q := *p
	q.Name, q.Base, q.Widens, q.Syscalls.Filter = "", nil, widens, ""
	b, err := json.Marshal(q)
	if err != nil {
		panic(err) // plain data
	}
	return b
}

// effective is one profile being written.
type effective struct {
	printer
	p, base   *sandbox.Profile
	name      string
	twoBlocks bool
}

func (e *effective) write() {
	base := e.base.Name
	if e.twoBlocks {
		base = e.name[:min(len(e.name), 56)] + "_below"
		e.head(base, e.base.Name)
		e.widens(slices.DeleteFunc(slices.Clone(e.p.Widens), func(w string) bool {
			return w != "network" && w != "resources" || w == "network" && len(e.sockets()) == 0
		}))
		e.block("network", e.socketLine)
		e.block("resources", e.resources)
		e.b.WriteString("}\n\n")
	}
	e.head(e.name, base)
	e.widens(e.announced())
	e.list("best_effort", "best_effort", e.p.BestEffort, e.base.BestEffort)
	if e.p.Because != "" {
		e.line("because", quote(e.p.Because), "because")
	}
	e.list("capabilities", "capabilities", e.p.Capabilities, nil)
	e.flag("init", "init", e.p.Init, e.base.Init)
	e.flag("user_namespace", "user_namespace", e.p.UserNamespace, e.base.UserNamespace)
	e.block("network", e.network)
	e.block("files", e.files)
	e.block("syscalls", e.syscalls)
	e.block("resources", e.resources)
	e.block("processor", e.processor)
	e.b.WriteString("}\n")
}

func (e *effective) head(name, base string) {
	fmt.Fprintf(&e.b, "profile %s {\n", quote(name))
	e.attribute("base", "profile."+base, "")
}

// announced is what widens must hold: the profile's own words, or, of a shipped one, those of its source.
func (e *effective) announced() []string {
	if blk := shipped().blocks[kindProfile][e.p.Name]; blk != nil && len(e.p.Base) > 0 {
		if a := blk.Body.Attributes["widens"]; a != nil {
			v, _ := a.Expr.Value(nil)
			var out []string
			for _, w := range v.AsValueSlice() {
				out = append(out, w.AsString())
			}
			return out
		}
	}
	return e.p.Widens
}

func (e *effective) widens(words []string) {
	if len(words) > 0 {
		e.attribute("widens", "["+quoted(words)+"]", "")
	}
}

// list is printer's. base are those of the shipped profile below, without which an empty list
// would have to be said.
func (e *effective) list(name, path string, words, base []string) {
	if e.twoBlocks && name == "best_effort" && !slices.Contains(words, "cgroup") {
		base = nil // the block below has named a bound of cgroup's, and given it up
	} else if name == "best_effort" && slices.Contains(base, "cgroup") && !slices.Contains(words, "cgroup") {
		return // what resources names says it
	}
	e.printer.list(name, path, quotedAll(words))
}
