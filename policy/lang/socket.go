package lang

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/valid"
)

// Codepoints are the names of differentiated services (RFC 2474, 2597, 3246, 5865, 8622) as
// the byte that packets carry, whose last two bits are congestion's.
var codepoints = map[string]uint32{
	"cs0": 0 << 2, "cs1": 8 << 2, "cs2": 16 << 2, "cs3": 24 << 2, "cs4": 32 << 2, "cs5": 40 << 2, "cs6": 48 << 2, "cs7": 56 << 2,
	"af11": 10 << 2, "af12": 12 << 2, "af13": 14 << 2, "af21": 18 << 2, "af22": 20 << 2, "af23": 22 << 2,
	"af31": 26 << 2, "af32": 28 << 2, "af33": 30 << 2, "af41": 34 << 2, "af42": 36 << 2, "af43": 38 << 2,
	"le": 1 << 2, "ef": 46 << 2, "voice-admit": 44 << 2,
}

// trafficClass reads tos.
func trafficClass(b *block, a *Attribute, s *policy.Service) {
	v, ok := b.attr(a)
	if !ok {
		return
	}
	n, known := codepoints[strings.ToLower(v.s)]
	switch {
	case v.kind == kindNumber:
		n = wideOf(v)
	case v.kind != kindString:
		b.c.report(codeType, v.rng, "write "+a.write(), "%s must be a name or a number, not %s", a.Name, v.describe())
	case !known:
		b.c.report(codeValue, v.rng, didYouMean(v.s, slices.Sorted(maps.Keys(codepoints)), ""), "tos: %q is no name of differentiated services", clip(v.s))
	}
	s.Socket.TOS = n
}

// wide reads a whole number of 32 bits; what is more is the largest, which the bounds refuse
// where they are less.
func wide[T any](at func(*T) *uint32) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		if v, ok := b.typed(a, kindNumber); ok {
			if v.n > math.MaxUint32 {
				b.c.report(codeValue, v.rng, fmt.Sprintf("choose a number up to %d", uint32(math.MaxUint32)), "%s: %d is out of range", a.Name, v.n)
			}
			*at(to) = wideOf(v)
		}
	}
}

func wideOf(v value) uint32 { return uint32(min(v.n, math.MaxUint32)) }

// parseBuffer reads the size of a socket's buffer.
func parseBuffer(s string) (uint32, error) {
	n, err := parseSize(s)
	if err == nil && n == 0 {
		return 0, fmt.Errorf("a buffer of 0 bytes holds nothing: leave it out for the kernel's own size")
	}
	return uint32(min(n, valid.MostBuffer+1)), err
}
