package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/sandbox"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// profile is a resolved profile with the ranges that its lists' items came
// from, which its children's origins need.
type profile struct {
	sandbox.Profile
	items map[string][]value // by path below the profile: "files.read"
	rules []value            // the ranges of Syscalls.Rules
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
	b := c.open(syn, "profiles."+name, []string{"base", "widens", "best_effort", "because", "capabilities", "init", "user_namespace"},
		"network", "files", "syscalls", "resources")
	base := c.baseOf(b)
	if base == nil {
		return nil
	}
	p := &profile{Profile: base.Profile, items: maps.Clone(base.items), rules: slices.Clone(base.rules)}
	p.Name, p.Base, p.Widens = name, nil, slices.Clone(base.Widens)
	p.Syscalls.Rules = slices.Clone(p.Syscalls.Rules)
	if base.Name != "" {
		p.Base = append([]string{base.Name}, base.Base...)
		c.inherit("profiles."+base.Name, b.path)
	}
	c.put(b.path+".name", syn.LabelRanges[0])
	w := &widening{c: c, base: base, name: name, syn: syn, used: map[string]bool{}}
	w.declared, _ = b.words("widens", "widens")
	if s, ok := b.str("because", "because"); ok {
		p.Because = s
	}
	p.BestEffort = p.extend(b, "best_effort", "best_effort")
	p.network(b, w)
	p.confine(b, w)
	p.files(b, w)
	p.syscalls(b, w)
	p.resources(b, w)
	w.finish(b, p)
	return p
}

