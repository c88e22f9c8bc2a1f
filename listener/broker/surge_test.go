package broker

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"casemate/acl/ban"
	"casemate/acl/limit/admission"
	"casemate/acl/shield"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// TestShedsWhoAndNotHowMany: the kernel's filter knows addresses alone. It would drop nobody for a limit that all sources have together, and a surge of
// those would begin and end for ever.
func TestShedsWhoAndNotHowMany(t *testing.T) {
	want := map[string]bool{reasonRules: true, string(admission.ByPenalty): true, string(admission.BySourceRate): true, string(admission.ByWiderRate): true, ban.ReasonBan: true}
	for _, reason := range append(wire.Reasons[:], reasonBusy, reasonLoad, reasonQueue, reasonGone, reasonNames, reasonCross, reasonShield) {
		if got := sheds(reason); got != want[reason] {
			t.Errorf("sheds(%q) is %v", reason, got)
		}
		delete(want, reason)
	}
	if len(want) > 0 {
		t.Errorf("no refusal has the reasons %v", want)
	}
}

// TestNextSurgeKnowsTheRules: whom the rules refuse is worked out for the first surge of a generation, and not again for each: of 10,000 prefixes that
// takes a fifth of a second, and begins with 200 refusals.
func TestNextSurgeKnowsTheRules(t *testing.T) {
	g := newRig(t)
	g.load(svc("finger", "tcp", freePort(t), "/bin/true"))
	surge := func() (of shield.Ranges) {
		g.do(func() { g.tallies["finger"].shield.surges(reasonRules, surgeLeast, 1) })
		eventually(t, func() (awake bool) {
			g.do(func() { s := g.tallies["finger"].shield; awake, of = !s.surge.asleep, s.rules })
			return awake
		})
		return of
	}
	first := surge()
	g.do(func() {
		s := g.tallies["finger"].shield
		for range 10 {
			s.subsides()
		}
		s.svc.rules.list = nil // of whom it would be all
	})
	if next := surge(); !reflect.DeepEqual(first, next) {
		t.Errorf("%v was worked out anew: %v", first, next)
	}
}

// TestSurgeThatNoFilterHolds: a flood of which the kernel drops nobody, for its filter has no room for them or knows them too late, is one surge as long as it lasts, as
// is one of gusts each of which begins one: it does not end and begin over and over. When few are refused it ends.
func TestSurgeThatNoFilterHolds(t *testing.T) {
	for _, builtin := range []bool{false, true} {
		g := newRig(t)
		g.load(svc("finger", "tcp", freePort(t), "/bin/true"))
		said := wire.Counts{}
		gust := func() {
			y := g.tallies["finger"]
			if !builtin {
				y.shield.surges(reasonRules, surgeLeast, 1)
				return
			}
			said[wire.CountRefused+slices.Index(wire.Reasons[:], "acl")] += surgeLeast * uint64(wordsIn)
			n := said
			(&counted{tally: y}).add(&n)
		}
		asleep := func() (is bool) { g.do(func() { is = g.tallies["finger"].shield.surge.asleep }); return is }
		g.do(gust)
		eventually(t, func() bool { return !asleep() })
		for range 25 { // seconds
			g.do(func() {
				gust()
				g.tallies["finger"].shield.subsides()
			})
			if asleep() {
				t.Fatal("it ends though as many are refused as begin one")
			}
		}
		g.do(func() {
			for range 10 {
				y := g.tallies["finger"]
				y.shield.surges(reasonRules, surgeLeast-1, 1)
				y.shield.subsides()
			}
		})
		if !asleep() {
			t.Error("it goes on though few are refused")
		}
	}
}

// TestShieldGoesWithTheSurge: the worker that attaches filters runs no longer than somebody has one.
func TestShieldGoesWithTheSurge(t *testing.T) {
	g, port := newRig(t), freePort(t)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	g.shields.worker.helper.(*warden.Helper).Prepare = func() (warden.Cell, error) { <-ended; return nil, errors.New("no shield worker here") }
	run := func(s *policy.Service) {
		t.Helper()
		g.load(*s)
		two, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(two[1]) })
		g.do(func() {
			if s.Refuse == "" {
				g.tallies["finger"].shield.wake(shield.Ranges{})
			}
			g.shields.worker.starting = true
			g.shields.worker.started(-1, two[0], nil)
		})
	}
	runs := func() (is bool) { g.do(func() { is = g.shields.worker.fd >= 0 }); return is }
	one := svc("finger", "tcp", port, "/bin/true")
	run(&one)
	if !runs() {
		t.Fatal("it does not run in a surge")
	}
	g.do(func() {
		for range 10 {
			g.tallies["finger"].shield.subsides()
		}
	})
	if runs() {
		t.Fatal("it runs after the surge")
	}
	one.Refuse = policy.RefuseSilent
	run(&one)
	if !runs() {
		t.Error("it does not run where refusals are silent")
	}
	one.Refuse = policy.RefuseReset
	g.load(one)
	if runs() {
		t.Error("it runs where none is any more")
	}
}
