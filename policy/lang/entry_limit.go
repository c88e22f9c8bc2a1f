package lang

import (
	"strconv"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/inetd"
)

// ownLimit makes a limit of the service's own where its entry has numbers. Of each number the
// smaller one holds where somebody chose the limit; else the entry's does.
func (c *compiler) ownLimit(e *inetdEntry, s *policy.Service, chosen bool) {
	spec, ok := c.limits[s.Limit]
	if !ok {
		spec, ok = c.base.limits[s.Limit]
	}
	if !ok {
		return // reported
	}
	places := map[string]inetd.Range{}
	smaller := func(n inetd.Number, to *int, path string) {
		if n.N > 0 && (!chosen || *to == 0 || n.N < *to) {
			*to, places[path] = n.N, n.At
		}
	}
	slower := func(n inetd.Number, rate *limit.Rate, burst *int, path string) {
		if n.N > 0 && (!chosen || rate.Events == 0 || float64(n.N)*float64(rate.Per) < float64(rate.Events)*float64(time.Minute)) {
			*rate, places[path] = limit.Rate{Events: n.N, Per: time.Minute}, n.At
			if !chosen || *burst == 0 || *burst > n.N {
				*burst, places[strings.Replace(path, "rate", "burst", 1)] = n.N, n.At
			}
		}
	}
	slower(e.PerMinute, &spec.Rate, &spec.Burst, "rate")
	if s.Wait && s.Builtin == "" {
		for _, n := range []inetd.Number{e.PerSourcePerMinute, e.PerSourceConcurrent} {
			if n.N > 0 {
				c.warn(codeLoss, hclRange(n.At), "serve it with nowait, or bound it with the program's own means", "nothing counts the sources of %q, whose program accepts its clients itself", c.shortest(e))
			}
		}
	} else {
		smaller(e.Concurrent, &spec.Concurrent, "concurrent")
		smaller(e.PerSourceConcurrent, &spec.PerSource.Concurrent, "per_source.concurrent")
		slower(e.PerSourcePerMinute, &spec.PerSource.Rate, &spec.PerSource.Burst, "per_source.rate")
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
		c.put("limits."+spec.Name+"."+path, hclRange(at))
	}
	c.limits[spec.Name] = spec
	s.Limit = spec.Name
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
			move(prefix + "." + r.path())
		}
	}
}
