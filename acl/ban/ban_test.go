package ban

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestFind(t *testing.T) {
	var s State
	for _, b := range []Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Until: noon.Add(time.Hour)},
		{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Service: "ftp"},
		{Prefix: netip.MustParsePrefix("192.0.2.8/32"), Service: "ftp", Until: noon.Add(time.Minute)},
		{Prefix: netip.MustParsePrefix("2001:db8::/32"), Until: noon},
		{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Service: "smtp"},
	} {
		if !s.Set(b) {
			t.Fatalf("no room for %+v", b)
		}
	}
	s.Drain(Drain{Service: "pop"})
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	x := NewIndex(&s)
	for _, tt := range []struct{ addr, service, want, by string }{
		{"192.0.2.7", "ftp", ReasonBan, "192.0.2.7/32"}, // the one without an end
		{"192.0.2.7", "smtp", ReasonBan, "192.0.2.0/24"},
		{"192.0.2.8", "ftp", ReasonBan, "192.0.2.0/24"}, // which lasts longer
		{"192.0.3.8", "ftp", "", ""},
		{"192.0.3.8", "pop", ReasonDrain, ""},
		{"192.0.2.8", "pop", ReasonBan, "192.0.2.0/24"},
		{"2001:db8:2::1", "ftp", "", ""}, // its time is over
		{"2001:db8:1::9", "smtp", ReasonBan, "2001:db8:1::/64"},
		{"fe80::1%eth0", "smtp", "", ""},
		{"", "smtp", "", ""},
		{"", "pop", ReasonDrain, ""},
	} {
		var a netip.Addr
		if tt.addr != "" {
			a = netip.MustParseAddr(tt.addr)
		}
		by := ""
		if b := x.Find(a, tt.service, noon); b != nil {
			by = b.Prefix.String()
		}
		if got := x.Refuses(a, tt.service, noon); got != tt.want || by != tt.by {
			t.Errorf("%s at %s: %q by %q, want %q by %q", tt.addr, tt.service, got, by, tt.want, tt.by)
		}
	}
	if (*Index)(nil).Refuses(netip.MustParseAddr("::1"), "x", noon) != "" {
		t.Error("without anything said somebody is refused")
	}
}

// TestExpire: bans go when their time is over, and the next one is told.
func TestExpire(t *testing.T) {
	var s State
	for i := range 4 {
		until := noon.Add(time.Duration(i) * time.Minute)
		if i == 3 {
			until = time.Time{}
		}
		s.Set(Ban{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32), Until: until})
	}
	over, next := s.Expire(noon)
	if len(over) != 1 || !next.Equal(noon.Add(time.Minute)) || len(s.Bans) != 3 {
		t.Errorf("over %v, next %v, left %v", over, next, s.Bans)
	}
	if over, next = s.Expire(noon.Add(time.Hour)); len(over) != 2 || !next.IsZero() || len(s.Bans) != 1 {
		t.Errorf("over %v, next %v, left %v", over, next, s.Bans)
	}
}

// TestRoom: there are so many bans, and no more; one in place of another takes no room.
func TestRoom(t *testing.T) {
	var s State
	one := func(i int) Ban {
		return Ban{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}
	}
	for i := range MostBans {
		if !s.Set(one(i)) {
			t.Fatalf("no room for %d", i)
		}
	}
	if s.Set(one(MostBans)) || !s.Set(one(7)) {
		t.Error("room for more than there is, or none for what is there")
	}
	if got := s.Lift(one(7).Prefix, nil); len(got) != 1 || !s.Set(one(MostBans)) {
		t.Errorf("lifted %v, and no room after that", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestLift takes back the bans of a source from some services, and no wider or narrower ones.
func TestLift(t *testing.T) {
	var s State
	p, wide := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.0/24")
	for _, b := range []Ban{{Prefix: p, Service: "a"}, {Prefix: p, Service: "b"}, {Prefix: p}, {Prefix: wide}} {
		s.Set(b)
	}
	if got := s.Lift(p, []string{"a", "c"}); len(got) != 1 || got[0].Service != "a" || len(s.Bans) != 3 {
		t.Errorf("lifted %v, left %v", got, s.Bans)
	}
	if got := s.Lift(p, nil); len(got) != 2 || len(s.Bans) != 1 || s.Bans[0].Prefix != wide {
		t.Errorf("lifted %v, left %v", got, s.Bans)
	}
	if part := (&State{Bans: []Ban{{Prefix: p, Service: "a"}, {Prefix: wide}}, Drains: []Drain{{Service: "a"}, {Service: "b"}}}).Of("b"); len(part.Bans) != 1 || len(part.Drains) != 1 {
		t.Errorf("b is told %+v", part)
	}
}

func TestCheckPrefix(t *testing.T) {
	for text, ok := range map[string]bool{"192.0.2.0/24": true, "::/0": true, "192.0.2.1/24": false, "::ffff:192.0.2.1/128": false, "": false} {
		var p netip.Prefix
		if text != "" {
			p = netip.MustParsePrefix(text)
		}
		if err := CheckPrefix(p); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, s := range []State{{Bans: make([]Ban, MostBans+1)}, {Drains: []Drain{{Service: "b"}, {Service: "a"}}},
		{Bans: []Ban{{Prefix: netip.MustParsePrefix("10.0.0.1/32")}, {Prefix: netip.MustParsePrefix("10.0.0.1/32")}}}} {
		if s.Check() == nil {
			t.Errorf("no fault in %d bans and %v", len(s.Bans), s.Drains)
		}
	}
}

// TestIndexIsTheList holds the index against a look at each ban.
func TestIndexIsTheList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(4))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 15: byte(r.IntN(8))})
	}
	for range 200 {
		var s State
		for range r.IntN(12) {
			a := addr()
			p, _ := a.Prefix(a.BitLen() - r.IntN(12))
			b := Ban{Prefix: p, Service: []string{"", "a", "b"}[r.IntN(3)], Ends: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				b.Until = noon.Add(time.Duration(r.IntN(5)-2) * time.Minute)
			}
			s.Set(b)
		}
		x := NewIndex(&s)
		for range 50 {
			a, service := addr(), fmt.Sprintf("%c", 'a'+r.IntN(3))
			ends := false
			want := slices.ContainsFunc(s.Bans, func(b Ban) bool {
				return b.Prefix.Contains(a) && (b.Service == "" || b.Service == service) && (b.Until.IsZero() || b.Until.After(noon))
			})
			for _, b := range s.Bans {
				ends = ends || b.Ends && b.Prefix.Contains(a) && (b.Service == "" || b.Service == service) && (b.Until.IsZero() || b.Until.After(noon))
			}
			if got := x.Ends(a, service, noon); got != ends {
				t.Fatalf("sessions of %v at %s end: %v, want %v of %+v", a, service, got, ends, s.Bans)
			}
			if got := x.Find(a, service, noon) != nil; got != want {
				t.Fatalf("%v at %s: %v, want %v of %+v", a, service, got, want, s.Bans)
			}
		}
	}
}
