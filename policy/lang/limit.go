package lang

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/valid"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// limitTable is limit "NAME" { ... }. A number that is not written is no limit
// of its kind.
var limitTable = table[limit.Spec]{
	{rows: []row[limit.Spec]{
		{Attribute{Name: "concurrent", Example: "64", Bounds: counts(1, valid.MaxCount), Doc: "sessions at a time"},
			count(func(l *limit.Spec) *int { return &l.Concurrent })},
		{Attribute{Name: "rate", Example: `"50/s"`, Doc: "new sessions for each s, min, h or d"},
			measure(parseRate, func(l *limit.Spec) *limit.Rate { return &l.Rate })},
		{Attribute{Name: "burst", Example: "100", Bounds: counts(1, valid.MaxCount), Doc: "of them at once; absent: the number of the rate"},
			count(func(l *limit.Spec) *int { return &l.Burst })},
		{Attribute{Name: "session", Path: "session_ns", Example: `"10m"`, Bounds: timeBounds(time.Millisecond, valid.LongestSession), Doc: "how long one may last; not of a wait program, which takes its clients itself"},
			measure(parseDuration, func(l *limit.Spec) *time.Duration { return &l.Session })},
		{Attribute{Name: "first_byte", Path: "first_byte_ns", Example: `"10s"`, Bounds: timeBounds(time.Second, valid.LongestSession), Doc: "end a tcp client that has sent nothing by then; not for services that speak first (daytime, chargen, whatever greets), whose clients may have nothing to say"},
			measure(parseDuration, func(l *limit.Spec) *time.Duration { return &l.FirstByte })},
		{Attribute{Name: "min_rate", Example: `"100B/s"`, Bounds: paceBounds(1, valid.MaxMinRate), Doc: "end a tcp client that sends a message, unanswered, or takes what was written to it, at less than that, as a mean of half a minute; one that nobody waits for, or that waits itself, is not slow: idle and session are for those"},
			measure(parsePace, func(l *limit.Spec) *int { return &l.MinRate })},
		{Attribute{Name: "queue", Path: "queue_ns", Example: `"2s"`, Bounds: timeBounds(time.Millisecond, valid.LongestQueue), Doc: "how long a connection waits for a place where concurrent are taken, in place of being refused"},
			measure(parseDuration, func(l *limit.Spec) *time.Duration { return &l.Queue })},
		{Attribute{Name: "queue_length", Example: "32", Bounds: counts(1, policy.MaxQueue), Doc: "how many do, with queue; absent: as many as concurrent, up to 64; one source: its per_source concurrent, or a quarter"},
			count(func(l *limit.Spec) *int { return &l.QueueLength })},
		{Attribute{Name: "max_load", Example: `"4.0"`, Doc: "nobody is admitted while the host's load average of a minute is this or more"},
			load},
		{Attribute{Name: "responses", Example: `"200/s"`, Bounds: responsesBound, Doc: fmt.Sprintf("udp answers of a builtin to one source, twice as many at once; absent: %s. A source is what per_source has for it, at least a /%d or an IPv6 /%d whole: within its network a forged sender costs nothing to vary", explain.FormatRate(responses.Usual), responses.Prefix4, responses.Prefix6)},
			measure(parseRate, func(l *limit.Spec) *limit.Rate { return &l.Responses })},
		{Attribute{Name: "responses_total", Example: `"5000/s"`, Bounds: responsesBound, Doc: fmt.Sprintf("udp answers of a builtin to all clients together; absent: %s", explain.FormatRate(responses.UsualTotal))},
			measure(parseRate, func(l *limit.Spec) *limit.Rate { return &l.ResponsesTotal })},
		{Attribute{Name: "exempt", Example: `["192.0.2.10", "2001:db8:7::/48"]`, Bounds: fmt.Sprintf("at most %d", limit.MaxExempt), Doc: "addresses and prefixes of which nothing is counted: per_source, the networks around, penalty, a source's part of the queue and responses are not for them, and refuse = \"silent\" shuts none of them out. The acl holds, and so does what all clients share (concurrent, rate, early_drop, queue, max_load, responses_total) and how long and slow a session may be (session, first_byte, min_rate); so does a ban"},
			exempted},
	}},
	{block: "early_drop", done: wholeDrop, rows: []row[limit.Spec]{
		{Attribute{Name: "start", Example: "48", Instead: "queue", Bounds: counts(1, valid.MaxCount-1), Doc: "from so many sessions on, fewer than concurrent, newcomers are refused at random"},
			count(func(l *limit.Spec) *int { return &l.EarlyDrop.Start })},
		{Attribute{Name: "percent", Example: "30", Instead: "queue", Bounds: counts(1, 100), Doc: "so many of a hundred there, and more with each further session, up to all of them at concurrent"},
			count(func(l *limit.Spec) *int { return &l.EarlyDrop.Percent })},
	}},
	{block: "per_source", more: []string{"wider"}, done: widerBlocks, rows: []row[limit.Spec]{
		{Attribute{Name: "concurrent", Example: "4", Bounds: counts(1, valid.MaxCount), Doc: "the same for each source prefix"},
			count(func(l *limit.Spec) *int { return &l.PerSource.Concurrent })},
		{Attribute{Name: "rate", Example: `"10/min"`, Doc: "new sessions of one source for each s, min, h or d"},
			measure(parseRate, func(l *limit.Spec) *limit.Rate { return &l.PerSource.Rate })},
		{Attribute{Name: "burst", Example: "5", Bounds: counts(1, valid.MaxCount), Doc: "of them at once; absent: the number of the rate"},
			count(func(l *limit.Spec) *int { return &l.PerSource.Burst })},
		{Attribute{Name: "ipv4_prefix", Path: "prefix4", Example: "24", Unset: "32", Bounds: counts(0, 32), Doc: "bits of an address that are its source"},
			number(func(l *limit.Spec) *int { return &l.PerSource.Prefix4 })},
		{Attribute{Name: "ipv6_prefix", Path: "prefix6", Example: "56", Unset: "64", Bounds: counts(0, 128), Doc: "likewise of an IPv6 address"},
			number(func(l *limit.Spec) *int { return &l.PerSource.Prefix6 })},
	}},
	{block: "penalty", rows: []row[limit.Spec]{
		{Attribute{Name: "on", Example: `["crash", "slow", "violation", "timeout"]`, Words: spelled(limit.Classes), Doc: `ends of a session; slow: by first_byte or min_rate; "memory", by the OOM killer, never has one`},
			words(func(l *limit.Spec) *[]limit.Class { return &l.Penalty.On })},
		{Attribute{Name: "first", Path: "first_ns", Example: `"90s"`, Bounds: timeBounds(time.Millisecond, valid.LongestPenalty), Doc: "each offence adds as much again"},
			measure(parseDuration, func(l *limit.Spec) *time.Duration { return &l.Penalty.First })},
		{Attribute{Name: "max", Path: "max_ns", Example: `"10m"`, Bounds: timeBounds(time.Millisecond, valid.LongestPenalty), Doc: "outstanding at the most"},
			measure(parseDuration, func(l *limit.Spec) *time.Duration { return &l.Penalty.Max })},
		ownPenalty(limit.Crash, `"5m"`), ownPenalty(limit.Slow, `"30s"`), ownPenalty(limit.Timeout, `"10s"`), ownPenalty(limit.Violation, `"10m"`),
	}},
}

