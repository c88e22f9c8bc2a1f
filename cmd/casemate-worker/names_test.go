package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate/acl/decide"
	"casemate/cmd/confirm"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
)

// zone is a fake resolver: what it does not hold does not exist.
type zone struct {
	ptr   map[string][]string
	addrs map[string][]string
	delay time.Duration // of every question
	fail  map[string]error

	mu      sync.Mutex
	asked   int
	running int
	most    int
}

func (z *zone) wait(ctx context.Context, what string) error {
	z.mu.Lock()
	z.asked++
	z.running++
	z.most = max(z.most, z.running)
	z.mu.Unlock()
	defer func() { z.mu.Lock(); z.running--; z.mu.Unlock() }()
	if z.delay > 0 {
		select {
		case <-time.After(z.delay):
		case <-ctx.Done():
			return &net.DNSError{Err: ctx.Err().Error(), IsTimeout: true}
		}
	}
	return z.fail[what]
}

var errNotThere = &net.DNSError{Err: "no such host", IsNotFound: true}

func (z *zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := z.wait(ctx, addr); err != nil {
		return nil, err
	}
	if names, ok := z.ptr[addr]; ok {
		return names, nil
	}
	return nil, errNotThere
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := z.wait(ctx, host); err != nil {
		return nil, err
	}
	var found []netip.Addr
	for _, a := range z.addrs[host] {
		addr := netip.MustParseAddr(a)
		if addr.Is4() == (network == "ip4") {
			found = append(found, addr)
		}
	}
	if len(found) == 0 {
		return nil, errNotThere
	}
	return found, nil
}

func TestLookup(t *testing.T) {
	broken := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	z := &zone{
		ptr: map[string][]string{
			"192.0.2.1":   {"Good.Example.ORG."},
			"192.0.2.2":   {"forged.example.org."},
			"192.0.2.3":   {"forged.example.org.", "good3.example.org."},
			"192.0.2.4":   {"bad\x1bname.example."},
			"192.0.2.5":   {"192.0.2.5."},
			"192.0.2.6":   {"flaky.example.org."},
			"192.0.2.7":   {"flaky.example.org.", "good7.example.org."},
			"192.0.2.8":   {"nowhere.example.org."},
			"192.0.2.9":   nil,
			"2001:db8::1": {"six.example.org."},
			"192.0.2.10":  {"six.example.org."},
			"192.0.2.12":  {"printer", "printer.example.org."}, // two names from the hosts file
			"192.0.2.13":  {"bare."},
		},
		addrs: map[string][]string{
			"good.example.org.":   {"198.51.100.1", "192.0.2.1"},
			"forged.example.org.": {"198.51.100.1"},
			"good3.example.org.":  {"192.0.2.3"},
			"good7.example.org.":  {"192.0.2.7"},
			"192.0.2.5.":          {"192.0.2.5"},
			"six.example.org.":    {"2001:db8::1"},
			"printer":             {"192.0.2.12"},
			"bare":                {"192.0.2.13"}, // what a search list would find
		},
		fail: map[string]error{"192.0.2.20": broken, "192.0.2.21": errors.New("odd"), "flaky.example.org.": broken},
	}
	for addr, want := range map[string]decide.Name{
		"192.0.2.1":   {State: decide.Known, Host: "good.example.org"},
		"192.0.2.2":   {State: decide.Paranoid},
		"192.0.2.3":   {State: decide.Known, Host: "good3.example.org"},
		"192.0.2.4":   {State: decide.Paranoid},
		"192.0.2.5":   {State: decide.Paranoid},
		"192.0.2.6":   {State: decide.NoAnswer},
		"192.0.2.7":   {State: decide.Known, Host: "good7.example.org"},
		"192.0.2.8":   {State: decide.Paranoid},
		"192.0.2.9":   {State: decide.Unknown},
		"2001:db8::1": {State: decide.Known, Host: "six.example.org"},
		"192.0.2.10":  {State: decide.Paranoid}, // a v6 address confirms no v4 one
		"192.0.2.11":  {State: decide.Unknown},
		"192.0.2.12":  {State: decide.Known, Host: "printer"},
		"192.0.2.13":  {State: decide.Paranoid},
		"192.0.2.20":  {State: decide.NoAnswer},
		"192.0.2.21":  {State: decide.NoAnswer},
	} {
		if got := confirm.Lookup(t.Context(), z, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %+v, want %+v", addr, got, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	label := strings.Repeat("a", 63)
	for name, want := range map[string]string{
		"Host.Example.":     "host.example",
		"a":                 "a",
		"_sip._tcp.x":       "_sip._tcp.x",
		"1.2.3.x":           "1.2.3.x",
		label + "." + label: label + "." + label,
		"":                  "", ".": "", "a..b": "", ".a": "", "a..": "", "-a": "", "a-": "", "a b": "", "a/b": "",
		"ä": "", "a\x00": "", "192.0.2.1": "", "1:2::": "", label + "a": "",
		strings.Repeat("a.", 126) + "ab": "",
	} {
		got, ok := confirm.Canonical(name)
		if got != want || ok != (want != "") {
			t.Errorf("canonical(%q) = %q, %v, want %q", name, got, ok, want)
		}
	}
}

// answers collects what an asker says.
type answers struct {
	mu  sync.Mutex
	got map[uint64]decide.Name
	at  map[uint64]time.Time
}

func (a *answers) add(id uint64, r decide.Name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, twice := a.got[id]; twice {
		panic(fmt.Sprint("answered twice: ", id))
	}
	a.got[id], a.at[id] = r, time.Now()
}

func (a *answers) get(id uint64) decide.Name {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got[id]
}

func (a *answers) when(id uint64) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[id]
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.got)
}

