package main

import "sync"

// callers counts the calls of a filter that wait for the broker, by their users.
type callers struct {
	mu  sync.Mutex
	all int
	own map[uint32]int
}

// enter is false where there is no room for one more of a user's.
func (w *callers) enter(uid uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= maxWaiting || w.own[uid] >= maxOwn {
		return false
	}
	if w.own == nil {
		w.own = make(map[uint32]int)
	}
	w.all++
	w.own[uid]++
	return true
}

// leave ends what a true enter began.
func (w *callers) leave(uid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.own[uid]--; w.own[uid] == 0 {
		delete(w.own, uid)
	}
}
