package diff

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/explain"
)

func duration(n int64) string { return explain.FormatDuration(time.Duration(n)) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// limits compares how often and how long clients are served, as far as a number counts where it stands: a burst beside a rate,
// a prefix beside something that is counted by it.
func limits(a, b *policy.Service, was, is *limit.Spec) Dimension {
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
	d.waiting(was, is)
	d.amounts("max_load", int64(was.MaxLoad), int64(is.MaxLoad), func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/100) })
	d.sources(&was.PerSource, &is.PerSource)
	d.penalties(&was.Penalty, &is.Penalty)
	d.amounts("idle", int64(a.Idle), int64(b.Idle), duration)
	d.sign("sessions whose client has gone go on (hangup = false)", bit(a.Hangup && !b.Hangup))
	d.sign("sessions whose client has gone end (hangup = true)", -bit(b.Hangup && !a.Hangup))
	d.answers(a.Answers, b.Answers)
	return d
}

// answers compares udp answers, of which the zero rate is none.
func (d *Dimension) answers(was, is limit.Rate) {
	switch {
	case was == is:
	case was.Events == 0:
		d.More = append(d.More, "udp answers "+explain.FormatRate(is)+", was none")
	case is.Events == 0:
		d.Less = append(d.Less, "udp answers none, was "+explain.FormatRate(was))
	default:
		d.sign(fmt.Sprintf("udp answers %s, was %s", explain.FormatRate(is), explain.FormatRate(was)), faster(is, was))
	}
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

// sources compares what each source gets. A shorter prefix has more clients share it.
func (d *Dimension) sources(was, is *limit.PerSource) {
	d.amounts("per_source concurrent", int64(was.Concurrent), int64(is.Concurrent), decimal)
	d.rates("per_source ", was.Rate, is.Rate, was.Burst, is.Burst)
	counts := func(s *limit.PerSource) bool { return s.Concurrent > 0 || s.Rate.Events > 0 }
	if counts(was) && counts(is) {
		d.sign(fmt.Sprintf("per_source ipv4_prefix %d, was %d", is.Prefix4, was.Prefix4), is.Prefix4-was.Prefix4)
		d.sign(fmt.Sprintf("per_source ipv6_prefix %d, was %d", is.Prefix6, was.Prefix6), is.Prefix6-was.Prefix6)
	}
}

// penalties compares what sources are shut out for.
func (d *Dimension) penalties(was, is *limit.Penalty) {
	for _, c := range limit.Classes {
		before, now := slices.Contains(was.On, c), slices.Contains(is.On, c)
		d.sign(fmt.Sprintf("no penalty for %s", c), bit(before && !now))
		d.sign(fmt.Sprintf("a penalty for %s", c), -bit(now && !before))
	}
	if len(was.On) > 0 && len(is.On) > 0 {
		d.sign(fmt.Sprintf("penalty first %s, was %s", explain.FormatDuration(is.First), explain.FormatDuration(was.First)), int(max(-1, min(1, was.First-is.First))))
		d.sign(fmt.Sprintf("penalty max %s, was %s", explain.FormatDuration(is.Max), explain.FormatDuration(was.Max)), int(max(-1, min(1, was.Max-is.Max))))
	}
}
