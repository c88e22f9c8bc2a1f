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
	source int32 // index in the table, or one of the two below
	busy   bool
}

const (
	uncounted = -1 // no per-source limit when it was admitted
	shared    = -2 // counted in the newcomers' pool
)

// slots grows to the largest number of sessions that ever ran at once.
type slots struct {
	all  []slot
	free []int32
	busy int
}

func (s *slots) take(source int32) Ticket {
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

// source is where t's session is counted; false if t is not running.
func (s *slots) source(t Ticket) (int32, bool) {
	if t.turn == 0 || int(t.slot) >= len(s.all) {
		return 0, false
	}
	e := s.all[t.slot]
	return e.source, e.busy && e.turn == t.turn
}

func (s *slots) release(t Ticket) {
	s.all[t.slot].busy = false
	s.free = append(s.free, t.slot)
	s.busy--
}
