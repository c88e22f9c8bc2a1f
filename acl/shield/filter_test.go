package shield

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"casemate/tests/need"

	"golang.org/x/net/bpf"
)

// packet is one from an address, as a filter that looks for the header of IP at its end has it: first that of TCP.
func packet(from netip.Addr, flags byte) []byte {
	tcp := make([]byte, 20)
	tcp[tcpFlags] = flags
	if from.Is4() {
		ip := make([]byte, 20)
		ip[0] = 0x45
		copy(ip[source4:], from.AsSlice())
		return append(tcp, ip...)
	}
	ip := make([]byte, 40)
	ip[0] = 0x60
	copy(ip[source6:], from.AsSlice())
	return append(tcp, ip...)
}

// filter is the program of r on an interpreter.
func (r Ranges) filter(t testing.TB, datagrams bool) func(p []byte) int {
	t.Helper()
	raw := fitting(Ranges{}, r, datagrams).program(datagrams, 20)
	if len(raw) > maxProgram {
		t.Fatalf("%d instructions", len(raw))
	}
	program, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("a program with unknown instructions")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return func(p []byte) int {
		n, err := vm.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		if n != drop && n != pass {
			t.Fatalf("%d bytes of it stay", n)
		}
		return n
	}
}

// randomRanges are some whose ends share words, are 0, or the last there are.
func randomRanges(r *rand.Rand, n int) Ranges {
	word := func() uint32 { return []uint32{0, 1, 7, 0x20010db8, 1 << 31, 1<<32 - 1, r.Uint32()}[r.IntN(7)] }
	one := func(first int) (out []Range) {
		for range r.IntN(n) {
			var a, b [4]uint32
			for i := first; i < 4; i++ {
				a[i], b[i] = word(), word()
				if r.IntN(3) > 0 {
					b[i] = a[i]
				}
			}
			if slices.Compare(a[:], b[:]) > 0 {
				a, b = b, a
			}
			out = append(out, Range{a, b})
		}
		return joined(out)
	}
	return Ranges{one(3), one(0)}
}

// around are the ends of all ranges, and the addresses right outside.
func (r Ranges) around() (out []netip.Addr) {
	for i, list := range [][]Range{r.IPv4, r.IPv6} {
		for _, one := range list {
			for _, w := range [][4]uint32{one.First, one.Last} {
				b := make([]byte, 0, 16)
				for _, x := range w {
					b = binary.BigEndian.AppendUint32(b, x)
				}
				a, _ := netip.AddrFromSlice([][]byte{b[12:], b}[i])
				for _, x := range []netip.Addr{a, a.Prev(), a.Next()} {
					if x.IsValid() {
						out = append(out, x)
					}
				}
			}
		}
	}
	return out
}

// TestFilter: the program drops exactly those whom its ranges hold.
func TestFilter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tried := map[bool]int{}
	for range need.Rounds(300) {
		of := randomRanges(r, 40)
		streams, datagrams := of.filter(t, false), of.filter(t, true)
		for _, a := range append(of.around(), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) {
			want := of.Refuses(a)
			tried[want]++
			if got := datagrams(packet(a, 0)) == drop; got != want {
				t.Fatalf("a datagram of %s: dropped %v\n%v", a, got, of)
			}
			for flags, begins := range map[byte]bool{0x02: true, 0xc2: true, 0x12: false, 0x10: false, 0x18: false, 0x04: false, 0x11: false} {
				if got := streams(packet(a, flags)) == drop; got != (want && begins) {
					t.Fatalf("a segment of %s with flags %#x: dropped %v\n%v", a, flags, got, of)
				}
			}
		}
		if p := packet(netip.MustParseAddr("::"), 2); len(p) == 60 {
			p[20] = 0x50
			if streams(p) == drop || datagrams(p) == drop {
				t.Fatal("what is neither IPv4 nor IPv6 is dropped")
			}
		}
	}
	if tried[true] < 100 || tried[false] < 100 {
		t.Errorf("%v: one answer is hardly tried", tried)
	}
}

