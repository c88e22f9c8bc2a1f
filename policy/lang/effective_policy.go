package lang

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/explain"
)

// said is what a block says of one attribute; the zero said is nothing.
type said struct {
	value string   // as the language writes it
	items []string // of a list, in place of value
	paths []string // of the items' places, where those are not below the attribute's
	empty bool     // a list without items that has to be said
	pairs map[string]string
}

func spoken[V any](v V) said { return said{value: fmt.Sprint(v)} }

// worded is a text, nothing where it is empty.
func worded[S ~string](s S) (out said) {
	if s != "" {
		out.value = quote(string(s))
	}
	return out
}

func listed[S ~string](words []S) said { return said{items: quotedAll(spelled(words))} }

// counted is a number, nothing where it is 0.
func counted[N int | uint32](n N) (out said) {
	if n != 0 {
		out.value = fmt.Sprint(n)
	}
	return out
}

func truthful(b bool) (out said) {
	if b {
		out.value = "true"
	}
	return out
}

func lasting(d time.Duration) (out said) {
	if d != 0 {
		out.value = quote(explain.FormatDuration(d))
	}
	return out
}

func rated(r limit.Rate) (out said) {
	if r.Events != 0 {
		out.value = quote(explain.FormatRate(r))
	}
	return out
}

// referred is a reference to a block of a kind.
func referred(kind, name string) (out said) {
	if name != "" {
		out.value = kind + "." + name
	}
	return out
}

// tell writes what of says of a table's attributes, in the order of the table. Every attribute of a block
// that is written has an entry in of, which TestEverythingIsTold holds it to. prefix is in front of their
// paths, and group the name of an inner block or "".
func tell[T any](p *printer, t table[T], prefix, group string, of map[string]func(*T) said, from *T) {
	for _, g := range t {
		if g.block != group {
			continue
		}
		inside := prefix
		if group != "" {
			inside += group + "."
		}
		for i := range g.rows {
			if a := &g.rows[i].Attribute; of[a.Name] != nil {
				p.tell(a.Name, inside+a.At(), of[a.Name](from))
			}
		}
	}
}

func (e *printer) tell(name, path string, s said) {
	switch {
	case s.value != "":
		e.line(name, s.value, path)
	case len(s.paths) > 0:
		e.placed(name, s.items, s.paths)
	case len(s.items) > 0:
		e.list(name, path, s.items)
	case s.empty:
		e.line(name, "[]", path)
	case len(s.pairs) > 0:
		e.attribute(name, "{", "")
		for _, key := range slices.Sorted(maps.Keys(s.pairs)) {
			e.line(quote(key), quote(s.pairs[key]), path+"."+key)
		}
		e.b.WriteString("}\n")
	}
}

// EffectivePolicy writes the blocks of a document in Format's form, each value with a comment of where it was
// written: "default" where nobody wrote it. Shipped blocks, which no policy may have, are comments. The text
// compiles to the same services; a profile of the policy's own stands on its nearest shipped base.
func EffectivePolicy(doc *policy.Document) ([]byte, error) {
	p := doc.Policy
	e := &printer{at: func(path string) string {
		if at, ok := doc.Origins[path+".events"]; ok { // of a rate that nobody wrote
			return explain.Line(at)
		}
		return explain.Line(doc.Origins.Lookup(path))
	}}
	e.b.WriteString("policy {\n")
	e.line("edition", strconv.Itoa(p.Edition), "edition")
	e.line("on_stop", quote(string(p.OnStop)), "on_stop")
	e.line("on_broken", quote(string(p.OnBroken)), "on_broken")
	if p.OnNarrow != "" {
		e.line("on_narrow", quote(string(p.OnNarrow)), "on_narrow")
	}
	e.b.WriteString("}\n")
	var out []byte
	calls := map[string]resolution{}
	add := func(text []byte, isShipped bool) {
		if len(out) > 0 {
			out = append(out, '\n')
		}
		if isShipped {
			text = shownAs(text)
		}
		out = append(out, text...)
		e.b.Reset()
	}
	add(e.laid(), false)
	for i := range p.ACLs {
		l := &p.ACLs[i]
		e.acl(l)
		add(e.laid(), isShipped(kindACL, l.Name))
	}
	for i := range p.Limits {
		l := &p.Limits[i]
		e.limit(l)
		add(e.laid(), isShipped(kindLimit, l.Name))
	}
	for i := range p.Profiles {
		f := &p.Profiles[i]
		name := f.Name
		if isShipped(kindProfile, f.Name) {
			name = "my_" + f.Name // no other may have its own
		}
		text, err := effectiveProfile(f, name, func(path string) string { return e.at("profiles." + f.Name + "." + path) }, calls)
		if err != nil {
			return nil, err
		}
		add(bytes.Replace(text, []byte(quote(name)), []byte(quote(f.Name)), 1), name != f.Name)
	}
	all := slices.Concat(p.Services, p.Disabled)
	slices.SortFunc(all, func(a, b policy.Service) int { return cmp.Compare(a.Name, b.Name) })
	for i := range all {
		s := &all[i]
		s.Disable = p.Service(s.Name) == nil
		e.service(doc.Origins, s)
		add(e.laid(), false)
	}
	return out, nil
}

func isShipped(kind, name string) bool { return shipped().blocks[kind][name] != nil }

// shownAs makes a comment of a shipped block, which the policy names without having it.
func shownAs(text []byte) []byte {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return []byte("# shipped with casemate:\n" + strings.ReplaceAll("# "+strings.Join(lines, "\n# ")+"\n", "# \n", "#\n"))
}

