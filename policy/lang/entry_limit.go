package lang

import (
	"strconv"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/inetd"

	"github.com/hashicorp/hcl/v2"
)

// ownLimit makes a limit of the service's own where its entry has numbers, or the inetd block
// has them for it. Of each number the smaller one holds where somebody chose the limit; else the
// entry's does.
func (c *compiler) ownLimit(e *inetdEntry, s *policy.Service, chosen bool) {
	spec, ok := c.limits[s.Limit]
	if !ok {
		spec, ok = c.base.limits[s.Limit]
	}
	if !ok {
		return // reported
	}
	places := map[string]hcl.Range{}
	usual := &c.entryRules.numbers
	smaller := func(n inetd.Number, usual int, to *int, path string) {
		at := hclRange(n.At)
		if n.N == 0 {
			n.N, at = usual, c.numberAt(path)
		}
		if n.N > 0 && (!chosen || *to == 0 || n.N < *to) {
			*to, places[path] = n.N, at
		}
	}
	slower := func(n inetd.Number, usual limit.Rate, rate *limit.Rate, burst *int, path string) {
		r, at := limit.Rate{Events: n.N, Per: time.Minute}, hclRange(n.At)
		if n.N == 0 {
			r, at = usual, c.numberAt(path)
		}
		if r.Events > 0 && (!chosen || rate.Events == 0 || float64(r.Events)*float64(rate.Per) < float64(rate.Events)*float64(r.Per)) {
			*rate, places[path] = r, at
			if !chosen || *burst == 0 || *burst > r.Events {
				*burst, places[strings.Replace(path, "rate", "burst", 1)] = r.Events, at
			}
		}
	}
	slower(e.PerMinute, usual.Rate, &spec.Rate, &spec.Burst, "rate")
	if s.Wait && s.Builtin == "" {
		for _, n := range []inetd.Number{e.PerSourcePerMinute, e.PerSourceConcurrent} {
			if n.N > 0 {
				c.warn(codeLoss, hclRange(n.At), "serve it with nowait, or bound it with the program's own means", "nothing counts the sources of %q, whose program accepts its clients itself", c.shortest(e))
			}
		}
	} else {
		from := &usual.PerSource
		smaller(e.Concurrent, usual.Concurrent, &spec.Concurrent, "concurrent")
		smaller(e.PerSourceConcurrent, from.Concurrent, &spec.PerSource.Concurrent, "per_source.concurrent")
		slower(e.PerSourcePerMinute, from.Rate, &spec.PerSource.Rate, &spec.PerSource.Burst, "per_source.rate")
	}
	if len(places) == 0 {
		return
	}
	from := "limits." + spec.Name
	for n := 1; spec.Name == s.Limit || c.knows(kindLimit, spec.Name) || c.hasLimit(spec.Name); n++ {
		if spec.Name = s.Name; n > 1 {
			spec.Name = BlockName(s.Name, "-inetd-"+strconv.Itoa(n))
		}
	}
	c.copyPlaces(from, "limits."+spec.Name)
	c.put("limits."+spec.Name+".name", hclRange(e.WaitAt))
	for path, at := range places {
		c.put("limits."+spec.Name+"."+path, at)
	}
	c.limits[spec.Name] = spec
	s.Limit = spec.Name
}

// numberAt is where the inetd block says a number of a limit, if it does.
func (c *compiler) numberAt(path string) (at hcl.Range) {
	if c.inetd == nil {
		return at
	}
	body := c.inetd.Body
	if block, name, inner := strings.Cut(path, "."); inner {
		for _, b := range body.Blocks {
			if b.Type == block && b.Body.Attributes[name] != nil {
				return b.Body.Attributes[name].Expr.Range()
			}
		}
		return at
	}
	if a := body.Attributes[path]; a != nil {
		return a.Expr.Range()
	}
	return at
}

func (c *compiler) hasLimit(name string) bool { _, ok := c.limits[name]; return ok }

// copyPlaces gives a limit the places of the one that it was copied from.
func (c *compiler) copyPlaces(from, to string) {
	source := c
	if _, ok := c.places[from]; !ok {
		source = c.base
	}
	move := func(path string) {
		if rng, ok := source.places[from+path]; ok {
			c.put(to+path, rng)
			if source.inner[from+path] {
				c.inner[to+path] = true
			}
		}
	}
	move("")
	for _, g := range limitTable {
		prefix := ""
		if g.block != "" {
			prefix = "." + g.block
			move(prefix)
		}
		for _, r := range g.rows {
			move(prefix + "." + r.At())
		}
	}
}
