package diff

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/acl/reach"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/valid"
)

func duration(n int64) string { return explain.FormatDuration(time.Duration(n)) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// limits compares how often and how long clients are served, as far as a number counts where it stands: a burst beside a rate,
// a prefix beside something that is counted by it.
func (c *comparison) limits(a, b *policy.Service) (Dimension, error) {
	was, is := c.old.Policy.Limit(a.Limit), c.new.Policy.Limit(b.Limit)
	d := Dimension{Name: "limits", By: fmt.Sprintf("limit %q", b.Limit)}
	none := limit.Spec{PerSource: limit.PerSource{Prefix4: 32, Prefix6: 128}}
	if was == nil {
		was = &none
	}
	if is == nil {
		is = &none
	}
	d.amounts("concurrent", int64(was.Concurrent), int64(is.Concurrent), decimal)
	d.rates("", was.Rate, is.Rate, was.Burst, is.Burst)
	d.amounts("session", int64(was.Session), int64(is.Session), duration)
	d.amounts("first_byte", int64(was.FirstByte), int64(is.FirstByte), duration)
	pace := func(n int) string {
		if n == 0 {
			return "none"
		}
		return explain.FormatPace(n)
	}
	d.sign(fmt.Sprintf("min_rate %s, was %s", pace(is.MinRate), pace(was.MinRate)), was.MinRate-is.MinRate)
	d.waiting(was, is)
	d.amounts("max_load", int64(was.MaxLoad), int64(is.MaxLoad), func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/100) })
	d.early(was, is)
	d.sources(&was.PerSource, &is.PerSource)
	d.prefixes(was, is)
	d.penalties(&was.Penalty, &is.Penalty)
	d.amounts("idle", int64(a.Idle), int64(b.Idle), duration)
	d.sign("sessions whose client has gone go on (hangup = false)", bit(a.Hangup && !b.Hangup))
	d.sign("sessions whose client has gone end (hangup = true)", -bit(b.Hangup && !a.Hangup))
	d.responses(a, b, was, is)
	return d, c.exempt(&d, a, b, was, is)
}

// exempt compares of whom nothing is counted, as far as they get in and anything is counted of others: a client for whom a limit does not hold any more
// gets more of a service, one of each change is named.
func (c *comparison) exempt(d *Dimension, a, b *policy.Service, was, is *limit.Spec) error {
	counts := func(s *policy.Service, l *limit.Spec) bool {
		p := &l.PerSource
		return (!s.Wait || s.Builtin != "") && (p.Concurrent > 0 || p.Rate.Events > 0 || len(l.Penalty.On) > 0 || l.Queue > 0) || valid.Responds(s)
	}
	if !counts(a, was) || !counts(b, is) {
		return nil // that something is counted now, or not any more, is told by that
	}
	before, now := reach.OfPrefixes(was.Exempt), reach.OfPrefixes(is.Exempt)
	for _, ch := range []struct {
		list *acl.List
		of   reach.Set
		line string
		by   int
	}{
		{list(c.new.Policy, b), now.Minus(before), "exempt from what is counted of each source", 1},
		{list(c.old.Policy, a), before.Minus(now), "not exempt any more from what is counted of each source", -1},
	} {
		clients, flags, err := c.lets(ch.list, ch.of.Intersect(reach.Whole(comes(b)...)))
		if errors.Is(err, reach.ErrTooMany) {
			d.Differs = append(d.Differs, fmt.Sprintf("%s: other clients, nobody can tell whether any of them gets in: %v", ch.line, err))
			continue
		}
		if err != nil {
			return err
		}
		if len(clients) > 0 {
			r := Reach{Clients: clients.Patterns()}
			d.sign(fmt.Sprintf("%s: %s (as %s)", ch.line, strings.Join(r.Short(4), ", "), flags), ch.by)
		}
	}
	return nil
}

// lets is whom of a set a list lets in under some circumstances, and one of them, as casemate explain takes it.
func (c *comparison) lets(l *acl.List, of reach.Set) (in reach.Set, flags string, err error) {
	if len(of) == 0 || l == nil {
		return nil, "", nil
	}
	t, err := reach.New(l)
	if err != nil {
		return nil, "", err
	}
	parts, err := t.Parts(of)
	for _, p := range parts {
		if p.Verdict != acl.Allow {
			continue
		}
		if in = reach.Union(in, p.Clients); flags == "" {
			e, err := c.asked(p.Example, l)
			if err != nil {
				return nil, "", err
			}
			w := witness(e)
			flags = strings.Join(w.Flags(), " ")
		}
	}
	return in, flags, err
}

// responses compares the udp answers of built-ins. A network gets twice the number of its rate at once, so that 60/min is
// as often as 1/s and more at once.
func (d *Dimension) responses(a, b *policy.Service, was, is *limit.Spec) {
	if !valid.Responds(a) || !valid.Responds(b) {
		return // that one answers and the other does not is told by its listeners
	}
	before, now := responses.Of(was), responses.Of(is)
	for _, r := range []struct {
		name         string
		was, is      limit.Rate
		before, then int
	}{
		{"responses", before.PerSource.Rate, now.PerSource.Rate, before.PerSource.Burst, now.PerSource.Burst},
		{"responses_total", before.Rate, now.Rate, before.Burst, now.Burst},
	} {
		often, atOnce := responses.Faster(r.is, r.was), cmp.Compare(r.then, r.before)
		d.sign(fmt.Sprintf("%s %s, was %s", r.name, explain.FormatRate(r.is), explain.FormatRate(r.was)), often)
		if atOnce != often {
			d.sign(fmt.Sprintf("%s at once %d, was %d", r.name, r.then, r.before), atOnce)
		}
	}
	d.sign(fmt.Sprintf("responses to each /%d, was /%d", now.PerSource.Prefix4, before.PerSource.Prefix4), now.PerSource.Prefix4-before.PerSource.Prefix4)
	d.sign(fmt.Sprintf("responses to each IPv6 /%d, was /%d", now.PerSource.Prefix6, before.PerSource.Prefix6), now.PerSource.Prefix6-before.PerSource.Prefix6)
}

