package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate/policy/suggest"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// syscalls reads syscalls { allow, deny, on_violation, seal, rule "name" { ... } }.
func (p *profile) syscalls(b *block, w *widening) {
	s := b.one("syscalls", "syscalls", []string{"allow", "deny", "on_violation", "seal"}, "rule")
	if s == nil {
		return
	}
	had := p.Syscalls
	own, _ := s.syscallNames("allow")
	p.items["syscalls.deny"] = slices.DeleteFunc(slices.Clone(p.items["syscalls.deny"]), func(v value) bool {
		return slices.ContainsFunc(own, func(o value) bool { return o.s == v.s })
	})
	s.syscallNames("deny")
	p.Syscalls.Allow = p.extend(s, "allow", "allow")
	p.Syscalls.Deny = p.extend(s, "deny", "deny")
	for _, v := range own {
		if b.c.grants(had, v.s) {
			w.need("syscalls", v.rng, v.s)
		}
	}
	if word, ok := s.str("on_violation", "on_violation"); ok {
		if word == "errno" && had.OnViolation == "kill" {
			w.need("syscalls", b.c.places[s.join("on_violation")], `on_violation = "errno"`)
		}
		p.Syscalls.OnViolation = word
	}
	if v, ok := s.boolean("seal", "seal"); ok {
		if had.Seal && !v {
			w.need("syscalls", b.c.places[s.join("seal")], "seal = false")
		}
		p.Syscalls.Seal = v
	}
	for _, inner := range s.syn.Body.Blocks {
		if inner.Type == "rule" {
			p.syscallRule(s, inner, w)
		}
	}
	if _, err := b.c.filter(&p.Syscalls); err != nil && !b.c.failed(0) {
		b.c.report(codeValue, s.syn.DefRange(), "change allow, deny or the rules", "%v", err)
	}
}

// syscallNames checks each name and group against the table.
func (b *block) syscallNames(name string) ([]value, bool) {
	items, ok := b.strs(name, name)
	if !ok {
		return nil, false
	}
	for _, v := range items {
		if _, err := b.c.resolveCalls([]string{v.s}, nil); err != nil {
			b.c.report(codeValue, v.rng, knownCalls(err), "%s", clip(strings.TrimPrefix(err.Error(), "allow: ")))
		}
	}
	return items, true
}

// knownCalls is the next step after an error about a name.
func knownCalls(err error) string {
	var bad *seccomp.UnknownError
	if errors.As(err, &bad) {
		name, known := advise.Meant(bad)
		if name == "" {
			name = suggest.Word(bad.Name, known)
		}
		if name != "" {
			return fmt.Sprintf("did you mean %q?", name)
		}
	}
	return "see the names in syscalls(2), and the groups: " + strings.Join(seccomp.Groups(), ", ")
}

// maxResolutions bounds compiler.calls, of some 20 KiB each; beyond it all are
// forgotten.
const maxResolutions = 512

// resolution is what allow and deny come to.
type resolution struct {
	rules []seccomp.Rule // only read: profiles share them
	err   error
}

// resolveCalls is seccomp.Resolve, once for the same lists: thousands of
// profiles take theirs from the same few bases.
func (c *compiler) resolveCalls(allow, deny []string) ([]seccomp.Rule, error) {
	key := strings.Join(allow, " ") + " - " + strings.Join(deny, " ")
	r, ok := c.calls[key]
	if !ok {
		r.rules, r.err = seccomp.Resolve(allow, deny)
		if len(c.calls) == maxResolutions {
			clear(c.calls)
		}
		c.calls[key] = r
	}
	return r.rules, r.err
}

// filter is sandbox.Syscalls.Filter by resolveCalls.
func (c *compiler) filter(s *sandbox.Syscalls) ([]seccomp.Rule, error) {
	if len(s.Rules) > 0 {
		return s.Filter()
	}
	return c.resolveCalls(s.Allow, s.Deny)
}

// grants tells whether adding entry to the base's list allows anything new.
func (c *compiler) grants(base sandbox.Syscalls, entry string) bool {
	before, err := c.resolveCalls(base.Allow, base.Deny)
	if err != nil {
		return true
	}
	added, err := c.resolveCalls([]string{entry}, nil)
	if err != nil {
		return false // unknown, and reported as that
	}
	return slices.ContainsFunc(added, func(r seccomp.Rule) bool { return !seccomp.Cover(before, r) })
}

// syscallRule reads rule "socket" { arg = 0, mask = "0xff", values = [1, "0x2"] }.
func (p *profile) syscallRule(s *block, syn *hclsyntax.Block, w *widening) {
	c := s.c
	if !c.labels(syn, 1) {
		return
	}
	b := c.open(syn, fmt.Sprintf("%s.rules.%d", s.path, len(p.Syscalls.Rules)), []string{"arg", "mask", "values"})
	r := sandbox.SyscallRule{Name: syn.Labels[0]}
	if _, ok := seccomp.Number(r.Name); !ok {
		_, err := c.resolveCalls([]string{r.Name}, nil)
		next := "write the name of one call, as in syscalls(2)"
		if err != nil {
			next = knownCalls(err)
		}
		c.report(codeValue, syn.LabelRanges[0], next, "%q is not a system call", clip(r.Name))
	}
	c.put(b.path+".name", syn.LabelRanges[0])
	b.missing("arg", "write arg = 0 for the first argument")
	b.missing("values", "write values = [1]")
	if n, ok := b.number("arg", "arg"); ok {
		r.Arg = uint(min(n, 100))
	}
	if v, ok := b.attr("mask", "mask"); ok {
		r.Mask = b.word32(v)
	}
	items, _ := b.items("values", "values")
	for _, v := range items {
		r.Values = append(r.Values, b.word32(v))
	}
	p.Syscalls.Rules = append(p.Syscalls.Rules, r)
	if c.grants(w.base.Syscalls, r.Name) {
		w.need("syscalls", syn.DefRange(), r.Name+" by argument")
	}
}
