package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"casemate/acl/decide"
	"casemate/cmd/confirm"
)

// asker answers questions about addresses with a bounded number of lookups. An
// address that is asked while it is being looked up is looked up once. It is safe
// for concurrent use.
type asker struct {
	resolver confirm.Resolver
	answer   func(id uint64, r decide.Name)
	slots    chan struct{} // one for each lookup that runs

	mu    sync.Mutex
	cache *cache
	open  map[netip.Addr][]uint64 // the questions that wait for each address
}

func newAsker(r confirm.Resolver, answer func(uint64, decide.Name)) *asker {
	return &asker{resolver: r, answer: answer, slots: make(chan struct{}, namesInFlight),
		cache: newCache(cacheSize), open: make(map[netip.Addr][]uint64)}
}

// ask answers one question, from this goroutine where that needs no lookup.
func (a *asker) ask(ctx context.Context, id uint64, addr netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	r, ok := a.cache.get(addr, now)
	if !ok {
		waiting, running := a.open[addr]
		switch {
		case running && len(waiting) >= namesWaiters, !running && len(a.open) >= namesInFlight+namesQueued:
			r, ok = decide.Name{State: decide.NoAnswer}, true
		default:
			a.open[addr] = append(waiting, id)
			if !running {
				go a.look(ctx, addr, now.Add(namesDeadline))
			}
		}
	}
	a.mu.Unlock()
	if ok {
		a.answer(id, r)
	}
}

// look waits for a slot and looks one address up, all before the deadline.
func (a *asker) look(ctx context.Context, addr netip.Addr, deadline time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		a.done(addr, decide.Name{State: decide.NoAnswer}, false)
		return
	}
	r := confirm.Lookup(ctx, a.resolver, addr)
	<-a.slots
	a.done(addr, r, true)
}

// done answers everybody who waits for addr. What the resolver was never asked
// is not kept.
func (a *asker) done(addr netip.Addr, r decide.Name, asked bool) {
	a.mu.Lock()
	if asked {
		a.cache.put(addr, r, time.Now())
	}
	waiting := a.open[addr]
	delete(a.open, addr)
	a.mu.Unlock()
	for _, id := range waiting {
		a.answer(id, r)
	}
}
