package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/acl/trace"
	"casemate/policy/explain"
	"casemate/policy/policytest"

	"github.com/hashicorp/hcl/v2"
)

// asserted makes a reader's value one that knows its place.
func asserted[V any](b *block, a *Attribute, v V) *policytest.Said[V] {
	rng := b.syn.Body.Attributes[a.Name].SrcRange
	at := testPlace(rng)
	b.c.suite.ranges[at] = rng
	return &policytest.Said[V]{Value: v, At: at}
}

// visitorRows are what decides about a client, in a case and in an arrive.
func visitorRows[T any](at func(*T) *policytest.Visitor) []row[T] {
	text := func(a Attribute, take func(v *policytest.Visitor, s string) error) row[T] {
		return row[T]{a, func(b *block, a *Attribute, to *T) {
			v, ok := b.typed(a, kindString)
			if !ok {
				return
			}
			if err := take(at(to), v.s); err != nil {
				summary, next, cut := strings.Cut(err.Error(), ": write ")
				if next = "write " + next; !cut {
					next = "for example " + a.write()
				}
				b.c.report(codeValue, v.rng, next, "%s: %s", a.Name, summary)
			}
		}}
	}
	return []row[T]{
		{Attribute{Name: "client", Example: `["192.0.2.66", "2001:db8::1"]`, Doc: "one or several: addresses, unix or uid=1000 for a client of a unix socket, cid=3 for one of a vsock"},
			func(b *block, a *Attribute, to *T) { at(to).Clients = b.clients(a) }},
		text(Attribute{Name: "name", Example: `"www.example.org"`, Doc: "the host name of the client, confirmed; or unknown (it has none), paranoid (name and address disagree), no-answer; absent: nobody asked, and a test whose answer depends on it fails"},
			func(v *policytest.Visitor, s string) error { v.Name = s; _, err := trace.ParseName(s); return err }),
		text(Attribute{Name: "local", Example: `"192.0.2.1"`, Doc: "the address it connects to; absent: not known, so no allow rule with to matches, and each deny rule with to does"},
			func(v *policytest.Visitor, s string) (err error) {
				v.Local, err = explain.ParseAddr("it", s)
				return err
			}),
		text(Attribute{Name: "network", Example: `"udp"`, Doc: "that of the socket it comes to; absent: of the first that the service has"},
			func(v *policytest.Visitor, s string) error { v.Network = s; return nil }),
		text(Attribute{Name: "at", Example: `"2026-11-26T18:30:00Z"`, Doc: "when it comes; absent: not known, so no allow rule with during matches, and each deny rule with during does. The clock goes on with arrive"},
			func(v *policytest.Visitor, s string) (err error) { v.Time, err = explain.ParseTime(s); return err }),
		{Attribute{Name: "load", Example: `"3.50"`, Unset: `"0"`, Doc: "the host's load average, for max_load"},
			func(b *block, a *Attribute, to *T) {
				var l limit.Spec
				load(b, a, &l)
				at(to).Load = l.MaxLoad
			}},
		{Attribute{Name: "draw", Example: `"refuse"`, Words: policytest.Draws, Doc: "how the draw of the limit's early_drop ends, for each client; absent: not known, and a test whose answer depends on it fails"},
			func(b *block, a *Attribute, to *T) { at(to).Draw, _ = b.oneOf(a) }},
	}
}

// clients reads one client or a list of them.
func (b *block) clients(a *Attribute) (out []policytest.Client) {
	v, ok := b.attr(a)
	if !ok || !b.c.spend(v.rng, 64*len(v.list)) {
		return nil
	}
	items := v.list
	if v.kind != kindList {
		items = []value{v}
	}
	for _, item := range items {
		if item.kind != kindString {
			b.c.report(codeType, item.rng, "write "+a.write(), "%s holds strings, not %s", a.Name, item.describe())
			return nil
		}
		client, err := policytest.ParseClient(item.s)
		if err != nil {
			summary, next, _ := strings.Cut(err.Error(), ": write ")
			b.c.report(codeValue, item.rng, "write "+next, "client %s", summary)
			return nil
		}
		out = append(out, client)
	}
	if len(out) == 0 {
		b.c.report(codeValue, v.rng, "write "+a.write(), "there is no client in the list")
	}
	return out
}

// reasonWords are the refusals that a test can name: those of the log.
var reasonWords = policytest.Reasons

