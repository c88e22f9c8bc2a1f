package valid

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/listener/address"
	"casemate/policy"
)

// The largest numbers a limit block may hold.
const (
	MaxCount       = 1_000_000
	LongestSession = 30 * 24 * time.Hour
	MaxLoad        = 10_000
	MaxMinRate     = 1 << 20 // bytes a second
	LongestQueue   = 5 * time.Minute
	LongestPenalty = 30 * 24 * time.Hour
	MaxTimes       = 1 << 16 // of a limit.Wider
	LongestLinger  = 24 * time.Hour
	// LongestKeepalive is what TCP_KEEPIDLE takes.
	LongestKeepalive = 32767 * time.Second
)

// limit checks one limit block.
func (c *checker) limit(p *policy.Policy, i int) {
	l := &p.Limits[i]
	path := c.order("limits", i, func(i int) string { return p.Limits[i].Name })
	between(c, path+".concurrent", l.Concurrent, 0, MaxCount)
	c.rate(path, l.Rate, l.Burst)
	c.duration(path+".session_ns", l.Session, time.Millisecond, LongestSession)
	c.duration(path+".first_byte_ns", l.FirstByte, time.Second, LongestSession)
	between(c, path+".min_rate", l.MinRate, 0, MaxMinRate)
	if l.FirstByte > 0 && l.Session > 0 && l.FirstByte >= l.Session {
		c.add(path+".first_byte_ns", "make it shorter than session, or remove it", "first_byte %v is no shorter than session %v, which ends every client by then", l.FirstByte, l.Session)
	}
	c.duration(path+".queue_ns", l.Queue, time.Millisecond, LongestQueue)
	between(c, path+".max_load", l.MaxLoad, 0, 100*MaxLoad)
	between(c, path+".queue_length", l.QueueLength, 0, policy.MaxQueue)
	switch {
	case l.Queue > 0 && l.Concurrent == 0:
		c.add(path+".queue_ns", "write concurrent as well", "there is no number of places to wait for")
	case l.Queue > 0 != (l.QueueLength > 0):
		c.add(path+".queue_length", `write queue = "2s" as well`, "queue_length without queue means nothing")
	}
	c.earlyDrop(path, l)

	c.responses(path, l)
	c.exempt(path+".exempt", l.Exempt)

	s, at := &l.PerSource, path+".per_source"
	between(c, at+".concurrent", s.Concurrent, 0, MaxCount)
	c.rate(at, s.Rate, s.Burst)
	between(c, at+".prefix4", s.Prefix4, 0, 32)
	between(c, at+".prefix6", s.Prefix6, 0, 128)
	c.wider(at, s)

	n, at := &l.Penalty, path+".penalty"
	words(c, at+".on", n.On, limit.Classes...)
	c.duration(at+".first_ns", n.First, time.Millisecond, LongestPenalty)
	c.duration(at+".max_ns", n.Max, time.Millisecond, LongestPenalty)
	if len(n.On) > 0 != (n.First > 0) || len(n.On) > 0 != (n.Max > 0) {
		c.add(at, `write on, first and max together, as on = ["crash"], first = "10s", max = "10m"`, "the penalty is incomplete")
	}
	for _, class := range limit.Classes {
		own, of := *n.Own(class), fmt.Sprintf("%s.%s_ns", at, class)
		c.duration(of, own, time.Millisecond, LongestPenalty)
		switch {
		case own == 0:
		case !slices.Contains(n.On, class):
			c.add(of, fmt.Sprintf("name %q in on as well, or leave %s out", class, class), "no offence of class %s has a penalty", class)
		case own > n.Max:
			c.add(of, "make max at least as long", "%s %v is longer than max %v", class, own, n.Max)
		}
	}
	if n.First > n.Max {
		c.add(at+".max_ns", "make max at least as long as first", "max %v is shorter than first %v", n.Max, n.First)
	}
}

// exempt checks that prefixes are canonical, in order, none twice and not too many.
func (c *checker) exempt(path string, list []netip.Prefix) {
	between(c, path, len(list), 0, limit.MaxExempt)
	text := make([]string, len(list))
	for i, p := range list {
		if text[i] = p.String(); !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			c.add(fmt.Sprintf("%s.%d", path, i), "write an address or a prefix without host bits", "%s is not a canonical prefix", p)
		}
	}
	set(c, path, text)
}

// Responds tells whether casemate-worker answers datagrams for s, which responses of its limit are about.
func Responds(s *policy.Service) bool {
	return s.Builtin != "" && slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Datagram() && !l.Unix() })
}