var aclSays = map[string]func(*acl.List) said{
	"default": func(l *acl.List) said { return worded(l.Default) },
	"zone": func(l *acl.List) said {
		if l.Zone == nil {
			return said{}
		}
		return worded(l.Zone.Name)
	},
}

func prefixed(list []netip.Prefix) (out said) {
	for _, text := range explain.Prefixes(list) {
		out.items = append(out.items, quote(text))
	}
	return out
}

var ruleSays = map[string]func(*acl.Rule) said{
	"from":    func(r *acl.Rule) said { return listed(r.From) },
	"except":  func(r *acl.Rule) said { return listed(r.Except) },
	"to":      func(r *acl.Rule) said { return prefixed(r.To) },
	"during":  func(r *acl.Rule) said { return listed(civil.Write(r.During)) },
	"env":     func(r *acl.Rule) said { return said{pairs: r.Env} },
	"command": func(r *acl.Rule) said { return listed(r.Command) },
}

func (e *printer) acl(l *acl.List) {
	at := "acls." + l.Name + "."
	fmt.Fprintf(&e.b, "acl %s {\n", quote(l.Name))
	for i := range l.Rules {
		r, here := &l.Rules[i], fmt.Sprintf("%srules.%d", at, i)
		fmt.Fprintf(&e.b, "%s ", r.Verdict)
		if r.Name != "" {
			e.b.WriteString(quote(r.Name) + " ")
		}
		fmt.Fprintf(&e.b, "{%s\n", e.comment(here))
		tell(e, ruleTable, here+".", "", ruleSays, r)
		e.b.WriteString("}\n")
	}
	tell(e, aclTable, at, "", aclSays, l)
	e.b.WriteString("}\n")
}

var limitSays = map[string]map[string]func(*limit.Spec) said{
	"": {
		"concurrent": func(l *limit.Spec) said { return counted(l.Concurrent) },
		"rate":       func(l *limit.Spec) said { return rated(l.Rate) },
		"burst":      func(l *limit.Spec) said { return counted(l.Burst) },
		"session":    func(l *limit.Spec) said { return lasting(l.Session) },
		"first_byte": func(l *limit.Spec) said { return lasting(l.FirstByte) },
		"min_rate": func(l *limit.Spec) (out said) {
			if l.MinRate != 0 {
				out.value = quote(explain.FormatPace(l.MinRate))
			}
			return out
		},
		"queue":        func(l *limit.Spec) said { return lasting(l.Queue) },
		"queue_length": func(l *limit.Spec) said { return counted(l.QueueLength) },
		"max_load": func(l *limit.Spec) (out said) {
			if l.MaxLoad != 0 {
				out.value = quote(strconv.FormatFloat(float64(l.MaxLoad)/100, 'f', 2, 64))
			}
			return out
		},
		"responses":       func(l *limit.Spec) said { return rated(l.Responses) },
		"responses_total": func(l *limit.Spec) said { return rated(l.ResponsesTotal) },
		"exempt":          func(l *limit.Spec) said { return prefixed(l.Exempt) },
	},
	"early_drop": {
		"start":   func(l *limit.Spec) said { return counted(l.EarlyDrop.Start) },
		"percent": func(l *limit.Spec) said { return counted(l.EarlyDrop.Percent) },
	},
	"per_source": {
		"concurrent":  func(l *limit.Spec) said { return counted(l.PerSource.Concurrent) },
		"rate":        func(l *limit.Spec) said { return rated(l.PerSource.Rate) },
		"burst":       func(l *limit.Spec) said { return counted(l.PerSource.Burst) },
		"ipv4_prefix": func(l *limit.Spec) said { return spoken(l.PerSource.Prefix4) },
		"ipv6_prefix": func(l *limit.Spec) said { return spoken(l.PerSource.Prefix6) },
	},
	"penalty": {
		"on":        func(l *limit.Spec) said { return listed(l.Penalty.On) },
		"first":     func(l *limit.Spec) said { return lasting(l.Penalty.First) },
		"max":       func(l *limit.Spec) said { return lasting(l.Penalty.Max) },
		"crash":     func(l *limit.Spec) said { return lasting(l.Penalty.Crash) },
		"slow":      func(l *limit.Spec) said { return lasting(l.Penalty.Slow) },
		"timeout":   func(l *limit.Spec) said { return lasting(l.Penalty.Timeout) },
		"violation": func(l *limit.Spec) said { return lasting(l.Penalty.Violation) },
	},
}

var widerSays = map[string]func(*limit.Wider) said{
	"ipv4_prefix": func(w *limit.Wider) said { return counted(w.Prefix4) },
	"ipv6_prefix": func(w *limit.Wider) said { return counted(w.Prefix6) },
	"times":       func(w *limit.Wider) said { return counted(w.Times) },
}

func (e *printer) limit(l *limit.Spec) {
	at := "limits." + l.Name + "."
	fmt.Fprintf(&e.b, "limit %s {\n", quote(l.Name))
	for _, g := range limitTable {
		inner := func() {
			tell(e, limitTable, at, g.block, limitSays[g.block], l)
			for i := range l.PerSource.Wider {
				if g.block == "per_source" {
					e.block("wider", func() {
						tell(e, widerTable, fmt.Sprintf("%sper_source.wider.%d.", at, i), "", widerSays, &l.PerSource.Wider[i])
					})
				}
			}
		}
		if g.block == "" {
			inner()
		} else {
			e.block(g.block, inner)
		}
	}
	e.b.WriteString("}\n")
}
