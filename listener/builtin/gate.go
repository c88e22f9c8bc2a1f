package builtin

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/acl/limit/responses"
	"casemate/listener/inbound"
	"casemate/listener/pace"

	"golang.org/x/sys/unix"
)

// gate decides who is served: the service's acl and limits over all of its
// sockets, as the broker would. It is safe for concurrent use.
type gate struct {
	config  *Config
	matcher *decide.Matcher
	start   time.Time
	began   int64 // CLOCK_MONOTONIC at start
	said    *said

	mu      sync.Mutex
	keeper  *keeper     // nil: nothing is kept
	due     *time.Timer // keeps; nil while nothing has changed
	limiter *admission.Limiter
	budget  *admission.Limiter
}

// verdict is the gate's answer about one client.
type verdict struct {
	refused string // why: "acl", the limit's or the operator's word; "" = it is served
	rule    int    // as decide.Decision has it
	ticket  admission.Ticket
	counted netip.Prefix // what a limit counted it in, as that refused
}

const reasonACL = "acl"

const reasonResponses = "response-rate"

func newGate(c *Config) (*gate, error) {
	m, err := decide.Compile(c.ACL)
	if err != nil {
		return nil, err
	}
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock); err != nil {
		return nil, os.NewSyscallError("clock_gettime", err)
	}
	g := &gate{config: c, matcher: m, start: time.Now(), began: clock.Nano(), said: newSaid(), limiter: admission.New(c.Limit), budget: admission.New(responses.Of(&c.Limit))}
	g.limiter.Draw = rand.Uint64
	return g, nil
}

// now is the limiters' clock: CLOCK_MONOTONIC in nanoseconds, which the workers of a service share.
func (g *gate) now() int64 { return g.at(time.Now()) }

// at is a time of the limiters' clock.
func (g *gate) at(t time.Time) int64 { return g.began + int64(t.Sub(g.start)) }

// keepEvery is how soon what the limits remember is kept, and so how much of it a worker that dies takes along. What is over
// by then need not be.
const keepEvery = time.Second

// changed has what the limits remember kept soon. The caller holds mu.
func (g *gate) changed() {
	if g.keeper != nil && g.due == nil {
		g.due = time.AfterFunc(keepEvery, g.keep)
	}
}

// keep adds up what this worker's limits remember and what is kept, which another worker of the service may have added to: one
// that a reload replaced serves on whom it has.
func (g *gate) keep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.keeper == nil {
		return
	}
	if g.due != nil {
		g.due.Stop()
		g.due = nil
	}
	now := g.now()
	if limits, answers, ok := g.keeper.load(); ok {
		g.limiter.Recall(now, limits)
		g.budget.Recall(now, answers)
	}
	g.keeper.store(g.limiter.Keep(now, int64(keepEvery)), g.budget.Keep(now, int64(keepEvery)))
}

// decide asks what an operator has said, and the rules. There is no DNS here, so a name is never known: allow rules
// that need one do not match, deny rules do.
func (g *gate) decide(c *client, now time.Time) verdict {
	reason, rules := g.said.refuses(c, g.config.Service)
	if reason == "" && rules != nil && rules.Decide(c.asked(now)).Verdict != acl.Allow {
		reason = reasonACL
	}
	if reason != "" || rules != nil { // which of other rules it was has no name here
		return verdict{refused: reason, rule: decide.RuleNoACL}
	}
	d := g.matcher.Decide(c.asked(now))
	if d.Verdict != acl.Allow {
		return verdict{refused: reasonACL, rule: d.Rule}
	}
	return verdict{rule: d.Rule}
}

// admit decides about a stream client; an allowed one must be released.
func (g *gate) admit(c *client) verdict {
	now := time.Now()
	v := g.decide(c, now)
	if v.refused != "" {
		return v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(&v, c, g.at(now))
	return v
}

func (g *gate) take(v *verdict, c *client, now int64) {
	ticket, refusal := g.limiter.Admit(now, c.source())
	v.ticket, v.refused = ticket, string(refusal.Reason)
	if refusal.Refused() {
		v.counted = g.limiter.Counted(c.source(), refusal)
		return
	}
	g.changed()
}

// datagram decides about one datagram, which needs no release. Nothing that a udp
// client does costs a penalty, because anybody can do it in its name.
func (g *gate) datagram(c *client, at time.Time) verdict {
	v := g.decide(c, at)
	if v.refused != "" {
		return v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.at(at)
	if g.budget.Peek(now, c.source()).Refused() {
		v.refused = reasonResponses
		return v
	}
	if g.take(&v, c, now); v.refused != "" {
		return v
	}
	g.limiter.Release(now, &v.ticket)
	if ticket, refusal := g.budget.Admit(now, c.source()); !refusal.Refused() {
		g.budget.Release(now, &ticket)
	}
	return v
}

// release ends a stream client's session; how it ended may count as an offence.
func (g *gate) release(c *client, v *verdict, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if class := pace.Class(reason); slices.Contains(limit.Classes, class) {
		g.limiter.Penalize(g.now(), c.source(), class)
		g.changed()
	}
	g.limiter.Release(g.now(), &v.ticket)
}

// client is a peer and where it came to.
type client struct {
	peer    inbound.Peer
	local   netip.AddrPort
	network string // tcp, udp, unix or unixpacket
	judged  uint64 // the last wire.Said.Narrowed that it was held to
}

// asked is what rules are told of the client: its name is never known.
func (c *client) asked(at time.Time) decide.Client {
	return decide.Client{Addr: c.peer.Addr.Addr(), Local: c.local.Addr(), Name: decide.Name{State: decide.NoAnswer}, Peer: acl.Pattern(c.peer.Number()), At: at}
}

// source is whom limits count the client under.
func (c *client) source() admission.Source { return admission.Peer(c.peer.Addr.Addr(), c.peer.Key()) }
