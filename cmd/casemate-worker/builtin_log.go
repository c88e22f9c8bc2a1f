package main

import (
	"sync"
	"time"

	"casemate/listener/journal"
)

// gatherFor is how long the first of some records waits for others: to hand each of them over by itself costs more than to make it.
const gatherFor = 5 * time.Millisecond

// gathered takes records of several goroutines, and hands them over some at a time.
type gathered struct {
	mu  sync.Mutex
	log *journal.Writer
	due *time.Timer // nil: nothing waits
}

func (g *gathered) put(r journal.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log.Put(r)
	if g.due == nil {
		g.due = time.AfterFunc(gatherFor, g.flush)
	}
}

func (g *gathered) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.due != nil {
		g.due.Stop()
		g.due = nil
	}
	g.log.Flush()
}
