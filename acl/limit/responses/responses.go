// Package responses says how often a built-in answers datagrams. A source address proves
// nothing there, so the answers of one network and of all are bounded whatever a policy leaves out:
// a responder loop between two servers dies out at the first dropped answer, and a server that is
// made to answer for others is a small weapon.
package responses

import (
	"cmp"
	"math/bits"
	"time"

	"casemate/acl/limit"
)

// Usual is what one network gets where a limit does not say, UsualTotal what all get together.
var (
	Usual      = limit.Rate{Events: 50, Per: time.Second}
	UsualTotal = limit.Rate{Events: 2000, Per: time.Second}
)

// Most is what either may be raised to, for each unit of time; twice as many fit an admission.Limiter's burst.
const Most = 500_000

// Prefix4 and Prefix6 are the networks of response rate limiting in name servers: a forged source costs
// the forger nothing to vary within them, so no source is less.
const (
	Prefix4 = 24
	Prefix6 = 56
)

// Rates are what holds under l for one network and for all.
func Rates(l *limit.Spec) (each, total limit.Rate) {
	return cmp.Or(l.Responses, Usual), cmp.Or(l.ResponsesTotal, UsualTotal)
}

// Of is the limit that answers are held to under l: a network gets twice the number of its rate at
// once, and all get the number of theirs.
func Of(l *limit.Spec) limit.Spec {
	each, total := Rates(l)
	return limit.Spec{
		Name: "responses", Rate: total, Burst: total.Events, Exempt: l.Exempt,
		PerSource: limit.PerSource{Rate: each, Burst: 2 * each.Events, Prefix4: min(l.PerSource.Prefix4, Prefix4), Prefix6: min(l.PerSource.Prefix6, Prefix6)},
	}
}

// Faster compares rates of some events, as cmp.Compare does.
func Faster(a, b limit.Rate) int {
	hi, lo := bits.Mul64(uint64(a.Events), uint64(b.Per))
	high, low := bits.Mul64(uint64(b.Events), uint64(a.Per))
	return cmp.Or(cmp.Compare(hi, high), cmp.Compare(lo, low))
}