// baseOf returns the profile that b begins with: strict when it names none, and
// nothing at all for the first of the shipped ones.
func (c *compiler) baseOf(b *block) *profile {
	name, _, ok := b.reference("base", kindProfile, "base")
	switch {
	case ok:
		return c.resolve(name)
	case b.syn.Body.Attributes["base"] != nil:
		return nil
	case c.base != nil:
		return c.base.profiles["strict"]
	}
	return &profile{Profile: sandbox.Profile{Network: sandbox.Network{Mode: "none"}, Syscalls: sandbox.Syscalls{OnViolation: "kill"}}, items: map[string][]value{}}
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

// extend adds the strings of an attribute to the base's list of that path.
func (p *profile) extend(b *block, name, path string) []string {
	full := strings.TrimPrefix(b.path, "profiles."+p.Name)
	key := strings.TrimPrefix(full+"."+path, ".")
	own, ok := b.strs(name, path)
	if ok {
		p.items[key] = append(slices.Clone(p.items[key]), own...)
	}
	if len(p.items[key]) == 0 {
		return nil
	}
	return b.c.sortWords(b.join(path), p.items[key])
}

// networks are the modes, each reaching more than the one before.
var networks = []string{"none", "listener", "host"}

// network reads network { mode, connect, bind, sockets }.
func (p *profile) network(b *block, w *widening) {
	n := b.one("network", "network", []string{"mode", "connect", "bind", "sockets"})
	if n == nil {
		return
	}
	if s, ok := n.str("mode", "mode"); ok {
		if slices.Index(networks, s) > slices.Index(networks, p.Network.Mode) {
			w.need("network", b.c.places[n.join("mode")], fmt.Sprintf("mode = %q", s))
		}
		if s != "host" {
			p.Network.Connect, p.Network.Bind = nil, nil
		}
		p.Network.Mode = s
	}
	p.Network.Connect = n.ports("connect", p.Network.Connect, w)
	p.Network.Bind = n.ports("bind", p.Network.Bind, w)
	p.sockets(n, w)
}

// socketWords are the kinds of sockets that a profile may make, each a group of
// calls that the word adds to those of syscalls.
var socketWords = map[string]string{"unix": "@socket-unix", "tcp": "@socket-tcp", "udp": "@socket-udp", "netlink-route": "@netlink-route"}

// sockets reads sockets = ["unix", "udp", "netlink-route"].
func (p *profile) sockets(n *block, w *widening) {
	words, ok := n.strs("sockets", "sockets")
	if !ok {
		return
	}
	had := p.Syscalls
	const key = "syscalls.allow"
	for _, v := range words {
		group, known := socketWords[v.s]
		if !known {
			n.c.report(codeValue, v.rng, didYouMean(v.s, sortedKeys(socketWords), ""), "%q is not a kind of socket", clip(v.s))
			continue
		}
		if n.c.grants(had, group) {
			w.need("network", v.rng, v.s+" sockets")
		}
		p.items[key] = append(slices.Clone(p.items[key]), value{kind: kindString, s: group, rng: v.rng})
	}
	p.Syscalls.Allow = n.c.sortWords("profiles."+p.Name+"."+key, p.items[key])
	if _, err := n.c.filter(&p.Syscalls); err != nil && !n.c.failed(0) {
		n.c.report(codeValue, n.syn.DefRange(), "leave them out of deny, or of sockets", "%v", err)
	}
}

// maxPorts is how many ports a list may come to; each is a rule of the kernel's.
const maxPorts = 4096

// ports reads port names, numbers and ranges; "any" is every port and stands alone.
func (b *block) ports(name string, base []uint16, w *widening) []uint16 {
	items, ok := b.items(name, name)
	if !ok {
		return base
	}
	out := slices.Clone(base)
	for _, v := range items {
		first, last, err := portsOf(v)
		if err != nil {
			b.c.report(codeValue, v.rng, err.next, "%s", err.summary)
			continue
		}
		if len(out)+int(last-first) >= maxPorts {
			b.c.report(codeBounds, v.rng, `write "any", or fewer ports`, "%s has more than %d ports", name, maxPorts)
			return base
		}
		for port := int(first); port <= int(last); port++ {
			if !slices.Contains(base, 0) && !slices.Contains(base, uint16(port)) {
				w.need("network", v.rng, fmt.Sprintf("%s to port %s", name, v.text()))
			}
			out = append(out, uint16(port))
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if slices.Contains(out, 0) {
		out = []uint16{0}
	}
	return out
}

// confine reads capabilities, init and user_namespace.
func (p *profile) confine(b *block, w *widening) {
	had := p.Capabilities
	p.Capabilities = p.extend(b, "capabilities", "capabilities")
	for i, name := range p.Capabilities {
		if !slices.Contains(had, name) {
			w.need("capabilities", b.c.places[fmt.Sprintf("%s.capabilities.%d", b.path, i)], name)
		}
	}
	if v, ok := b.boolean("init", "init"); ok {
		p.Init = v
	}
	if v, ok := b.boolean("user_namespace", "user_namespace"); ok {
		if p.UserNamespace && !v {
			w.need("user_namespace", b.c.places[b.join("user_namespace")], "leaving the user namespace")
		}
		p.UserNamespace = v
	}
}

// files reads files { read, exec, write, tmp, shm, proc, pty, dev }.
func (p *profile) files(b *block, w *widening) {
	c, f := b.c, b.one("files", "files", []string{"read", "exec", "write", "tmp", "shm", "proc", "pty", "dev"})
	if f == nil {
		return
	}
	had := p.Files
	p.Files.Read = p.extend(f, "read", "read")
	p.Files.Exec = p.extend(f, "exec", "exec")
	p.Files.Write = p.extend(f, "write", "write")
	p.Files.Dev = p.extend(f, "dev", "dev")
	for _, l := range []struct {
		kind     string
		now, had []string
	}{{"exec", p.Files.Exec, had.Exec}, {"write", p.Files.Write, had.Write}} {
		for i, name := range l.now {
			if !slices.Contains(l.had, name) {
				w.need("files", c.places[fmt.Sprintf("%s.%s.%d", f.path, l.kind, i)], fmt.Sprintf("%s %q", l.kind, clip(name)))
			}
		}
	}
	if n, ok := f.size("tmp", "tmp", "1MiB"); ok {
		p.Files.Tmp = n
	}
	if n, ok := f.size("shm", "shm", "1MiB"); ok {
		p.Files.Shm = n
	}
	for _, own := range []struct {
		name string
		into *bool
	}{{"proc", &p.Files.Proc}, {"pty", &p.Files.Pty}} {
		if v, ok := f.boolean(own.name, own.name); ok {
			if v && !*own.into {
				w.need("files", c.places[f.join(own.name)], own.name+" = true")
			}
			*own.into = v
		}
	}
}
