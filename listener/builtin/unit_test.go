package builtin

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"casemate/acl/ban"
	"casemate/acl/limit/admission"
	"casemate/acl/limit/responses"
	"casemate/listener/wire"
)

func TestGuard(t *testing.T) {
	const here4, here6 = "192.0.2.1", "2001:db8::1"
	tests := []struct {
		from, local, to string
		loopback        bool
		want            string
	}{
		{"198.51.100.7:40000", here4, here4, false, ""},
		{"[2001:db8::9]:40000", here6, here6, false, ""},
		{"[fe80::9%eth0]:40000", here6, here6, false, ""},
		{"198.51.100.7:0", here4, here4, false, badPort},
		{"198.51.100.7:7", here4, here4, false, badPort},
		{"198.51.100.7:19", here4, here4, false, badPort},
		{"198.51.100.7:53", here4, here4, false, badPort},
		{"198.51.100.7:1023", here4, here4, false, badPort},
		{"198.51.100.7:1024", here4, here4, false, ""},
		{"198.51.100.7:1900", here4, here4, false, badPort},
		{"198.51.100.7:2049", here4, here4, false, badPort},
		{"198.51.100.7:3702", here4, here4, false, badPort},
		{"198.51.100.7:5353", here4, here4, false, badPort},
		{"198.51.100.7:11211", here4, here4, false, badPort},
		{"198.51.100.7:7007", here4, here4, false, badPort}, // our own
		{"0.0.0.0:40000", here4, here4, false, badSource},
		{"0.1.2.3:40000", here4, here4, false, badSource},
		{"224.0.0.1:40000", here4, here4, false, badSource},
		{"240.0.0.1:40000", here4, here4, false, badSource},
		{"255.255.255.255:40000", here4, here4, false, badSource},
		{"[::]:40000", here6, here6, false, badSource},
		{"[ff02::1]:40000", here6, here6, false, badSource},
		{"[::ffff:198.51.100.7]:40000", here6, here6, false, badSource},
		{"198.51.100.7:40000", here4, "192.0.2.255", false, badTarget},
		{"198.51.100.7:40000", here4, "255.255.255.255", false, badTarget},
		{"198.51.100.7:40000", here4, "224.0.0.1", false, badTarget},
		{"[2001:db8::9]:40000", "ff02::1", "ff02::1", false, badTarget},
		{"127.0.0.1:40000", here4, here4, false, badLoop},
		{"[::1]:40000", here6, here6, false, badLoop},
		{"127.0.0.1:40000", "127.0.0.1", "127.0.0.1", true, ""},
		{"[::1]:40000", "::1", "::1", true, ""},
		{"127.0.0.1:7", "127.0.0.1", "127.0.0.1", true, badPort},
		{here4 + ":40000", here4, here4, false, badSelf},
		{"[" + here6 + "]:40000", here6, here6, false, badSelf},
		{"198.51.100.7:40000", "", "", false, ""},
	}
	for _, tt := range tests {
		g := guard{ports: map[uint16]bool{7007: true}, loopback: tt.loopback}
		var local, to netip.Addr
		if tt.local != "" {
			local, to = netip.MustParseAddr(tt.local), netip.MustParseAddr(tt.to)
		}
		if got := g.check(netip.MustParseAddrPort(tt.from), local, to); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// protocolOf is one of protocols with a policy that says something.
func protocolOf(name string) protocol {
	return protocols[name](&Config{Builtin: name, Says: []string{"Less is more.\r\n", "So is more.\r\n"}})
}

// No answer is larger than its request, but for the two of fixed size; and none of a protocol that makes a
// longer one leaves the worker.
func TestNoAmplification(t *testing.T) {
	out := make([]byte, maxReply)
	for name := range protocols {
		p := protocolOf(name)
		if p.datagram == nil {
			continue
		}
		if want := map[string]int{"daytime": 26, "time": 4}[name]; p.fixed != want {
			t.Errorf("%s may answer with %d bytes, want %d", name, p.fixed, want)
		}
		for _, size := range []int{0, 1, 4, 26, 74, 512, 513, 1500, 65507} {
			answer, ok := p.datagram(make([]byte, size), out, time.Now())
			fixed, n := map[string]int{"daytime": 26, "time": 4}[name], len(answer)
			if ok && n > max(size, fixed) {
				t.Errorf("%s answers %d bytes with %d", name, size, n)
			}
		}
	}
}

// TestLongAnswerIsKept: what a protocol makes that is longer than it may be is not sent.
func TestLongAnswerIsKept(t *testing.T) {
	longer := protocol{datagram: func(req, out []byte, _ time.Time) ([]byte, bool) { return out[:len(req)+1], true }, fixed: 4}
	for size, want := range map[int]bool{0: true, 3: true, 4: false, 100: false} {
		if _, ok := longer.answer(make([]byte, size), make([]byte, maxReply), time.Now()); ok != want {
			t.Errorf("%d bytes: sent %v, want %v", size, ok, want)
		}
	}
}

func TestTimeWraps(t *testing.T) {
	for _, tt := range []struct {
		at   string
		want uint32
	}{
		{"1970-01-01T00:00:00Z", 2208988800},
		{"1900-01-01T00:00:00Z", 0},
		{"2036-02-07T06:28:15Z", 4294967295},
		{"2036-02-07T06:28:16Z", 0},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := seconds1900(at); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.at, got, tt.want)
		}
	}
}

