package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

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

// idle tells that no session is left, by every count.
func (w *world) idle() error {
	s, err := w.broker.Status()
	if err != nil {
		return err
	}
	var live []string
	s.Sessions = slices.DeleteFunc(s.Sessions, func(x control.SessionStatus) bool { return x.Service == w.leaves })
	for _, x := range s.Services {
		if x.Live > 0 && x.Name != w.leaves {
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

// look waits until no session is left, and weighs: until there is no more than there may be beside what there was.
func (w *world) look(before *weight) (now weight) {
	w.t.Helper()
	began, why := time.Now(), error(nil)
	_ = rig.Until(w.quiet, func() (err error) {
		defer func() { why = cmp.Or(err, why) }()
		if err = w.idle(); err != nil {
			return err
		}
		if now, err = w.weigh(); err != nil || before == nil {
			return err
		}
		if found := leaks(*before, []weight{now}); len(found) > 0 {
			return errors.New(strings.Join(found, "; "))
		}
		return nil
	})
	w.t.Logf("at rest after %s, which waited last for: %v", time.Since(began).Round(time.Millisecond), why)
	if err := w.idle(); err != nil {
		w.t.Errorf("%v\n%s", err, w.forest())
	}
	return now
}

// forest is a line for each process of casemated's.
func (w *world) forest() string {
	var b strings.Builder
	pids, err := w.tree()
	if err != nil {
		return err.Error()
	}
	for _, pid := range slices.Sorted(maps.Keys(pids)) {
		s, err := rig.Status(pid)
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		at, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		fmt.Fprintf(&b, "%d below %s, %s, uid %s, in %s: %.80q %v\n", pid, s["PPid"], s["State"], s["Uid"], at, line, err)
	}
	return b.String()
}

// sleeps checks that casemated and its broker do nothing where there is nothing to do.
func (w *world) sleeps() {
	for _, p := range w.strays() {
		w.t.Errorf("process %d (%s) outlived its connection", p.PID, p.State)
	}
	pids := []int{w.broker.PID}
	if pid, err := w.broker.Acceptor(); err != nil {
		w.t.Error(err)
	} else {
		pids = append(pids, pid)
	}
	time.Sleep(time.Second / 2) // what there was to do is over
	for _, pid := range pids {
		used, err := rig.CPU(pid)
		if err != nil {
			w.t.Error(err)
		}
		time.Sleep(time.Second)
		if then, err := rig.CPU(pid); err != nil || then-used > 300*time.Millisecond {
			w.t.Errorf("process %d used %s of processor time in a second without a client (%v)", pid, then-used, err)
		}
	}
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
