package admission

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
)

// audit checks what must hold between any two calls.
func audit(t *testing.T, l *Limiter, tickets []Ticket) {
	t.Helper()
	if l.busy != len(tickets) {
		t.Fatalf("%d busy, %d tickets", l.busy, len(tickets))
	}
	counted, around := 0, map[key]int32{}
	for i, e := range l.table.all {
		if e.inflight < 0 {
			t.Fatalf("source %d has %d sessions", i, e.inflight)
		}
		if l.table.index[e.key] != e {
			t.Fatalf("entry %d is not found by its key", i)
		}
		if e.key.wide {
			continue
		}
		counted += int(e.inflight)
		for i := range l.conf.source.wider {
			if k, ok := l.conf.source.wider[i].around(e.key); ok && e.inflight > 0 {
				around[k] += e.inflight
			}
		}
	}
	for _, e := range l.table.all {
		if e.key.wide && e.inflight != around[e.key] {
			t.Fatalf("%v counts %d sessions, and %d of its sources run", e.key.prefix(), e.inflight, around[e.key])
		}
		delete(around, e.key)
	}
	if len(around) > 0 {
		t.Fatalf("networks that nobody counts: %v", around)
	}
	if len(l.table.all) != len(l.table.index) {
		t.Fatalf("%d entries, %d indexed", len(l.table.all), len(l.table.index))
	}
	for _, tk := range tickets {
		if tk.source == nil {
			counted++
		}
	}
	if l.pool.inflight < 0 || counted+int(l.pool.inflight) != len(tickets) {
		t.Fatalf("%d sessions in the table, %d in the pool, %d tickets", counted, l.pool.inflight, len(tickets))
	}
}

func fuzzSpec(b []byte) limit.Spec {
	return limit.Spec{
		Exempt:     []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, b[11] & 15}), 33-int(b[11]%6))}, // also with host bits, and of no length that there is
		Concurrent: int(b[0] % 16), EarlyDrop: limit.EarlyDrop{Start: int(b[0] >> 4), Percent: int(b[10] >> 1)},
		Rate: limit.Rate{Events: int(b[1]), Per: time.Duration(b[2]) * time.Millisecond}, Burst: int(b[3] % 32),
		PerSource: limit.PerSource{
			Concurrent: int(b[4] % 8),
			Rate:       limit.Rate{Events: int(b[5]), Per: time.Duration(b[6]) * time.Millisecond}, Burst: int(b[7] % 32),
			Prefix4: int(b[8] % 33), Prefix6: int(b[9] % 129), Wider: fuzzWider(b),
		},
		Penalty: limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Duration(b[10]) * time.Millisecond, Max: time.Duration(b[11]) * 10 * time.Millisecond},
	}
}

// fuzzWider are networks in any order, also narrower ones than the source, and several of one length.
func fuzzWider(b []byte) (out []limit.Wider) {
	for i := range int(b[2] % 4) {
		out = append(out, limit.Wider{Prefix4: int(b[8+i]>>1) % 33, Prefix6: int(b[7+i]) % 129, Times: int(b[i] % 8)})
	}
	return out
}

// FuzzLimiter plays random calls against a Limiter with a table for four.
func FuzzLimiter(f *testing.F) {
	f.Add([]byte("\x04\x0a\x64\x05\x02\x05\x64\x02\x20\x40\x0a\x0a" + "\x00\x01\x00\x02\x05\x03\x10\x00\x31\x00\x42\xff\x53\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x01\x01\xff\x01\x20\x40\xff\xff" + "\x00\x00\x00\x04\x00\x08\x00\x0c\x00\x10\x00\x14\x00\x18\x40\x00\x41\x10"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const head = 12
		if len(data) < head || len(data) > 2000 {
			return
		}
		spec := fuzzSpec(data)
		l, other := small(spec, 4), small(limit.Spec{}, 4)
		l.Draw = rand.New(rand.NewPCG(uint64(len(data)), 1)).Uint64
		var tickets []Ticket
		now := int64(0)
		for data = data[head:]; len(data) >= 2; data = data[2:] {
			op, arg := data[0], data[1]
			now += int64(op>>4) * ms
			src := nth(int(arg))
			if arg&3 == 3 {
				src = Peer(netip.Addr{}, uint64(arg))
			}
			switch op & 7 {
			default:
				peek := l.Peek(now, src)
				tk, r := l.Admit(now, src)
				if r != peek {
					t.Fatalf("Peek %v, Admit %v", peek, r)
				}
				if r.Refused() {
					if r.RetryAfter < 0 || tk != (Ticket{}) {
						t.Fatalf("%v with %v", r, tk)
					}
					break
				}
				tickets = append(tickets, tk)
				if spec.Concurrent > 0 && len(tickets) > spec.Concurrent {
					t.Fatalf("%d sessions, limit %d", len(tickets), spec.Concurrent)
				}
				if e := tk.source; e != nil && e != &l.pool && spec.PerSource.Concurrent > 0 &&
					int(e.inflight) > spec.PerSource.Concurrent {
					t.Fatal("a source above its limit")
				}
			case 4:
				tk, _ := other.Admit(now, src)
				l.Release(now, &tk)
			case 5:
				if len(tickets) > 0 {
					i := int(arg) % len(tickets)
					l.Release(now, &tickets[i])
					l.Release(now, &tickets[i])
					tickets = append(tickets[:i], tickets[i+1:]...)
				}
			case 6:
				l.Penalize(now, src, limit.Crash)
				if p := l.Peek(now, src); spec.Penalty.First > 0 && !l.Exempt(src) && (l.table.index[src.cut(l.conf.source.bits4, l.conf.source.bits6)] != nil || len(l.table.all) < l.table.most) && p.Reason != ByPenalty {
					t.Fatalf("after a penalty: %v", p)
				}
			case 7:
				if len(data) < head {
					break
				}
				spec = fuzzSpec(data)
				l.Reconfigure(spec)
				if n := binary.BigEndian.Uint16(data); spec.Concurrent > 0 && len(tickets) > spec.Concurrent {
					// Lower limits end nobody; the checks above hold from an idle limiter on.
					for _, tk := range tickets {
						l.Release(now+int64(n), &tk)
					}
					tickets = nil
				}
			}
			audit(t, l, tickets)
		}
		for _, tk := range tickets {
			l.Release(now, &tk)
		}
		audit(t, l, nil)
		if left := l.sweepAll(now + int64(time.Hour)); left != (state{}) {
			t.Fatalf("%+v left", left)
		}
		if r := l.Peek(now+int64(time.Hour), nth(1)); r.Refused() {
			t.Fatalf("an idle limiter refuses: %v", r)
		}
	})
}
