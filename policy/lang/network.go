package lang

import (
	"fmt"
	"slices"

	"casemate/listener/address/spell"
	"casemate/sandbox"
)

// networkMode reads mode. Ports mean nothing without the host's network, so
// those of the base end with it.
func networkMode(b *block, a *Attribute, p *profile) {
	n := &p.Network
	word(func(p *profile) *sandbox.NetworkMode { return &p.Network.Mode }, sandbox.NetworkModes...)(b, a, p)
	if n.Mode != sandbox.NetworkHost {
		n.Connect, n.Bind = nil, nil
	}
}

// socketWords are the kinds of sockets that a profile may make, each a group of
// calls that the word adds to those of syscalls.
var socketWords = map[string]string{"unix": "@socket-unix", "tcp": "@socket-tcp", "udp": "@socket-udp", "netlink-route": "@netlink-route"}

// sockets reads sockets = ["unix", "udp", "netlink-route"].
func sockets(b *block, a *Attribute, p *profile) {
	words, ok := b.strs(a)
	if !ok {
		return
	}
	had := p.Syscalls
	for _, v := range words {
		group, known := socketWords[v.s]
		if !known {
			b.c.report(codeValue, v.rng, didYouMean(v.s, sortedKeys(socketWords), ""), "%q is not a kind of socket", clip(v.s))
			continue
		}
		if b.c.grants(had, group) {
			b.need(a.Layer, v, v.s+" sockets")
		}
		p.brings(b, v, group)
		if v.s == "netlink-route" {
			continue
		}
		switch p.Network.Mode {
		case sandbox.NetworkHost:
			p.brings(b, v, connecting[0]) // and no call but that has them reach anything
		case sandbox.NetworkPrivate: // where they reach each other, and nobody else
			p.brings(b, v, connecting[0])
			p.brings(b, v, binding[:3]...)
		}
	}
}

// The calls without which ports that are listed could not be used.
var (
	connecting = []string{"connect", "@socket-tcp"}
	binding    = []string{"bind", "listen", "@socket-accept", "@socket-tcp"}
)

// brings adds calls to those of syscalls, which what the network block grants needs:
// nobody has to say it twice.
func (p *profile) brings(b *block, v value, calls ...string) {
	const key = "syscalls.allow"
	p.items[key] = slices.Clone(p.items[key])
	for _, call := range calls {
		p.items[key] = append(p.items[key], value{kind: kindString, s: call, rng: v.rng})
	}
	p.Syscalls.Allow = b.c.sortWords("profiles."+p.Name+"."+key, p.items[key])
}

// sumSockets checks that the calls of sockets are there.
func sumSockets(b *block, p *profile) {
	if _, err := b.c.filter(&p.Syscalls); b.has("sockets") && err != nil && !b.c.failed(0) {
		b.c.report(codeValue, b.syn.DefRange(), "leave them out of deny, or of sockets", "%v", err)
	}
}

// maxPorts is how many ports a list may come to; each is a rule of the kernel's.
const maxPorts = 4096

// portList reads port names, numbers and ranges; "any" is every port and stands alone.
// With the host's network they bring the calls that they are for.
func portList(at func(*sandbox.Network) *[]uint16, calls []string) reader[profile] {
	return func(b *block, a *Attribute, p *profile) {
		items, _ := b.items(a)
		base := *at(&p.Network)
		out := slices.Clone(base)
		for _, v := range items {
			first, last, err := b.c.portsOf(v)
			if err != nil {
				b.c.report(codeValue, v.rng, err.next, "%s", err.summary)
				continue
			}
			if len(out)+int(last-first) >= maxPorts {
				b.c.report(codeBounds, v.rng, `write "any", or fewer ports`, "%s has more than %d ports", a.Name, maxPorts)
				return
			}
			for port := int(first); port <= int(last); port++ {
				if !slices.Contains(base, 0) && !slices.Contains(base, uint16(port)) {
					b.need(a.Layer, v, fmt.Sprintf("%s to port %s", a.Name, v.text()))
				}
				out = append(out, uint16(port))
			}
		}
		slices.Sort(out)
		out = slices.Compact(out)
		if slices.Contains(out, 0) {
			out = []uint16{0}
		}
		if *at(&p.Network) = out; len(items) > 0 && p.Network.Mode == sandbox.NetworkHost {
			p.brings(b, items[0], calls...)
		}
	}
}

// portsOf reads a port: a number, a name, a range, or "any" (0).
func (c *compiler) portsOf(v value) (first, last uint16, wrong *badValue) {
	switch {
	case v.kind == kindString && v.s == "any":
		return 0, 0, nil
	case v.kind == kindString:
		first, last, bad := spell.ParsePorts(v.s, c.ports("tcp", v.rng))
		if bad != nil {
			return 0, 0, &badValue{clip(bad.Summary), c.portNext(v.s, bad.Next)}
		}
		return first, last, nil
	case v.kind != kindNumber || v.n < 1 || v.n > 65535:
		return 0, 0, bad(`write a number from 1 to 65535, a name, a range ("8000-8010") or "any"`, "%s is not a port", v.describe())
	}
	return uint16(v.n), uint16(v.n), nil
}
