package canon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"casemate/policy"
	"casemate/policy/granted"
)

// DecodePart is DecodeDocument of what a document says about some blocks, with the digest of the whole: services by
// their names, each with the acl, limit and profile that it has, and "acl.NAME", "limit.NAME" and "profile.NAME". It holds the
// digest to the bytes of the whole policy and the blocks that it gives to their canonical form; of the others it sees
// nothing but that they have names, in order. false says that only DecodeDocument can tell: a block is not there, a
// service is about others as well (those of tcpmux are), or something is not as it should be.
func DecodePart(b []byte, names []string) (*policy.Document, bool) {
	if len(names) == 0 || len(b) > granted.MaxDocument+1 {
		return nil, false
	}
	t := text{b: bytes.TrimSuffix(b, []byte("\n"))}
	if !t.take(fmt.Sprintf(`{"format_version":%d,"digest":`, granted.DocumentFormat)) {
		return nil, false
	}
	digest, ok := t.word()
	if !ok || !t.take(`,"policy":`) {
		return nil, false
	}
	c, from := cutter{want: map[string]map[string]bool{}, grants: map[string]bool{}}, t.i
	if !c.lists(&t) || granted.Digest(t.b[from:t.i]) != digest || !c.wanted(names) {
		return nil, false
	}
	doc := &policy.Document{FormatVersion: granted.DocumentFormat, Digest: digest}
	if doc.Policy, ok = c.decoded(); !ok || !t.take(`,"origins":`) {
		return nil, false
	}
	origins, ok := c.origins(&t)
	if !ok || !t.take("}") || t.i != len(t.b) || granted.Unmarshal(origins, &doc.Origins) != nil || plain(doc.Origins) != nil {
		return nil, false
	}
	again, err := granted.Encode(doc.Origins)
	return doc, err == nil && bytes.Equal(again, origins)
}

// decoded is the policy with the wanted blocks alone. They are spelt as Encode spells them, and what they come to for root is among
// what the document grants.
func (c *cutter) decoded() (*policy.Policy, bool) {
	text, filters := c.policy()
	p := new(policy.Policy)
	if text == nil || granted.Unmarshal(text, p) != nil || granted.Unmarshal(filters, &p.Filters) != nil {
		return nil, false
	}
	resolve(p)
	whole, err := Encode(p)
	if err != nil {
		return nil, false
	}
	root := Granted(p)
	grant, err := granted.Encode(root)
	if err != nil || !bytes.Equal(whole, fmt.Appendf(nil, `{"granted":%s,%s`, grant, text[1:])) {
		return nil, false
	}
	return p, allGranted(c.grants, root.Profiles) && allGranted(c.grants, root.Services) && allGranted(c.grants, root.Commands)
}

// allGranted tells whether each of a list is among the values that a document grants.
func allGranted[T any](grants map[string]bool, list []T) bool {
	for _, one := range list {
		b, err := granted.Encode(one)
		if err != nil || !grants[string(b)] {
			return false
		}
	}
	return true
}

// cutter takes blocks out of a policy's bytes.
type cutter struct {
	members []member        // of the policy
	grants  map[string]bool // what is granted to root: profiles, services and commands, as they are written
	want    map[string]map[string]bool
}

// member is a value of the policy; of one that holds named blocks, those as well.
type member struct {
	key    string
	value  []byte
	blocks map[string][]byte
	order  []string
}

// named are the members of a policy that hold blocks with names, and what a block is called for each.
var named = map[string]string{"acls": "acl", "limits": "limit", "profiles": "profile", "filters": "filter", "services": "service", "disabled": "service"}

// lists finds all blocks.
func (c *cutter) lists(t *text) bool {
	return t.each("{", "}", func() bool {
		m := member{}
		var ok bool
		if m.key, ok = t.word(); !ok || !t.take(":") {
			return false
		}
		from := t.i
		switch {
		case m.key == "granted":
			ok = c.granted(t)
		case named[m.key] != "":
			ok = t.each("[", "]", func() bool {
				head := text{b: t.b, i: t.i}
				if !head.take(`{"name":`) {
					return false
				}
				name, ok := head.word()
				return ok && m.block(t, name)
			})
		default:
			_, ok = t.value()
		}
		m.value = t.b[from:t.i]
		c.members = append(c.members, m)
		return ok
	})
}

// granted finds what is granted to root, and the filters among that.
func (c *cutter) granted(t *text) bool {
	return t.each("{", "}", func() bool {
		m := member{}
		var ok bool
		if m.key, ok = t.word(); !ok || !t.take(":") {
			return false
		}
		switch m.key {
		case "filters":
			ok = t.each("{", "}", func() bool {
				name, ok := t.word()
				return ok && t.take(":") && m.block(t, name)
			})
			c.members = append(c.members, m)
		case "profiles", "services", "commands":
			ok = t.each("[", "]", func() bool {
				v, ok := t.value()
				c.grants[string(v)] = true
				return ok
			})
		default:
			_, ok = t.value()
		}
		return ok
	})
}