// responses checks what a limit says of a built-in's udp answers: who raises what a network
// gets above what all get says both.
func (c *checker) responses(path string, l *limit.Spec) {
	each, total := responses.Rates(l)
	for name, r := range map[string]limit.Rate{"responses": l.Responses, "responses_total": l.ResponsesTotal} {
		switch at := path + "." + name; {
		case r == limit.Rate{}:
		case r.Events < 1 || r.Events > responses.Most:
			between(c, at, r.Events, 1, responses.Most)
			return
		default:
			c.rate(at, r, 1)
		}
	}
	if responses.Faster(each, total) > 0 {
		c.add(path+".responses", `lower it, or raise responses_total as well, knowing that a forged sender gets them`, "one network would get more answers than all get together")
	}
}

// earlyDrop checks that there is something to drop early of.
func (c *checker) earlyDrop(path string, l *limit.Spec) {
	e, at := l.EarlyDrop, path+".early_drop"
	if e == (limit.EarlyDrop{}) {
		return
	}
	between(c, at+".start", e.Start, 1, MaxCount-1)
	between(c, at+".percent", e.Percent, 1, 100)
	switch {
	case l.Concurrent == 0:
		c.add(at, "write concurrent as well, where all are refused", "there is no number of sessions up to which newcomers are dropped at random")
	case l.Concurrent == 1:
		c.add(at, "write concurrent = 2 or more, or take early_drop away", "there is no number of sessions below concurrent 1 from which on newcomers could be dropped at random")
	case e.Start >= l.Concurrent:
		c.add(at+".start", fmt.Sprintf("write start = %d, or less", l.Concurrent*3/4), "start %d is not below concurrent %d, where all are refused", e.Start, l.Concurrent)
	case l.Queue > 0:
		c.add(at, "write queue or early_drop", "a client that waited in the queue for a place would be dropped at random when one is free")
	}
}

// wider checks that each network around a source is wider than the one before, and may have more.
func (c *checker) wider(path string, s *limit.PerSource) {
	if len(s.Wider) > limit.MaxWider {
		c.add(path+".wider", fmt.Sprintf("write %d wider blocks or fewer", limit.MaxWider), "%d wider blocks are too many", len(s.Wider))
	}
	if len(s.Wider) > 0 && s.Concurrent == 0 && s.Rate.Events == 0 {
		c.add(path+".wider.0", "write concurrent or rate in per_source as well", "there is nothing of a source to have more times")
	}
	inner := limit.Wider{Prefix4: s.Prefix4, Prefix6: s.Prefix6, Times: 1}
	for i, w := range s.Wider {
		at := fmt.Sprintf("%s.wider.%d", path, i)
		between(c, at+".times", w.Times, 2, MaxTimes)
		if w.Times >= 2 && w.Times <= inner.Times {
			c.add(at+".times", fmt.Sprintf("write times = %d, or more", inner.Times+1), "times %d is no more than the %d of the network inside", w.Times, inner.Times)
		}
		if w.Prefix4 == 0 && w.Prefix6 == 0 {
			c.add(at, "write ipv4_prefix = 24, ipv6_prefix = 48 or both", "wider says no network around a source")
		}
		between(c, at+".prefix4", w.Prefix4, 0, 31)
		between(c, at+".prefix6", w.Prefix6, 0, 127)
		narrower := func(name, attr string, bits int, inner *int) {
			if bits >= *inner && bits > 0 {
				c.add(at+"."+name, fmt.Sprintf("write %s below %d, or leave it out", attr, *inner), "a /%d is no wider than the /%d inside", bits, *inner)
			} else if bits > 0 {
				*inner = bits
			}
		}
		narrower("prefix4", "ipv4_prefix", w.Prefix4, &inner.Prefix4)
		narrower("prefix6", "ipv6_prefix", w.Prefix6, &inner.Prefix6)
		inner.Times = max(inner.Times, w.Times)
	}
}

// rate checks a rate with its burst: both or neither.
func (c *checker) rate(path string, r limit.Rate, burst int) {
	between(c, path+".burst", burst, 0, MaxCount)
	if r == (limit.Rate{}) {
		if burst != 0 {
			c.add(path+".burst", `add a rate, as rate = "10/s"`, "burst without a rate means nothing")
		}
		return
	}
	between(c, path+".rate", r.Events, 1, MaxCount)
	switch r.Per {
	case time.Second, time.Minute, time.Hour, 24 * time.Hour:
	default:
		c.add(path+".rate", "count for each s, min, h or d", "a rate for each %v is not known", r.Per)
	}
	if burst == 0 {
		c.add(path+".burst", "write burst = 1 or more", "a rate with burst 0 admits nobody")
	}
}

// duration checks 0 (none) or lo <= d <= hi.
func (c *checker) duration(path string, d, lo, hi time.Duration) {
	if d != 0 && (d < lo || d > hi) {
		c.add(path, fmt.Sprintf("choose a time from %v to %v", lo, hi), "%v is out of range", d)
	}
}
