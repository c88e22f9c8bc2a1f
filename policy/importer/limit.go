package importer

import (
	"fmt"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/policy/explain"
)

// limitLike writes the limit of an entry of inetd.conf, or names the shipped one.
func (p *page) limitLike(s *service, name string) string {
	l := s.usual
	if !s.ownLimit {
		// Whoever reads the service should see what its table does not say.
		p.comment("The entry has no numbers: limit.%s is %s.", l.Name, bounded(l))
		return l.Name
	}
	name = p.name("limit", name)
	p.comment("What the entry does not say is as an inetd had it.")
	p.open("limit %q", name)
	p.count("concurrent", l.Concurrent)
	p.rate(l.Rate, l.Burst)
	if l.Session > 0 {
		p.attr("session", quote(explain.FormatDuration(l.Session)))
	}
	if each := &l.PerSource; each.Concurrent > 0 || each.Rate.Events > 0 {
		p.open("per_source")
		p.count("concurrent", each.Concurrent)
		p.rate(each.Rate, each.Burst)
		p.close()
	}
	if out := &l.Penalty; len(out.On) > 0 {
		p.open("penalty")
		p.attr("on", quoted(out.On))
		p.attr("first", quote(explain.FormatDuration(out.First)))
		p.attr("max", quote(explain.FormatDuration(out.Max)))
		p.close()
	}
	p.close()
	p.b.WriteByte('\n')
	return name
}

func (p *page) count(name string, n int) {
	if n > 0 {
		p.attr(name, fmt.Sprint(n))
	}
}

func (p *page) rate(r limit.Rate, burst int) {
	if r.Events > 0 {
		p.attr("rate", quote(rateText(r)))
		p.count("burst", burst)
	}
}

func rateText(r limit.Rate) string {
	unit := r.Per.String()
	for per, short := range map[time.Duration]string{time.Second: "s", time.Minute: "min", time.Hour: "h"} {
		if r.Per == per {
			unit = short
		}
	}
	return fmt.Sprintf("%d/%s", r.Events, unit)
}

// bounded is a limit in words.
func bounded(l *limit.Spec) string {
	var out []string
	add := func(yes bool, format string, args ...any) {
		if yes {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(l.Rate.Events > 0, "%s", rateText(l.Rate))
	add(l.Concurrent > 0, "%d at a time", l.Concurrent)
	add(l.PerSource.Rate.Events > 0, "%s of one source", rateText(l.PerSource.Rate))
	add(l.PerSource.Concurrent > 0, "%d of one source at a time", l.PerSource.Concurrent)
	add(l.Session > 0, "%s a session", explain.FormatDuration(l.Session))
	add(len(l.Penalty.On) > 0, "and penalties")
	return strings.Join(out, ", ")
}