// wantRows are what a test asserts.
func wantRows[T any](at func(*T) *policytest.Want) []row[T] {
	text := func(a Attribute, to func(*policytest.Want) **policytest.Said[string]) row[T] {
		return row[T]{a, func(b *block, a *Attribute, t *T) {
			if v, ok := b.attr(a); ok && v.scalar() {
				*to(at(t)) = asserted(b, a, v.text())
			} else if ok {
				b.c.report(codeType, v.rng, "write "+a.write(), "%s must be a string, not %s", a.Name, v.describe())
			}
		}}
	}
	named := func(kind string, a Attribute, to func(*policytest.Want) **policytest.Said[string]) row[T] {
		return row[T]{a, func(b *block, a *Attribute, t *T) {
			if name, ok := b.named(a, kind); ok {
				*to(at(t)) = asserted(b, a, name)
			}
		}}
	}
	whole := func(a Attribute, to func(*policytest.Want) **policytest.Said[int]) row[T] {
		return row[T]{a, func(b *block, a *Attribute, t *T) {
			if v, ok := b.typed(a, kindNumber); ok {
				*to(at(t)) = asserted(b, a, int(min(v.n, policytest.MaxVisits+1)))
			}
		}}
	}
	list := func(a Attribute, to func(*policytest.Want) **policytest.Said[[]string]) row[T] {
		return row[T]{a, func(b *block, a *Attribute, t *T) {
			if items, ok := b.strs(a); ok {
				*to(at(t)) = asserted(b, a, texts(items))
			}
		}}
	}
	return []row[T]{
		{Attribute{Name: "expect", Example: `"deny"`, Words: []string{string(acl.Allow), string(acl.Deny)}, Doc: "what becomes of each client, by the rules and the limits"},
			func(b *block, a *Attribute, t *T) {
				if v, ok := b.oneOf(a); ok {
					at(t).Expect = asserted(b, a, acl.Verdict(v))
				}
			}},
		{Attribute{Name: "matched", Example: "acl.office.default", Doc: `the rule that decides: acl.NAME.RULE (in quotes as well) or RULE alone, a rule's name, its number from 1, or default; "none" of a service without acl, "disabled"`},
			func(b *block, a *Attribute, t *T) {
				if m, ok := b.match(a); ok {
					at(t).Matched = asserted(b, a, m)
				}
			}},
		{Attribute{Name: "reason", Example: `"source-rate"`, Words: reasonWords, Doc: "why clients are refused, in the words of the log; of arrive one or several, all that occur and no others"},
			func(b *block, a *Attribute, t *T) {
				if words, ok := b.reasons(a); ok {
					at(t).Reason = asserted(b, a, words)
				}
			}},
		whole(Attribute{Name: "allowed", Example: "3", Doc: "how many of arrive are admitted, those who had to wait included"},
			func(w *policytest.Want) **policytest.Said[int] { return &w.Allowed }),
		whole(Attribute{Name: "waited", Example: "2", Doc: "how many of arrive wait in the queue, whatever becomes of them"},
			func(w *policytest.Want) **policytest.Said[int] { return &w.Waited }),
		text(Attribute{Name: "user", Example: `"nobody"`, Doc: "who the program of an admitted client runs as"},
			func(w *policytest.Want) **policytest.Said[string] { return &w.User }),
		text(Attribute{Name: "group", Example: `"nogroup"`, Doc: `"" is the user's own`},
			func(w *policytest.Want) **policytest.Said[string] { return &w.Group }),
		named(kindProfile, Attribute{Name: "profile", Example: "profile.finger", Doc: "what confines it"},
			func(w *policytest.Want) **policytest.Said[string] { return &w.Profile }),
		named(kindLimit, Attribute{Name: "limit", Example: "limit.public", Doc: "what counts it"},
			func(w *policytest.Want) **policytest.Said[string] { return &w.Limit }),
		list(Attribute{Name: "command", Example: `["/usr/sbin/in.fingerd", "-w"]`, Doc: "what serves it: the command of its rule, or of the service"},
			func(w *policytest.Want) **policytest.Said[[]string] { return &w.Command }),
		{Attribute{Name: "env", Example: `{ ROLE = "staff" }`, Doc: "variables that its program has so, of its rule or the service"},
			func(b *block, a *Attribute, t *T) {
				var env map[string]string
				environment(func(m *map[string]string) *map[string]string { return m })(b, a, &env)
				at(t).Env = asserted(b, a, pairs(env))
			}},
		list(Attribute{Name: "listen", Example: `["tcp://:79"]`, Doc: "all addresses of the service, as casemate check prints them"},
			func(w *policytest.Want) **policytest.Said[[]string] { return &w.Listen }),
	}
}

