package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/policy/suggest"
	"casemate/sandbox"
	"casemate/sandbox/rootfs/nodes"
	"casemate/sandbox/seccomp"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// profile is a resolved profile with the ranges that its lists' items came
// from, which its children's origins need.
type profile struct {
	sandbox.Profile
	items map[string][]value // by path below the profile: "files.read"
}

// maxBases bounds how many profiles may stand on each other.
const maxBases = 16

// resolve compiles a profile after its base, once. nil means reported.
func (c *compiler) resolve(name string) *profile {
	if p, ok := c.profiles[name]; ok {
		return p
	}
	syn := c.blocks[kindProfile][name]
	if syn == nil {
		return c.base.profiles[name]
	}
	if i := slices.Index(c.parents, name); i >= 0 || len(c.parents) == maxBases {
		chain := append(slices.Clone(c.parents[max(i, 0):]), name)
		c.report(codeCycle, syn.DefRange(), "give one of them a shipped base", "profiles stand on each other: %s", "profile."+strings.Join(chain, " -> profile."))
		return nil
	}
	c.parents = append(c.parents, name)
	p := c.profileBlock(name, syn)
	c.parents = c.parents[:len(c.parents)-1]
	c.profiles[name] = p
	return p
}

// profileBlock copies the base and lays the block's own attributes over it.
func (c *compiler) profileBlock(name string, syn *hclsyntax.Block) *profile {
	b := profileTable.open(c, syn, "profiles."+name)
	base := c.baseOf(b)
	if base == nil {
		return nil
	}
	p := &profile{Profile: base.Profile, items: maps.Clone(base.items)}
	p.Name, p.Base, p.Widens = name, nil, slices.Clone(base.Widens)
	p.Syscalls.ByArgument = slices.Clone(p.Syscalls.ByArgument)
	if base.Name != "" {
		p.Base = append([]string{base.Name}, base.Base...)
		c.inherit("profiles."+base.Name, b.path)
	}
	c.put(b.path+".name", syn.LabelRanges[0])
	b.w = &widening{c: c, base: base, name: name, syn: syn, used: map[string]bool{}, since: len(c.found)}
	profileTable.read(b, p)
	c.logDenied(b, p)
	b.w.finish(b, p)
	return p
}

// baseOf returns the profile that b begins with: strict when it names none, and
// nothing at all for the first of the shipped ones.
func (c *compiler) baseOf(b *block) *profile {
	switch {
	case b.has(baseRow.Name):
		if name, ok := b.reference(&baseRow, kindProfile); ok {
			return c.resolve(name)
		}
		return nil
	case c.base != nil:
		return c.base.profiles["strict"]
	}
	return &profile{Profile: sandbox.Profile{Network: sandbox.Network{Mode: sandbox.NetworkNone}, Syscalls: sandbox.Syscalls{OnViolation: seccomp.Kill}}, items: map[string][]value{}}
}

// inherit gives the base's places to the child: what it does not write was
// written there.
func (c *compiler) inherit(from, to string) {
	source := c
	if _, ok := c.places[from]; !ok && c.base != nil {
		source = c.base
	}
	for _, path := range source.within[from] {
		rest := strings.TrimPrefix(path, from)
		if rng, ok := source.places[path]; ok && rest != "" && rest != ".base" && !strings.HasPrefix(rest, ".widens") {
			if _, own := c.places[to+rest]; !own {
				c.put(to+rest, rng)
				if source.inner[path] {
					c.inner[to+rest] = true
				}
			}
		}
	}
}

// extend adds the strings of an attribute to the base's list. What the layer
// of the row is for widens it.
func extend(at func(*profile) *[]string) reader[profile] {
	return func(b *block, a *Attribute, p *profile) {
		own, ok := b.strs(a)
		if !ok {
			return
		}
		had := *at(p)
		*at(p) = p.add(b, a.Name, own)
		for _, v := range own {
			if a.Words != nil && !slices.Contains(a.Words, v.s) {
				b.w.used[a.Layer] = true // as far as anybody can tell
				b.c.report(codeMeaning, v.rng, otherWord(a, v.s), "%q is not known in %s", clip(v.s), a.Name)
			} else if !slices.Contains(had, v.s) {
				b.need(a.Layer, v, fmt.Sprintf("%s %q", a.Name, clip(v.s)))
			}
		}
	}
}

// mapped adds places of the host to those of the base. They are the profile's paths, so a base
// that names a path in a list would show something else by it.
func mapped(b *block, a *Attribute, p *profile) {
	v, ok := b.typed(a, kindObject)
	if !ok || !b.c.spend(v.rng, 64*len(v.obj)) {
		return
	}
	all := map[string]string{}
	maps.Copy(all, p.Files.Map) // the base keeps its own
	for _, f := range v.obj {
		if f.val.kind != kindString {
			b.c.report(codeType, f.val.rng, "write a path of the host, as "+a.write(), "map: %s cannot be %s", clip(f.name), f.val.describe())
			continue
		}
		b.c.put(b.join("map."+f.name), f.val.rng)
		if all[f.name] != f.val.s {
			b.need(a.Layer, f.val, fmt.Sprintf("map of %q", clip(f.name)))
		}
		all[f.name] = f.val.s
	}
	if len(all) > 0 {
		p.Files.Map = all
	}
}

// devices reads those of the host, and answers the ones that a profile has in another way.
func devices(b *block, a *Attribute, p *profile) {
	own, _ := b.strs(a)
	for _, v := range own {
		name, _ := strings.CutPrefix(v.s, "/dev/")
		top, _, _ := strings.Cut(name, "/")
		next := map[string]string{"shm": `write shm = "16MiB"`, "ptmx": "write pty = true", "pts": "write pty = true", "tty": "write pty = true",
			"fd": "write proc = true", "stdin": "write proc = true", "stdout": "write proc = true", "stderr": "write proc = true"}[top]
		if slices.Contains(nodes.Names, name) {
			next = fmt.Sprintf("write dev = [%q]", name)
		}
		if next != "" {
			b.c.report(codeMeaning, v.rng, next, "%q is no device of the host alone", clip(v.s))
		}
	}
	extend(func(p *profile) *[]string { return &p.Files.Devices })(b, a, p)
}

// otherWord is the step for a word that is none of the attribute's. It comes before any
// word of what the profile would have to say to grant it.
func otherWord(a *Attribute, s string) string {
	full := "CAP_" + strings.TrimPrefix(strings.ToUpper(s), "CAP_")
	switch {
	case a.Layer != "capabilities" && suggest.Word(s, a.Words) != "":
		return fmt.Sprintf("did you mean %q? It is one of: %s", suggest.Word(s, a.Words), strings.Join(a.Words, ", "))
	case a.Layer != "capabilities":
		return "write one of: " + strings.Join(a.Words, ", ")
	case full != s && slices.Contains(a.Words, full):
		return fmt.Sprintf("write %q", full)
	}
	return "no other can be given to a service than " + strings.Join(a.Words, ", ")
}

// add puts items behind those of the base and returns all, sorted.
func (p *profile) add(b *block, name string, own []value) []string {
	path := b.join(name)
	key := strings.TrimPrefix(path, "profiles."+p.Name+".")
	p.items[key] = append(slices.Clone(p.items[key]), own...)
	if len(p.items[key]) == 0 {
		return nil
	}
	return b.c.sortWords(path, p.items[key])
}