// counts are the questions so far and the most at one time.
func (z *zone) counts() (asked, most int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked, z.most
}

func newTestAsker(r confirm.Resolver) (*asker, *answers) {
	got := &answers{got: map[uint64]decide.Name{}, at: map[uint64]time.Time{}}
	return newAsker(r, got.add), got
}

func host(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}) }

func TestAskDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got := newTestAsker(&zone{delay: time.Hour})
		began := time.Now()
		// Twice what fits in flight: the second half never gets a turn.
		for i := range 2 * namesInFlight {
			a.ask(t.Context(), uint64(i), host(i))
		}
		time.Sleep(namesDeadline)
		synctest.Wait()
		for i := range 2 * namesInFlight {
			id := uint64(i)
			if got.get(id) != (decide.Name{State: decide.NoAnswer}) || got.when(id).Sub(began) != namesDeadline {
				t.Fatalf("question %d: %+v after %v", i, got.get(id), got.when(id).Sub(began))
			}
		}
	})
}

func TestAskBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: 100 * time.Millisecond}
		a, got := newTestAsker(z)
		const room = namesInFlight + namesQueued
		for i := range room + 5 {
			a.ask(t.Context(), uint64(i), host(i))
		}
		if got.count() != 5 || got.get(room) != (decide.Name{State: decide.NoAnswer}) {
			t.Errorf("at once: %d answers, want 5 refusals", got.count())
		}
		time.Sleep(namesDeadline)
		synctest.Wait()
		if _, most := z.counts(); got.count() != room+5 || most != namesInFlight {
			t.Errorf("%d answers, %d lookups at a time", got.count(), most)
		}
	})
}

func TestAskSharesLookupsAndCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: 100 * time.Millisecond,
			ptr:   map[string][]string{"192.0.0.1": {"x.example."}},
			addrs: map[string][]string{"x.example.": {"192.0.0.1"}}}
		a, got := newTestAsker(z)
		id := uint64(0)
		asked := func() int { n, _ := z.counts(); return n }
		ask := func(n int) decide.Name {
			id++
			a.ask(t.Context(), id, host(n))
			time.Sleep(time.Second)
			synctest.Wait()
			return got.get(id)
		}
		for range namesWaiters {
			id++
			a.ask(t.Context(), id, host(1))
		}
		a.ask(t.Context(), 999, host(1)) // one more than may wait
		if got.get(999) != (decide.Name{State: decide.NoAnswer}) {
			t.Error("waiters for one address are not bounded")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if asked() != 2 || got.get(1) != (decide.Name{State: decide.Known, Host: "x.example"}) || got.get(namesWaiters) != got.get(1) {
			t.Errorf("%d questions to the resolver, %+v", asked(), got.get(1))
		}
		if ask(1); asked() != 2 {
			t.Error("a known name was not kept")
		}
		ask(2) // unknown
		if ask(2); asked() != 3 {
			t.Error("an unknown name was not kept")
		}
		time.Sleep(cacheOther)
		if ask(2); asked() != 4 {
			t.Error("an unknown name was kept too long")
		}
		time.Sleep(cacheKnown)
		if ask(1); asked() != 6 {
			t.Error("a known name was kept too long")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c, now := newCache(3), time.Now()
	for i := range 10 {
		c.put(host(i), decide.Name{State: decide.Unknown}, now)
		c.put(host(i), decide.Name{State: decide.Paranoid}, now)
	}
	if len(c.entries) != 3 {
		t.Errorf("%d entries", len(c.entries))
	}
	if _, ok := c.get(host(6), now); ok {
		t.Error("the oldest is still there")
	}
	if r, ok := c.get(host(7), now); !ok || r.State != decide.Paranoid {
		t.Errorf("%+v, %v", r, ok)
	}
}

// TestAsked: what only a broker that is not ours asks is no question.
func TestAsked(t *testing.T) {
	ask := func(k wire.Kind, addr string) wire.Order {
		return wire.Order{Kind: k, ID: 1, Name: string(netip.MustParseAddr(addr).AsSlice())}
	}
	for _, o := range []wire.Order{ask(wire.Ask, "192.0.2.1"), ask(wire.Ask, "2001:db8::1")} {
		if a, err := asked(o); err != nil || string(a.AsSlice()) != o.Name {
			t.Errorf("%q: %v, %v", o.Name, a, err)
		}
	}
	for _, o := range []wire.Order{ask(wire.Killed, "192.0.2.1"), ask(wire.Ask, "::ffff:192.0.2.1"), {Kind: wire.Ask, Name: "12345"}} {
		if a, err := asked(o); err == nil {
			t.Errorf("%q: %v", o.Name, a)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("Host.Example.")
	f.Fuzz(func(t *testing.T, name string) {
		c, ok := confirm.Canonical(name)
		if !ok {
			return
		}
		if again, ok := confirm.Canonical(c); !ok || again != c {
			t.Errorf("%q is not canonical: %q, %v", c, again, ok)
		}
		if a, err := wire.DecodeReport(far.EncodeReport(wire.Report{Kind: wire.Named, Name: decide.Name{State: decide.Known, Host: c}})); err != nil || a.Name.Host != c {
			t.Errorf("%q goes over the wire as %+v, %v", c, a, err)
		}
		if strings.Trim(c, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			t.Errorf("%q", c)
		}
	})
}
