package chaos

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// What a broker may hold after a storm beyond what it held before: descriptors
// and processes of what is in the making at that moment, threads of Go's runtime,
// which never end, and memory that its collector has not given back.
const (
	moreFDs      = 4
	moreThreads  = 12
	moreChildren = 4
	moreRSS      = 24 << 20
)

// ended is closed when the broker has ended.
func (w *world) ended() <-chan struct{} {
	c := make(chan struct{})
	go func() {
		if _, err := w.broker.Ended(time.Hour * 24); err == nil {
			close(c)
		}
	}()
	return c
}

// reload loads the policy as it is.
func (w *world) reload() error {
	a, err := w.broker.Request(control.Request{Verb: control.VerbReload})
	switch {
	case err != nil:
		return err
	case !a.OK:
		return fmt.Errorf("%s %v", a.Error, a.Diagnostics)
	}
	return nil
}

// look is what the broker holds once no session is left.
func (w *world) look() rig.Counters {
	w.t.Helper()
	if err := rig.Until(quietWithin, w.idle); err != nil {
		w.t.Error(err)
	}
	c, err := w.broker.Counters()
	if err != nil {
		w.t.Error(err)
	}
	return c
}

// idle tells that no session is left, by every count.
func (w *world) idle() error {
	s, err := w.broker.Status()
	if err != nil {
		return err
	}
	var live []string
	for _, x := range s.Services {
		if x.Live > 0 {
			live = append(live, fmt.Sprintf("%d of %s", x.Live, x.Name))
		}
	}
	if len(live) > 0 || len(s.Sessions) > 0 {
		return fmt.Errorf("live: %v, sessions: %+v", live, s.Sessions)
	}
	return nil
}

// calm checks that the broker is the same, and that nothing is left to do.
func (w *world) calm() {
	s, err := w.broker.Status()
	if err != nil {
		w.t.Fatalf("after the storm: %v", err)
	}
	if s.PID != w.broker.PID {
		w.t.Errorf("the broker is %d, was %d", s.PID, w.broker.PID)
	}
	for _, x := range s.Services {
		for _, l := range x.Listeners {
			if l.State != "listening" && l.State != "waiting" {
				w.t.Errorf("%s: %+v", x.Name, l)
			}
		}
		if x.Error != "" {
			w.t.Errorf("%s: %s", x.Name, x.Error)
		}
	}
}

// settled waits until the broker holds no more than before, and sleeps.
func (w *world) settled(before rig.Counters) rig.Counters {
	var now rig.Counters
	if err := rig.Until(quietWithin, func() (err error) {
		if err = w.idle(); err != nil {
			return err
		}
		if now, err = w.broker.Counters(); err != nil {
			return err
		}
		if now.FDs > before.FDs+moreFDs || now.Children > before.Children+moreChildren || now.Zombies > 0 ||
			now.Mounts > before.Mounts || now.Cgroups > before.Cgroups {
			return errors.New("more than before")
		}
		return nil
	}); err != nil {
		w.t.Errorf("%v: %+v, before %+v", err, now, before)
	}
	if now.Threads > before.Threads+moreThreads || now.RSS > before.RSS+moreRSS {
		w.t.Errorf("grown to %+v, before %+v", now, before)
	}
	for _, p := range w.strays() {
		w.t.Errorf("process %d (%s) outlived its connection", p.PID, p.State)
	}
	used, err := rig.CPU(w.broker.PID)
	if err != nil {
		w.t.Error(err)
	}
	time.Sleep(time.Second)
	if then, err := rig.CPU(w.broker.PID); err != nil || then-used > 300*time.Millisecond {
		w.t.Errorf("the broker used %s of processor time in a second without a client (%v)", then-used, err)
	}
	return now
}

// strays are processes of the storm's program.
func (w *world) strays() []rig.Process {
	all, err := rig.Processes()
	if err != nil {
		w.t.Error(err)
	}
	var out []rig.Process
	for _, p := range all {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); err == nil && strings.HasPrefix(string(line), w.site.program+"\x00") {
			out = append(out, p)
		}
	}
	return out
}