// TestFilterOfMany: of more ranges than a program can hold the largest are dropped, and nobody else is.
func TestFilterOfMany(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{900, 5000, 100000} {
		var prefixes []netip.Prefix
		for i := range n {
			prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(10 + i>>16), byte(i >> 8), byte(i), byte(r.Int())}), 24+r.IntN(9)).Masked(),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(r.Int()), byte(r.Int()), byte(r.Int()), byte(r.Int()), byte(r.Int())}), 33+r.IntN(40)).Masked())
		}
		of := Prefixes(append(prefixes, netip.MustParsePrefix("192.0.0.0/8"), netip.MustParsePrefix("fe00::/8")), nil)
		run := of.filter(t, true)
		dropped := 0
		for _, p := range prefixes {
			for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev()} {
				if run(packet(a, 0)) == drop {
					dropped++
					if !of.Refuses(a) {
						t.Fatalf("%s is dropped, which nobody refuses", a)
					}
				}
			}
		}
		if dropped < 300 || run(packet(netip.MustParseAddr("192.1.2.3"), 0)) != drop || run(packet(netip.MustParseAddr("fe12::1"), 0)) != drop {
			t.Errorf("of %d prefixes %d are dropped, or not the largest", n, dropped)
		}
	}
}

// TestFirst: what comes first is held whole while it fits, and the others' largest beside it.
func TestFirst(t *testing.T) {
	var rules, banned []netip.Prefix
	for i := range 5000 {
		rules = append(rules, netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 7), byte(i << 1), 0}), 24))
		if i < 150 {
			banned = append(banned, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(200), byte(i), 1, 1}), 32), netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), 15: 1}), 128))
		}
	}
	dropped := func(datagrams bool, first, more []netip.Prefix, of []netip.Prefix) (n int) {
		fit := fitting(Prefixes(first, nil), Prefixes(more, nil), datagrams)
		if size := len(fit.program(datagrams, networkHeader)); size > maxProgram || size != fit.size(datagrams) {
			t.Fatalf("%d instructions, and counted are %d", size, fit.size(datagrams))
		}
		for _, p := range of {
			n += map[bool]int{true: 1}[fit.Refuses(p.Addr())]
		}
		return n
	}
	for _, datagrams := range []bool{false, true} {
		if n := dropped(datagrams, banned, rules, banned); n != len(banned) {
			t.Errorf("%d of %d are dropped that come first", n, len(banned))
		}
		if n := dropped(datagrams, banned, rules, rules); n < 100 || n > 1500 {
			t.Errorf("and %d beside them", n)
		}
		if n := dropped(datagrams, rules, banned, rules); n < 900 { // more than fits: the rest is none of it
			t.Errorf("of too many that come first %d are dropped", n)
		}
		if n := dropped(datagrams, rules, banned, banned); n != 0 {
			t.Errorf("and %d others", n)
		}
	}
}

// TestPrefixes: a source that is shut out is refused by its prefix, but for who is exempt; what the rules refuse stays refused.
func TestPrefixes(t *testing.T) {
	base := Prefixes([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil)
	of := base.And(Prefixes([]netip.Prefix{netip.MustParsePrefix("192.0.2.128/25"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:0:ff00::/56"), netip.MustParsePrefix("2001:db8:0:fe00::/56"), netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("203.0.113.0/24")},
		[]netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("203.0.113.128/25"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:0:ff80::/57")}))
	for a, want := range map[string]bool{"10.255.255.255": true, "11.0.0.0": false, "192.0.2.127": false, "192.0.2.128": true, "192.0.2.255": true, "192.0.3.0": false, "198.51.100.7": true, "198.51.100.8": false,
		"203.0.113.6": true, "203.0.113.7": false, "203.0.113.8": true, "203.0.113.127": true, "203.0.113.128": false, "10.1.2.3": true,
		"2001:db8:0:ff00::1": true, "2001:db8:0:ff7f:ffff:ffff:ffff:ffff": true, "2001:db8:0:ff80::": false, "2001:db8:1::": false, "2001:db8:0:fe00::": true, "2001:db8:0:fdff::": false} {
		if got := of.Refuses(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: refused %v", a, got)
		}
	}
	if base.Refuses(netip.MustParseAddr("192.0.2.200")) {
		t.Error("the ranges that it is made of have changed")
	}
}

// BenchmarkFilter is the making of a filter of n prefixes.
func BenchmarkFilter(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000, 100000} {
		var prefixes []netip.Prefix
		for i := range n {
			prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(10 + i>>16), byte(i >> 8), byte(i), 2}), 32))
		}
		of := Prefixes(prefixes, nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				Filter(false, Ranges{}, of)
			}
		})
	}
}
