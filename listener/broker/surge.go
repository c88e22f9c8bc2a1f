package broker

import (
	"log/slog"
	"time"

	"casemate/acl/ban"
	"casemate/acl/limit/admission"
	"casemate/acl/shield"
)

// A reset costs its sender a packet and this process an accept, and while those whom nobody serves fill a listener's queue, those who
// are served wait behind them. So where a policy does not say how clients are refused, they get a reset as long as there are few;
// in a surge the kernel drops them, as with refuse = "silent", until it is over.
const (
	surgeWindow = 100 * time.Millisecond
	surgeLeast  = 200              // refusals in a window that are a surge, and in a second that keep it going: what would begin one does not let it end
	surgeOver   = 10 * time.Second // how long there are fewer until it is over
)

// surge is how often a service refused lately. It is of services that refuse so in a surge alone.
type surge struct {
	asleep bool // there is none: nothing is attached
	waking bool // what is to be attached is being worked out
	since  int64
	count  int    // of refusals since then
	went   uint64 // how many were, since that was asked last, dropped by the kernel and refused here: its filter may hold few of them
	calm   int    // times in a row that this was little
}

// sheds tells whether the kernel can drop what is refused for that reason: who it is decides, and not how many are there.
func sheds(reason string) bool {
	switch admission.Reason(reason) {
	case reasonRules, admission.ByPenalty, admission.BySourceRate, admission.ByWiderRate:
		return true
	}
	return reason == ban.ReasonBan // who comes to a service that is drained is anybody
}

// surges counts n refusals of the service, which are of so many windows, and begins the surge that they are.
func (s *shielding) surges(reason string, n, windows int) {
	if s == nil || s.surge.waking || !sheds(reason) {
		return
	}
	if !s.surge.asleep {
		s.surge.went += uint64(n)
		return
	}
	now := s.svc.b.loop.Now()
	if now-s.surge.since > int64(surgeWindow) {
		s.surge.since, s.surge.count = now, 0
	}
	if s.surge.count += n / windows; s.surge.count < surgeLeast {
		return
	}
	s.surge.waking = true
	b, rules := s.svc.b, s.rules
	if s.known {
		_ = b.loop.Post(func() { s.wake(rules) })
		return
	}
	b.apart(func() error {
		rules, _, _ = shield.Refused(s.svc.rules.list)
		return nil // whom the rules refuse is not to be told, and sources that a limit shuts out are
	}, func(error) {
		_ = b.loop.Do(func() { s.wake(rules) }) // else the broker ends
	})
}

// wake has the kernel refuse from now on, unless another generation is in force.
func (s *shielding) wake(rules shield.Ranges) {
	if s.svc.tally.shield != s || s.svc.b.stopping {
		return
	}
	s.rules, s.known, s.surge = rules, true, surge{}
	s.renew()
	s.svc.b.counts()
	s.svc.b.loop.After(&s.over, surgeOver/10)
	s.tell("a surge: the kernel drops what is refused")
}

// subsides lets a surge end that has been over for a while.
func (s *shielding) subsides() {
	if s.surge.calm++; s.surge.went >= surgeLeast*uint64(surgeOver/10/time.Second) {
		s.surge.calm = 0
	}
	s.surge.went = 0
	if s.surge.calm < 10 {
		s.svc.b.loop.After(&s.over, surgeOver/10)
		return
	}
	s.svc.b.loop.Disarm(&s.timer)
	s.now, s.surge = nil, surge{asleep: true}
	clear(s.blocked)
	for _, at := range s.svc.listen {
		at.sync()
		at.counted = false
		for _, lane := range at.lanes {
			lane.counted = false
		}
	}
	s.svc.b.shields.settle()
	s.tell("the surge is over: what is refused gets a reset again")
}

func (s *shielding) tell(what string) {
	s.svc.b.log.Put(s.svc.b.note(slog.LevelInfo, what, slog.String("service", s.svc.name)))
}
