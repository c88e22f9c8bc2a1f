package lang

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// testFunctions are what conditions of tests have beside functions: as pure, and none makes more than it is given.
var testFunctions map[string]function

func init() {
	testFunctions = map[string]function{
		"alltrue":  func(c *compiler, _ hcl.Range, a []value) (value, string, string) { return everyTrue(c, a, true) },
		"anytrue":  func(c *compiler, _ hcl.Range, a []value) (value, string, string) { return everyTrue(c, a, false) },
		"contains": contains,
		"length":   length,
		"keys":     keysOf,
		"startswith": func(_ *compiler, _ hcl.Range, a []value) (value, string, string) {
			return ofTexts(a, strings.HasPrefix)
		},
		"endswith": func(_ *compiler, _ hcl.Range, a []value) (value, string, string) {
			return ofTexts(a, strings.HasSuffix)
		},
		"strcontains": func(_ *compiler, _ hcl.Range, a []value) (value, string, string) {
			return ofTexts(a, strings.Contains)
		},
		"cidrcontains": func(c *compiler, r hcl.Range, a []value) (value, string, string) {
			return cidrs(c, r, a, func(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) })
		},
		"cidroverlaps": func(c *compiler, r hcl.Range, a []value) (value, string, string) {
			return cidrs(c, r, a, netip.Prefix.Overlaps)
		},
		"duration": func(_ *compiler, _ hcl.Range, a []value) (value, string, string) {
			d, wrong := measured(a, parseDuration)
			return value{kind: kindNumber, n: d.Milliseconds()}, wrong, `write duration("10m")`
		},
		"size": func(_ *compiler, _ hcl.Range, a []value) (value, string, string) {
			n, wrong := measured(a, parseSize)
			return value{kind: kindNumber, n: n}, wrong, `write size("64MiB")`
		},
		"reach": reachOf,
	}
}

// everyTrue is alltrue, or anytrue. Where it is false, it remembers which items of a loop made it so.
func everyTrue(c *compiler, args []value, all bool) (value, string, string) {
	const next = "write alltrue([for s in services : s.wait])"
	if len(args) != 1 || args[0].kind != kindList {
		return value{}, "takes one list", next
	}
	list := args[0].list
	for _, v := range list {
		if v.kind != kindBool {
			return value{}, "takes a list of true and false, not of " + v.describe(), next
		}
	}
	is := !slices.ContainsFunc(list, func(v value) bool { return !v.b })
	if !all {
		is = slices.ContainsFunc(list, func(v value) bool { return v.b })
	}
	if len(c.suite.blame) == len(list) && !is {
		c.suite.blamed(func(i int) bool { return !list[i].b })
	} else {
		c.suite.blame = nil
	}
	return yesNo(is), "", ""
}

func contains(c *compiler, at hcl.Range, args []value) (value, string, string) {
	const next = `write contains(s.listen, "tcp://:79")`
	if len(args) != 2 || args[0].kind != kindList {
		return value{}, "takes a list and a value", next
	}
	for i := range args[0].list {
		if is, ok := c.same(&args[0].list[i], &args[1], at); !ok {
			return value{}, "the comparison is too large", "compare less"
		} else if is {
			return yesNo(true), "", ""
		}
	}
	return yesNo(false), "", ""
}

func length(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	if len(args) != 1 || args[0].kind != kindList && args[0].kind != kindObject && args[0].kind != kindString {
		return value{}, "takes a list, an object or a string", "write length(s.listen)"
	}
	a := &args[0]
	return value{kind: kindNumber, n: int64(len(a.list) + len(a.obj) + len(a.s))}, "", ""
}

func keysOf(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	if len(args) != 1 || args[0].kind != kindObject {
		return value{}, "takes an object", "write keys(s.env)"
	}
	out := value{kind: kindList}
	for _, f := range args[0].obj {
		out.list = append(out.list, value{kind: kindString, s: f.name})
	}
	return out, "", ""
}

func ofTexts(args []value, f func(s, part string) bool) (value, string, string) {
	if len(args) != 2 || args[0].kind != kindString || args[1].kind != kindString {
		return value{}, "takes two strings", `write startswith(s.name, "team-")`
	}
	return yesNo(f(args[0].s, args[1].s)), "", ""
}

// cidrs compares networks: yes if one of the first compares so with each of the second.
func cidrs(c *compiler, at hcl.Range, args []value, f func(p, q netip.Prefix) bool) (value, string, string) {
	const next = `write cidrcontains("192.0.2.0/24", "192.0.2.7"), or lists of networks`
	if len(args) != 2 {
		return value{}, "takes two networks, or lists of them", next
	}
	before := len(c.found)
	a, ok := c.networks(args[0], at)
	b, ok2 := c.networks(args[1], at)
	if !ok || !ok2 {
		c.found = c.found[:min(before, len(c.found))]
		return value{}, "takes addresses and prefixes", next
	}
	if !c.spend(at, len(a)*len(b)) {
		return value{}, "the lists are too long", next
	}
	for _, q := range b {
		if !slices.ContainsFunc(a, func(p netip.Prefix) bool { return f(p, q) }) {
			return yesNo(false), "", ""
		}
	}
	return yesNo(true), "", ""
}

// measured reads the one text of args.
func measured[V any](args []value, parse func(string) (V, error)) (v V, wrong string) {
	if len(args) != 1 || args[0].kind != kindString {
		return v, "takes one string"
	}
	v, err := parse(args[0].s)
	if err != nil {
		return v, err.Error()
	}
	return v, ""
}

// workOfReach is what one question about a reach may take.
const workOfReach = 1000

// reachOf tells whether a service admits any client of networks, as never has it.
func reachOf(c *compiler, at hcl.Range, args []value) (value, string, string) {
	const next = `write reach(s, "198.51.100.0/24"), where s is of services`
	if len(args) != 2 || args[0].kind != kindObject || len(args[0].obj) == 0 || args[0].obj[0].name != "name" {
		return value{}, "takes a service and networks", next
	}
	s := c.suite.service(args[0].obj[0].val.s)
	if s == nil {
		return value{}, "takes a service and networks", next
	}
	before := len(c.found)
	networks, ok := c.networks(args[1], at)
	if !ok {
		c.found = c.found[:min(before, len(c.found))]
		return value{}, "takes a service and networks", next
	}
	if !c.spend(at, workOfReach) {
		return value{}, "it asks too often", next
	}
	who, err := c.suite.reaches.Admits(s, networks)
	if err != nil {
		return value{}, err.Error(), "ask about fewer networks"
	}
	return yesNo(who != nil), "", ""
}