func TestDecode(t *testing.T) {
	const good = `{"service":"e","builtin":"echo","acl":{"name":"a","rules":null,"default":"deny"},` +
		`"limit":{"name":"l","concurrent":0,"rate":{"events":0,"per_ns":0},"burst":0,"session_ns":0,` +
		`"per_source":{"concurrent":0,"rate":{"events":0,"per_ns":0},"burst":0,"prefix4":32,"prefix6":64},` +
		`"penalty":{"first_ns":0,"max_ns":0}},"linger_ns":60000000000,"digest":"sha256:0"}`
	if c, err := Decode(strings.NewReader(good)); err != nil || c.Service != "e" || c.Linger != time.Minute {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, bad := range []string{
		"", "null", "{}", "[]", good + "{}",
		strings.Replace(good, `"digest"`, `"digset"`, 1),
		strings.Replace(good, `"builtin":"echo"`, `"builtin":"qotd"`, 1), // without a quote
		strings.Replace(good, `"builtin":"echo"`, `"builtin":"finger"`, 1),
		strings.Replace(good, `"default":"deny"`, `"default":"maybe"`, 1),
		strings.Replace(good, `60000000000`, `-1`, 1),
		strings.Replace(good, `"service":"e"`, `"service":""`, 1),
	} {
		if c, err := Decode(strings.NewReader(bad)); err == nil || c != nil {
			t.Errorf("Decode(%q) = %+v, %v", bad, c, err)
		}
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIdle(10 * time.Second)
		began := time.Now()
		go func() {
			time.Sleep(8 * time.Second)
			i.touch(time.Now()) // until 18
			time.Sleep(5 * time.Second)
			i.begin() // at 13
			time.Sleep(100 * time.Second)
			i.end() // at 113
		}()
		i.wait(t.Context(), nil)
		if took := time.Since(began); took != 123*time.Second {
			t.Errorf("idle after %v, want 123s", took)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		i.begin()
		cancel()
		i.wait(ctx, nil)
		if took := time.Since(began); took != 123*time.Second {
			t.Error("a done context must end the wait at once")
		}
	})
}

func TestRecordRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safeBuffer
		j := newRecords(log.put, config("echo"))
		for range 1000 {
			j.decision(&client{}, &verdict{refused: "acl"}, false, time.Now())
		}
		time.Sleep(time.Minute)
		j.decision(&client{}, &verdict{refused: "acl"}, false, time.Now())
		if n := len(log.records(t, "decision")); n != quiet.Burst+1 {
			t.Errorf("%d records", n)
		}
		left := log.records(t, "refused-suppressed")
		if len(left) != 1 || left[0]["count"] != float64(1000-quiet.Burst) {
			t.Errorf("suppressed: %v", left)
		}
	})
}

func FuzzDatagram(f *testing.F) {
	f.Add([]byte("hello"))
	f.Add(appendDaytime(nil, time.Now()))
	f.Add(appendTime(nil, time.Now()))
	out := make([]byte, maxReply)
	f.Fuzz(func(t *testing.T, req []byte) {
		req = req[:min(len(req), 65507)]
		for name := range protocols {
			p := protocolOf(name)
			if p.datagram == nil {
				continue
			}
			answer, ok := p.datagram(req, out, time.Now())
			n := len(answer)
			if ok && name != "daytime" && name != "time" && n > len(req) {
				t.Errorf("%s: %d bytes for %d", name, n, len(req))
			}
			// No answer may provoke an answer of the same protocol, but for those
			// whose answer never grows.
			if name == "daytime" || name == "time" {
				if _, again := p.datagram(answer, make([]byte, maxReply), time.Now()); ok && again {
					t.Errorf("%s answers its own answer", name)
				}
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"service":"e","builtin":"echo","acl":null,"limit":{},"linger_ns":1,"digest":"d"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Decode(io.LimitReader(strings.NewReader(text), 1<<16))
		if (c == nil) != (err != nil) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestMostResponsesFit: the most that a policy may say for one network is counted as it says.
func TestMostResponsesFit(t *testing.T) {
	if 2*responses.Most > admission.MaxBurst {
		t.Errorf("%d at once are cut to %d", 2*responses.Most, admission.MaxBurst)
	}
}

// TestReasonsAreCounted: every word for a refusal has its place in the counts.
func TestReasonsAreCounted(t *testing.T) {
	words := []string{reasonACL, reasonResponses, reasonSessions, badPort, badSource, badTarget, badLoop, badSelf, ban.ReasonBan, ban.ReasonDrain}
	for _, r := range []admission.Reason{admission.ByPenalty, admission.ByRate, admission.ByConcurrency, admission.BySourceConcurrency, admission.BySourceRate, admission.ByWiderConcurrency, admission.ByWiderRate, admission.ByTableFull, admission.ByEarlyDrop} {
		words = append(words, string(r))
	}
	slices.Sort(words)
	counted := slices.Sorted(slices.Values(wire.Reasons[:]))
	if !slices.Equal(words, counted) {
		t.Errorf("refused for %q, counted %q", words, counted)
	}
}