// responsesBound is of both.
var responsesBound = fmt.Sprintf("at most %d for each s, min, h or d", responses.Most)

// ownPenalty is the row of a class's own amount.
func ownPenalty(c limit.Class, example string) row[limit.Spec] {
	return row[limit.Spec]{
		Attribute{Name: string(c), Path: string(c) + "_ns", Example: example, Bounds: timeBounds(time.Millisecond, valid.LongestPenalty), Doc: "what an offence of this class adds, which on names; absent: first"},
		measure(parseDuration, func(l *limit.Spec) *time.Duration { return l.Penalty.Own(c) })}
}

// widerTable is wider { ... } of per_source.
var widerTable = table[limit.Wider]{{rows: []row[limit.Wider]{
	{Attribute{Name: "ipv4_prefix", Path: "prefix4", Example: "16", Bounds: counts(1, 31), Doc: "a network of so many bits around a source is counted as well; absent: none of IPv4"},
		count(func(w *limit.Wider) *int { return &w.Prefix4 })},
	{Attribute{Name: "ipv6_prefix", Path: "prefix6", Example: "48", Bounds: counts(1, 127), Doc: "likewise of an IPv6 address"},
		count(func(w *limit.Wider) *int { return &w.Prefix6 })},
	{Attribute{Name: "times", Example: "8", Bounds: counts(2, valid.MaxTimes), Doc: "it may have so many times what one source may; of several, up to 3, each is wider than the one before and has more"},
		number(func(w *limit.Wider) *int { return &w.Times })},
}}}

func widerBlocks(b *block, l *limit.Spec) {
	for _, inner := range b.syn.Body.Blocks {
		if inner.Type != "wider" {
			continue
		}
		b.c.labels(inner, 0)
		at, w := widerTable.open(b.c, inner, b.join("wider."+strconv.Itoa(len(l.PerSource.Wider)))), limit.Wider{}
		at.missing("times", "write how many times what one source may all of them may together, as times = 8")
		widerTable.read(at, &w)
		l.PerSource.Wider = append(l.PerSource.Wider, w)
	}
}

// wholeDrop asks for the other number of an early_drop: one that is left out would be 0, and refuse nobody.
func wholeDrop(b *block, _ *limit.Spec) {
	if b.has("percent") {
		b.missing("start", "write the number of sessions from which on newcomers are dropped at random, as start = 48")
	}
	if b.has("start") {
		b.missing("percent", "write how many of a hundred are dropped there, as percent = 30")
	}
}

// load reads a load average, as a number or a text, into hundredths.
func load(b *block, a *Attribute, l *limit.Spec) {
	v, ok := b.attr(a)
	if !ok {
		return
	}
	n, err := strconv.ParseFloat(v.text(), 64)
	if !v.scalar() || err != nil || !(n >= 0.01 && n <= valid.MaxLoad) {
		b.c.report(codeValue, v.rng, fmt.Sprintf("write %s, from 0.01 to %d", a.write(), valid.MaxLoad), "%s: %s is no load average", a.Name, v.describe())
		return
	}
	l.MaxLoad = int(math.Round(n * 100))
}

// usualQueue is the most that queue_length is where it is not written.
const usualQueue = 64

func (c *compiler) limitBlock(name string, syn *hclsyntax.Block) limit.Spec {
	b := limitTable.open(c, syn, "limits."+name)
	c.put(b.path+".name", syn.LabelRanges[0])
	l := limitBlank()
	l.Name = name
	limitTable.read(b, &l)
	if l.Burst == 0 {
		l.Burst = l.Rate.Events
	}
	if l.Queue > 0 && l.QueueLength == 0 {
		l.QueueLength = max(1, min(l.Concurrent, usualQueue))
	}
	if l.PerSource.Burst == 0 {
		l.PerSource.Burst = l.PerSource.Rate.Events
	}
	return l
}