func pairs(env map[string]string) (out [][2]string) {
	for _, name := range sortedKeys(env) {
		out = append(out, [2]string{name, env[name]})
	}
	return out
}

// wantNames are the attributes that assert something.
func wantNames() (out []string) {
	for _, r := range wantRows(func(t *policytest.Case) *policytest.Want { return &t.Want }) {
		out = append(out, r.Name)
	}
	return out
}

// oneOf reads one of the words of an attribute.
func (b *block) oneOf(a *Attribute) (string, bool) {
	v, ok := b.typed(a, kindString)
	if ok && !slices.Contains(a.Words, v.s) {
		b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "%s: %q is not known", a.Name, clip(v.s))
		return "", false
	}
	return v.s, ok
}

// reasons reads one word or a list of words.
func (b *block) reasons(a *Attribute) (out []string, ok bool) {
	v, ok := b.attr(a)
	items := v.list
	if v.kind != kindList {
		items = []value{v}
	}
	if !ok || !b.c.spend(v.rng, 64*len(items)) {
		return nil, false
	}
	for _, item := range items {
		switch {
		case item.kind != kindString:
			b.c.report(codeType, item.rng, "write "+a.write(), "%s must be a string, not %s", a.Name, item.describe())
			return nil, false
		case !slices.Contains(a.Words, item.s):
			b.c.report(codeValue, item.rng, didYouMean(item.s, a.Words, ""), "%s: %q is not known", a.Name, clip(item.s))
			return nil, false
		case !slices.Contains(out, item.s):
			out = append(out, item.s)
		}
	}
	return out, true
}

// named reads the name of a block of the compiled policy, as profile.finger or in quotes.
func (b *block) named(a *Attribute, kind string) (string, bool) {
	e := b.syn.Body.Attributes[a.Name].Expr
	var known []string
	p := b.c.suite.doc.Policy
	for i := range p.Profiles {
		if kind == kindProfile {
			known = append(known, p.Profiles[i].Name)
		}
	}
	for i := range p.Limits {
		if kind == kindLimit {
			known = append(known, p.Limits[i].Name)
		}
	}
	name, rng := "", e.Range()
	if t, ds := hcl.AbsTraversalForExpr(e); !ds.HasErrors() && len(t) == 2 && t.RootName() == kind {
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			name, rng = step.Name, afterDot(step.SrcRange)
		}
	} else if v, ok := b.typed(a, kindString); !ok {
		return "", false
	} else {
		name = v.s
	}
	if !slices.Contains(known, name) {
		b.c.report(codeReference, rng, didYouMean(name, known, kind+"."), "the policy has no %s %q that a service has", kind, clip(name))
		return "", false
	}
	return name, true
}

// match reads what decides: acl.NAME.RULE with or without quotes, a rule's name or its number.
func (b *block) match(a *Attribute) (m policytest.Match, ok bool) {
	e := b.syn.Body.Attributes[a.Name].Expr
	var parts []string
	if t, ds := hcl.AbsTraversalForExpr(e); !ds.HasErrors() && t.RootName() == kindACL {
		for _, step := range t {
			switch s := step.(type) {
			case hcl.TraverseRoot:
				parts = append(parts, s.Name)
			case hcl.TraverseAttr:
				parts = append(parts, s.Name)
			case hcl.TraverseIndex: // acl.office.2
				n, _ := s.Key.AsBigFloat().Int64()
				parts = append(parts, strconv.FormatInt(n, 10))
			}
		}
	} else {
		v, ok := b.attr(a)
		if !ok {
			return m, false
		}
		if v.kind != kindString && v.kind != kindNumber {
			b.c.report(codeType, v.rng, "write "+a.write(), "%s must name a rule, not %s", a.Name, v.describe())
			return m, false
		}
		if parts = []string{v.text()}; strings.HasPrefix(v.s, "acl.") {
			parts = strings.SplitN(v.s, ".", 3)
		}
	}
	switch {
	case len(parts) == 1 && parts[0] != kindACL && parts[0] != "":
		return policytest.Match{Rule: parts[0]}, true
	case len(parts) == 3 && parts[1] != "" && parts[2] != "":
		return policytest.Match{ACL: parts[1], Rule: parts[2]}, true
	}
	b.c.report(codeValue, e.Range(), fmt.Sprintf("write %s, or the rule's name or number alone", a.write()), "this names no rule")
	return m, false
}
