package shield

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/tests/need"
)

// choices are random numbers that a fuzzer's bytes decide, as far as they go.
type choices struct {
	data []byte
	rest rand.PCG
}

// Uint64 is of rand.Source.
func (c *choices) Uint64() uint64 {
	if len(c.data) < 2 {
		return c.rest.Uint64()
	}
	n := binary.LittleEndian.Uint16(c.data)
	c.data = c.data[2:]
	return uint64(n)<<48 | uint64(n)<<32 | uint64(n)<<16 | uint64(n)
}

// trial is a policy with those whom a limit shuts out just now, and their filters.
type trial struct {
	list    *acl.List
	matcher *decide.Matcher
	blocked []netip.Prefix
	exempt  []netip.Prefix
	first   Ranges
	rules   Ranges
	whole   bool // the filters have room for all of it
	from    []netip.Addr
}

func newTrial(t *testing.T, r *rand.Rand) *trial {
	t.Helper()
	d := &trial{list: randomList(r)}
	var err error
	if d.matcher, err = decide.Compile(d.list); err != nil {
		t.Fatal(err)
	}
	if d.rules, _, err = Refused(d.list); err != nil {
		t.Fatal(err)
	}
	d.from = edges(r, d.list)
	for range r.IntN(4) {
		a := d.from[r.IntN(len(d.from))]
		bits := []int{8, 24, 32}
		if a.Is6() {
			bits = []int{48, 64, 128}
		}
		p, _ := a.Prefix(bits[r.IntN(3)])
		d.blocked = append(d.blocked, p)
		for _, b := range []netip.Addr{p.Addr(), p.Addr().Prev(), a.Next(), a.Prev()} {
			if b.IsValid() && !b.Is4In6() {
				d.from = append(d.from, b)
			}
		}
		if one, err := a.Prefix(bits[2]); err == nil && r.IntN(2) == 0 {
			d.exempt = append(d.exempt, one)
		}
	}
	d.first = Prefixes(d.blocked, d.exempt)
	all := d.first.And(d.rules)
	d.whole = all.Fits()
	return d
}

// shut tells whether a limit shuts an address out.
func (d *trial) shut(a netip.Addr) bool {
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return in(d.blocked) && !in(d.exempt)
}

// refused tells whether no circumstances admit an address.
func (d *trial) refused(a netip.Addr) bool {
	return d.shut(a) || !slices.ContainsFunc(circumstances(a), func(c decide.Client) bool { return d.matcher.Decide(c).Verdict == acl.Allow })
}

// hold compares what became of a packet with what is decided of its source.
func (d *trial) hold(t *testing.T, by string, a netip.Addr, dropped bool) {
	t.Helper()
	if want := d.refused(a); dropped && !want || !dropped && want && d.whole {
		t.Fatalf("%s: what %s sends is dropped: %v; it is refused whatever else is known of it: %v\nlist %+v\nshut out %v, but %v\nfirst %v\nrules %v", by, a, dropped, want, d.list, d.blocked, d.exempt, d.first, d.rules)
	}
}

// interpreted runs both programs on an interpreter.
func (d *trial) interpreted(t *testing.T) {
	t.Helper()
	of := fitting(d.first, d.rules, true)
	datagrams, streams := of.filter(t, true), fitting(d.first, d.rules, false).filter(t, false)
	for _, a := range d.from {
		d.hold(t, "interpreter, datagrams", a, datagrams(packet(a, 0)) == drop)
		d.hold(t, "interpreter, connections", a, streams(packet(a, flagSYN)) == drop)
		if streams(packet(a, flagACK)) == drop {
			t.Fatal("what is part of a connection is dropped")
		}
	}
}

// FuzzShield: of random policies and verdicts of limits, whom the kernel's filter drops is refused under all circumstances, and
// whom all circumstances refuse it drops, where it has room.
func FuzzShield(f *testing.F) {
	f.Add([]byte{})
	for seed := range byte(20) {
		f.Add([]byte{seed, 255 - seed, seed * 7, 0x80, 0x40, seed, 0, 255, 1, 2, 3, seed})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		newTrial(t, rand.New(&choices{data: data, rest: *rand.NewPCG(uint64(len(data)), 7)})).interpreted(t)
	})
}

// TestShieldDecides is FuzzShield over many, of which some are decided each way.
func TestShieldDecides(t *testing.T) {
	tried := map[bool]int{}
	for seed := range uint64(need.Rounds(400)) {
		d := newTrial(t, rand.New(rand.NewPCG(seed, 11)))
		d.interpreted(t)
		for _, a := range d.from {
			tried[d.refused(a)]++
		}
	}
	if tried[true] < 100 || tried[false] < 100 {
		t.Errorf("%v: one answer is hardly tried", tried)
	}
}