// block takes the next value for the block of that name, which follows those before.
func (m *member) block(t *text, name string) bool {
	v, ok := t.value()
	if n := len(m.order); !ok || n > 0 && m.order[n-1] >= name {
		return false
	}
	if m.blocks == nil {
		m.blocks = map[string][]byte{}
	}
	m.blocks[name] = v
	m.order = append(m.order, name)
	return true
}

// find gives the bytes of a block.
func (c *cutter) find(kind, name string) (found []byte) {
	for i := range c.members {
		if m := &c.members[i]; named[m.key] == kind && m.blocks[name] != nil {
			found = m.blocks[name]
		}
	}
	return found
}

// add wants a block, which has to be there.
func (c *cutter) add(kind, name string) ([]byte, bool) {
	if c.want[kind] == nil {
		c.want[kind] = map[string]bool{}
	}
	c.want[kind][name] = true
	b := c.find(kind, name)
	return b, b != nil
}

// wanted notes the blocks of those names, and what they refer to.
func (c *cutter) wanted(names []string) bool {
	for _, word := range names {
		kind, name, ok := strings.Cut(word, ".")
		if !ok {
			kind, name = "service", word
		}
		b, ok := c.add(kind, name)
		if !ok {
			return false
		}
		switch kind {
		case "service":
			ok = c.service(b)
		case "profile":
			ok = c.profile(b)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (c *cutter) service(b []byte) bool {
	var s struct {
		ACL, Limit, Profile, Builtin string
		Mux                          []string
	}
	if err := json.Unmarshal(b, &s); err != nil || len(s.Mux) > 0 || s.Builtin == policy.Tcpmux {
		return false
	}
	if s.ACL != "" {
		if _, ok := c.add("acl", s.ACL); !ok {
			return false
		}
	}
	_, limit := c.add("limit", s.Limit)
	profile, ok := c.add("profile", s.Profile)
	return limit && ok && c.profile(profile)
}

func (c *cutter) profile(b []byte) bool {
	var p struct{ Syscalls struct{ Filter string } }
	if err := json.Unmarshal(b, &p); err != nil {
		return false
	}
	_, ok := c.add("filter", p.Syscalls.Filter)
	return ok
}

// policy writes the policy with the wanted blocks alone, without what it grants, and the filters of these blocks. It is nil of nothing.
func (c *cutter) policy() (out, filters []byte) {
	out, filters = []byte{'{'}, []byte("{}")
	for i := range c.members {
		m := &c.members[i]
		kind := named[m.key]
		if m.key == "granted" {
			continue
		}
		if kind == "" {
			out = append(out, fmt.Sprintf("%q:%s,", m.key, m.value)...)
			continue
		}
		var kept [][]byte
		for _, name := range m.order {
			switch b := m.blocks[name]; {
			case c.want[kind][name] && m.key == "filters":
				kept = append(kept, fmt.Appendf(nil, "%q:%s", name, b))
			case c.want[kind][name]:
				kept = append(kept, b)
			}
		}
		switch list := bytes.Join(kept, []byte(",")); {
		case m.key == "filters":
			filters = fmt.Appendf(nil, "{%s}", list)
		case len(kept) > 0 || m.key != "disabled": // which is left out where it is empty
			out = fmt.Appendf(out, "%q:[%s],", m.key, list)
		}
	}
	if len(out) == 1 {
		return nil, nil
	}
	out[len(out)-1] = '}'
	return out, filters
}

// origins writes the origins of the wanted blocks, and of what is in none.
func (c *cutter) origins(t *text) ([]byte, bool) {
	out := []byte{'{'}
	var last []byte
	ok := t.each("{", "}", func() bool {
		from := t.i
		key, ok := t.quoted()
		if !ok || !t.take(":") || bytes.Compare(last, key) >= 0 {
			return false
		}
		last = key
		if _, ok := t.quoted(); !ok {
			return false
		}
		if list, rest, inner := bytes.Cut(key, []byte(".")); inner {
			name, _, _ := bytes.Cut(rest, []byte("."))
			if !c.want[named[string(list)]][string(name)] {
				return true
			}
		}
		out = append(append(out, t.b[from:t.i]...), ',')
		return true
	})
	if len(out) == 1 {
		return []byte("{}"), ok
	}
	out[len(out)-1] = '}'
	return out, ok
}