// waiting compares queues: a longer one lets more clients stay.
func (d *Dimension) waiting(was, is *limit.Spec) {
	text := func(l *limit.Spec) string {
		if l.Queue == 0 {
			return "none"
		}
		return explain.FormatDuration(l.Queue)
	}
	d.sign(fmt.Sprintf("queue %s, was %s", text(is), text(was)), int(max(-1, min(1, is.Queue-was.Queue))))
	if is.Queue > 0 && was.Queue > 0 {
		d.sign(fmt.Sprintf("queue_length %d, was %d", is.QueueLength, was.QueueLength), is.QueueLength-was.QueueLength)
	}
}

// early compares random early drop: who begins later, or with fewer, lets more in.
func (d *Dimension) early(was, is *limit.Spec) {
	a, b, none := was.EarlyDrop, is.EarlyDrop, limit.EarlyDrop{}
	text := func(l *limit.Spec) string {
		return fmt.Sprintf("from %d at a time on (%d %%)", l.EarlyDrop.Start, l.EarlyDrop.Percent)
	}
	switch {
	case a == b:
	case b == none:
		d.sign("early_drop none, was "+text(was), 1)
	case a == none:
		d.sign("early_drop "+text(is)+", was none", -1)
	default:
		d.sign(fmt.Sprintf("early_drop start %d, was %d", b.Start, a.Start), b.Start-a.Start)
		d.sign(fmt.Sprintf("early_drop percent %d, was %d", b.Percent, a.Percent), a.Percent-b.Percent)
	}
}

// sources compares what each source gets.
func (d *Dimension) sources(was, is *limit.PerSource) {
	d.amounts("per_source concurrent", int64(was.Concurrent), int64(is.Concurrent), decimal)
	d.rates("per_source ", was.Rate, is.Rate, was.Burst, is.Burst)
	d.wider("ipv4_prefix", was, is, func(w *limit.Wider) int { return w.Prefix4 })
	d.wider("ipv6_prefix", was, is, func(w *limit.Wider) int { return w.Prefix6 })
}

// wider compares the networks of one family around a source.
func (d *Dimension) wider(name string, was, is *limit.PerSource, bits func(*limit.Wider) int) {
	times := func(s *limit.PerSource, of int) int {
		for i := range s.Wider {
			if bits(&s.Wider[i]) == of {
				return s.Wider[i].Times
			}
		}
		return 0
	}
	for of := range 129 {
		if before, now := times(was, of), times(is, of); of > 0 {
			d.amounts(fmt.Sprintf("per_source wider %s %d times", name, of), int64(before), int64(now), decimal)
		}
	}
}

// prefixes compares what one source is, where both count something by it: sessions, those who wait, or offences. A shorter prefix has
// more clients share it.
func (d *Dimension) prefixes(was, is *limit.Spec) {
	by := func(l *limit.Spec) [4]bool {
		return [4]bool{l.PerSource.Concurrent > 0, l.PerSource.Rate.Events > 0, l.Queue > 0, len(l.Penalty.On) > 0}
	}
	for i, counted := range by(was) {
		if counted && by(is)[i] {
			d.sign(fmt.Sprintf("per_source ipv4_prefix %d, was %d", is.PerSource.Prefix4, was.PerSource.Prefix4), is.PerSource.Prefix4-was.PerSource.Prefix4)
			d.sign(fmt.Sprintf("per_source ipv6_prefix %d, was %d", is.PerSource.Prefix6, was.PerSource.Prefix6), is.PerSource.Prefix6-was.PerSource.Prefix6)
			return
		}
	}
}

// penalties compares what sources are shut out for.
func (d *Dimension) penalties(was, is *limit.Penalty) {
	for _, c := range limit.Classes {
		before, now := slices.Contains(was.On, c), slices.Contains(is.On, c)
		d.sign(fmt.Sprintf("no penalty for %s", c), bit(before && !now))
		d.sign(fmt.Sprintf("a penalty for %s", c), -bit(now && !before))
	}
	if len(was.On) == 0 || len(is.On) == 0 {
		return
	}
	shorter := func(name string, was, is time.Duration) {
		d.sign(fmt.Sprintf("penalty %s %s, was %s", name, explain.FormatDuration(is), explain.FormatDuration(was)), cmp.Compare(was, is))
	}
	if was.Crash+was.Slow+was.Timeout+was.Violation+is.Crash+is.Slow+is.Timeout+is.Violation == 0 {
		shorter("first", was.First, is.First)
	} else {
		for _, c := range is.On {
			if slices.Contains(was.On, c) {
				shorter("for "+string(c), was.Adds(c), is.Adds(c))
			}
		}
	}
	shorter("max", was.Max, is.Max)
}
