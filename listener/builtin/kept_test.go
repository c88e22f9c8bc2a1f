package builtin

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// keptFile is one as the broker makes it.
func keptFile(t *testing.T, size int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "kept")
	t.Cleanup(func() { f.Close() })
	return f
}

// shared are the gates of workers that share a file, as after reloads.
func shared(t *testing.T, c *Config, n int) (out []*gate) {
	t.Helper()
	f := keptFile(t, wire.KeptSize)
	for range n {
		fd, err := unix.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		g, err := newGate(c)
		if err == nil {
			g.keeper, err = newKeeper(os.NewFile(uintptr(fd), "kept"))
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func from(addr string) *client {
	return &client{peer: inbound.Peer{Addr: netip.MustParseAddrPort(addr + ":7000")}, local: netip.MustParseAddrPort("192.0.2.1:7"), network: "tcp"}
}

// served is a stream client that comes and goes.
func served(g *gate, addr, reason string) {
	v := g.admit(from(addr))
	g.release(from(addr), &v, reason)
}

func limited() *Config {
	c := config("echo")
	c.Limit = limit.Spec{Responses: limit.Rate{Events: 1, Per: time.Hour}, PerSource: limit.PerSource{Rate: limit.Rate{Events: 2, Per: time.Hour}, Burst: 2, Prefix4: 32, Prefix6: 64},
		Penalty: limit.Penalty{On: limit.Classes, First: time.Minute, Max: time.Hour}}
	return c
}

// TestLimitsAreHandedOn: rates, penalties and answers of one worker hold at the next; and at one that runs beside it, once it keeps.
func TestLimitsAreHandedOn(t *testing.T) {
	gates := shared(t, limited(), 3)
	first, second, third := gates[0], gates[1], gates[2]
	second.keep()
	for range 2 {
		served(first, "192.0.2.7", "")
	}
	served(first, "192.0.2.8", string(limit.Timeout))
	for range 2 {
		if v := first.datagram(from("198.51.100.9"), time.Now()); v.refused != "" {
			t.Fatal(v.refused)
		}
	}
	first.keep()
	for name, g := range map[string]*gate{"the next": third, "one beside it": second} {
		g.keep()
		for who, want := range map[string]string{"192.0.2.7": "source-rate", "192.0.2.8": "penalty", "192.0.2.9": ""} {
			if v := g.admit(from(who)); v.refused != want {
				t.Errorf("%s: %s is refused by %q, want %q", name, who, v.refused, want)
			}
		}
		if v := g.datagram(from("198.51.100.77"), time.Now()); v.refused != reasonResponses {
			t.Errorf("%s: a datagram is refused by %q", name, v.refused)
		}
	}
	second.release(from("192.0.2.9"), new(verdict), string(limit.Timeout)) // the old one's last, which the next hears of when it keeps
	second.keep()
	third.keep()
	if v := third.admit(from("192.0.2.9")); v.refused != "penalty" {
		t.Errorf("refused by %q", v.refused)
	}
}

// TestChangesAreKeptSoon: nobody has to ask for it.
func TestChangesAreKeptSoon(t *testing.T) {
	gates := shared(t, limited(), 2)
	served(gates[0], "192.0.2.8", string(limit.Timeout))
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if gates[1].keep(); gates[1].limiter.Peek(gates[1].now(), from("192.0.2.8").source()).Refused() {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing was kept")
		}
	}
}

// TestSpoiltCopy: what a worker left half written, or anybody spoilt, is as if it were not there; the copy before is, and the
// next store is good.
func TestSpoiltCopy(t *testing.T) {
	g := shared(t, limited(), 1)[0]
	k, r := g.keeper, rand.New(rand.NewPCG(1, 2))
	if _, _, ok := k.load(); ok {
		t.Fatal("zeros are taken for something")
	}
	g.limiter.Penalize(g.now(), from("192.0.2.8").source(), limit.Timeout)
	g.keep()
	good := slices.Clone(k.file)
	for range 300 {
		copy(k.file, good)
		g.keep() // a second copy
		i, number, text := k.newest()
		if number != 2 {
			t.Fatal(number)
		}
		at := k.file[i*copySize:]
		at[r.IntN(copyHead+len(text))] ^= byte(1 + r.IntN(255))
		limits, _, ok := k.load()
		if n, _, _ := k.newest(); !ok || n == i {
			t.Fatal("the copy before is not there any more")
		}
		if text := limits.Append(nil); len(text) != 12+36 {
			t.Fatalf("%d bytes", len(text))
		}
		g.keep()
		if _, number, _ := k.newest(); number != 2 {
			t.Fatal(number)
		}
	}
	for range 2000 { // and nothing at all is a reason to fail
		for range 1 + r.IntN(40) {
			k.file[r.IntN(2)*copySize+r.IntN(100)] = byte(r.IntN(256))
		}
		k.load()
	}
	if _, err := newKeeper(keptFile(t, wire.KeptSize-1)); err == nil {
		t.Error("a file of another size is taken")
	}
}
