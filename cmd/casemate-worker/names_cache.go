package main

import (
	"net/netip"
	"time"

	"casemate/acl/decide"
)

// How long an answer is kept. A resolver's silence is kept for a moment only,
// to not meet each of a flood's questions with a new wait.
const (
	cacheSize   = 4096
	cacheKnown  = 5 * time.Minute
	cacheOther  = 30 * time.Second
	cacheSilent = 5 * time.Second
)

// cache keeps the latest answers; the oldest one makes room for a new one.
type cache struct {
	entries map[netip.Addr]cached
	ring    []netip.Addr // in the order of arrival
	next    int
}

type cached struct {
	result  decide.Name
	expires time.Time
}

func newCache(size int) *cache {
	return &cache{entries: make(map[netip.Addr]cached), ring: make([]netip.Addr, size)}
}

func (c *cache) get(addr netip.Addr, now time.Time) (decide.Name, bool) {
	e, ok := c.entries[addr]
	if !ok || !now.Before(e.expires) {
		return decide.Name{}, false
	}
	return e.result, true
}

func (c *cache) put(addr netip.Addr, r decide.Name, now time.Time) {
	keep := cacheOther
	switch r.State {
	case decide.Known:
		keep = cacheKnown
	case decide.NoAnswer:
		keep = cacheSilent
	}
	e, ok := c.entries[addr]
	if !ok {
		if old := c.ring[c.next]; old.IsValid() {
			delete(c.entries, old)
		}
		c.ring[c.next] = addr
		c.next = (c.next + 1) % len(c.ring)
	}
	e.result, e.expires = r, now.Add(keep)
	c.entries[addr] = e
}
