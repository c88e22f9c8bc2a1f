package limit

// Ticket is an admitted session's claim on its slots. It is released once;
// the zero Ticket, a released one and one of another Limiter's making count
// for nothing.
type Ticket struct {
	slot int32
	turn uint32 // 0 is never given out
}

// slot is one running session. turn changes at each use, so that an old Ticket
// cannot free a new session's slot.
type slot struct {
	turn   uint32
	busy   bool
	source *entry // nil: no per-source limit when it was admitted
}

// slots grows to the largest number of sessions that ever ran at once.
type slots struct {
	all  []slot
	free []int32
	busy int
}

func (s *slots) take(source *entry) Ticket {
	var i int32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = int32(len(s.all))
		s.all = append(s.all, slot{})
	}
	e := &s.all[i]
	if e.turn++; e.turn == 0 {
		e.turn = 1
	}
	e.source, e.busy = source, true
	s.busy++
	return Ticket{slot: i, turn: e.turn}
}

// release ends t's session and gives where it was counted, nil if nowhere, or if t is
// not running.
func (s *slots) release(t Ticket) *entry {
	if t.turn == 0 || int(t.slot) >= len(s.all) || s.all[t.slot].turn != t.turn || !s.all[t.slot].busy {
		return nil
	}
	e := &s.all[t.slot]
	source := e.source
	e.busy, e.source = false, nil
	s.free = append(s.free, t.slot)
	s.busy--
	return source
}
