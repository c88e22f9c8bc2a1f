package lang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/calls"
	"casemate/policy/suggest"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// allowCalls reads allow. What the base denies comes back when it is named.
func allowCalls(b *block, a *Attribute, p *profile) {
	had, own := p.Syscalls, b.callNames(a)
	const denied = "syscalls.deny"
	p.items[denied] = slices.DeleteFunc(slices.Clone(p.items[denied]), func(v value) bool {
		return slices.ContainsFunc(own, func(o value) bool { return o.s == v.s })
	})
	p.Syscalls.Deny = p.add(b, "deny", nil)
	p.Syscalls.Allow = p.add(b, a.Name, own)
	for _, v := range own {
		if b.c.grants(had, v.s) {
			if rules, err := b.c.resolveCalls([]string{v.s}, nil); err == nil && p.Network.Mode == sandbox.NetworkNone && len(advise.Reach(rules, "@socket-accept")) > 0 {
				all, _ := b.c.filter(&p.Syscalls) // or what is wrong with it is reported by itself
				b.w.next = hostWay(p, all, advise.Reach(rules))
			}
			b.need(a.Layer, v, v.s)
			b.w.next = ""
		}
	}
}

func denyCalls(b *block, a *Attribute, p *profile) {
	p.Syscalls.Deny = p.add(b, a.Name, b.callNames(a))
}

// syscallRules reads the rules of syscalls and checks what all of it comes to.
func syscallRules(b *block, p *profile) {
	for _, inner := range b.syn.Body.Blocks {
		if inner.Type == "rule" {
			p.syscallRule(b, inner)
		}
	}
	if _, err := b.c.filter(&p.Syscalls); err != nil && !b.c.failed(0) {
		b.c.report(codeValue, b.syn.DefRange(), "change allow, deny or the rules", "%v", err)
	}
}

// callNames checks each name and group against the table.
func (b *block) callNames(a *Attribute) []value {
	items, ok := b.strs(a)
	if !ok {
		return nil
	}
	for _, v := range items {
		allow, deny := []string{v.s}, []string(nil)
		if a.Name == "deny" {
			allow, deny = deny, allow
		}
		if _, err := b.c.resolveCalls(allow, deny); err != nil {
			b.c.report(codeValue, v.rng, knownCalls(err), "%s", clip(strings.TrimPrefix(err.Error(), a.Name+": ")))
		}
	}
	return items
}

// knownCalls is the next step after an error about a name.
func knownCalls(err error) string {
	var bad *seccomp.UnknownError
	if !errors.As(err, &bad) {
		return "remove it: it needs a capability that no profile can keep"
	}
	name, known := advise.Meant(bad)
	if name == "" {
		name = suggest.Word(bad.Name, known)
	}
	if name != "" {
		return fmt.Sprintf("did you mean %q?", name)
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
		c.remember(key, r)
	}
	return r.rules, r.err
}

// filter is calls.Resolve by resolveCalls, and remembered as well.
func (c *compiler) filter(s *sandbox.Syscalls) ([]seccomp.Rule, error) {
	if len(s.ByArgument) == 0 && !s.NoWritten {
		return c.resolveCalls(s.Allow, s.Deny)
	}
	key := fmt.Sprint(s.Allow, s.Deny, s.ByArgument, s.NoWritten)
	r, ok := c.calls[key]
	if !ok {
		var rules []seccomp.Rule
		if rules, r.err = c.resolveCalls(s.Allow, s.Deny); r.err == nil {
			r.rules, r.err = calls.With(s, rules)
		}
		c.remember(key, r)
	}
	return r.rules, r.err
}

// remember bounds compiler.calls.
func (c *compiler) remember(key string, r resolution) {
	if len(c.calls) == maxResolutions {
		clear(c.calls)
	}
	c.calls[key] = r
}

// grants tells whether adding entry to the base's list allows anything new, under the base's NoWritten.
func (c *compiler) grants(base sandbox.Syscalls, entry string) bool {
	before, err := c.resolveCalls(base.Allow, base.Deny)
	if err != nil {
		return true
	}
	added, err := c.resolveCalls([]string{entry}, nil)
	if err != nil {
		return false // unknown, and reported as that
	}
	if base.NoWritten {
		added = seccomp.WithoutWritten(added)
	}
	return slices.ContainsFunc(added, func(r seccomp.Rule) bool { return !seccomp.Cover(before, r) })
}

// syscallRule reads one rule.
func (p *profile) syscallRule(s *block, syn *hclsyntax.Block) {
	c := s.c
	if !c.labels(syn, 1) {
		return
	}
	b := syscallTable.open(c, syn, fmt.Sprintf("%s.rules.%d", s.path, len(p.Syscalls.ByArgument)))
	r := sandbox.SyscallRule{Name: syn.Labels[0]}
	_, err := c.resolveCalls([]string{r.Name}, nil)
	if _, ok := seccomp.Number(r.Name); ok && err != nil {
		c.report(codeValue, syn.LabelRanges[0], knownCalls(err), "%s", strings.TrimPrefix(err.Error(), "allow: "))
	} else if !ok {
		next := "write the name of one call, as in syscalls(2)"
		if err != nil {
			next = knownCalls(err)
		}
		c.report(codeValue, syn.LabelRanges[0], next, "%q is not a system call", clip(r.Name))
	}
	c.put(b.path+".name", syn.LabelRanges[0])
	b.missing("arg", "write arg = 0 for the first argument")
	b.missing("values", "write values = [1]")
	syscallTable.read(b, &r)
	p.Syscalls.ByArgument = append(p.Syscalls.ByArgument, r)
	before := s.w.base.Syscalls
	before.NoWritten = p.Syscalls.NoWritten
	said := func(b sandbox.SyscallRule) bool { // what the base says as well, which is not more
		return b.Name == r.Name && b.Arg == r.Arg && b.Mask == r.Mask && !slices.ContainsFunc(r.Values, func(v uint32) bool { return !slices.Contains(b.Values, v) })
	}
	if !slices.ContainsFunc(before.ByArgument, said) && c.grants(before, r.Name) {
		s.w.need("syscalls", syn.DefRange(), r.Name+" by argument")
	}
}

func maskBits(b *block, a *Attribute, r *sandbox.SyscallRule) {
	if v, ok := b.attr(a); ok {
		r.Mask = b.word32(v)
	}
}

func maskedValues(b *block, a *Attribute, r *sandbox.SyscallRule) {
	items, ok := b.items(a)
	if ok && len(items) == 0 {
		b.c.report(codeValue, b.syn.DefRange(), "write values = [1]", "a rule without a value allows nothing")
	}
	for _, v := range items {
		r.Values = append(r.Values, b.word32(v))
	}
}

// word32 reads a 32-bit number: 5, or "0x05" in any base of Go's syntax.
func (b *block) word32(v value) uint32 {
	n, err := uint64(v.n), error(nil)
	if v.kind == kindString {
		n, err = strconv.ParseUint(v.s, 0, 32)
	}
	if v.kind > kindNumber || err != nil || n > 1<<32-1 {
		b.c.report(codeValue, v.rng, `write 1 or "0x1"`, "%s is not a 32-bit number", v.describe())
		return 0
	}
	return uint32(n)
}
