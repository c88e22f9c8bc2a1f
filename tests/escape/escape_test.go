package escape

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// policyText runs the victim as a service with what a file server gets: a
// folder to read, one to write, a private /tmp and /proc, threads and children.
const policyText = `
policy { edition = 1 }

limit "wide" {
  concurrent = 24 # what nobody's tasks are counted by
  rate       = "100000/s"
  burst      = 100000
  session    = "2m"
  per_source {
    concurrent = 24
    rate       = "100000/s"
    burst      = 100000
  }
}

profile "victim" {
  base   = profile.server
  widens = ["files"]
  init   = false # the victim is process 1 itself
  files {
    read  = [%[3]q]
    write = [%[4]q]
    tmp   = "1MiB"
    proc  = true
  }
  resources {
    open_files    = 64
    tasks         = 8
    address_space = "256MiB"
  }
}

service "victim" {
  listen  = ["tcp://127.0.0.1:%[1]s"]
  command = [%[2]q]
  user    = "nobody"
  acl     = acl.localhost
  limit   = limit.wide
  profile = profile.victim
}
`

// site is one broker with the victim behind it and canaries around it.
type site struct {
	victim, port string
	broker       *rig.Broker
	canaries     *canaries
	values       map[string]string
}

func newSite(t *testing.T) *site { return siteOf(t, policyText) }

func siteOf(t *testing.T, text string) *site {
	t.Helper()
	rig.Root(t)
	restingUser(t)
	s := &site{victim: compileVictim(t), port: rig.Port(t), canaries: plant(t)}
	s.broker = rig.Serve(t, fmt.Sprintf(text, s.port, s.victim, filepath.Join(s.canaries.dir, "read"), filepath.Join(s.canaries.dir, "write")))
	s.values = s.canaries.values(s.victim, s.port)
	s.values["policy"], s.values["log"], s.values["control"] = filepath.Join(s.broker.Policy, "test.cm.hcl"), s.broker.LogFile, s.broker.Control
	return s
}

// restingUser waits for the processes that an earlier test's controls have let
// loose as nobody to be gone: the kernel counts them against every service of that user.
func restingUser(t *testing.T) {
	t.Helper()
	const few = 8 // a host may have daemons of that user
	if err := rig.Until(30*time.Second, func() error {
		procs, err := filepath.Glob("/proc/[0-9]*")
		n := 0
		for _, p := range procs {
			var st unix.Stat_t
			if unix.Stat(p, &st) == nil && st.Uid == 65534 {
				n++
			}
		}
		if err == nil && n > few {
			err = fmt.Errorf("%d processes of nobody", n)
		}
		return err
	}); err != nil {
		t.Log(err)
	}
}

func compileVictim(t *testing.T) string {
	t.Helper()
	return rig.Compile(t, "testdata/victim")
}

// TestAttempts makes every attempt of the tables under the profile and outside
// of it, and lets the canaries and the host speak at the end.
func TestAttempts(t *testing.T) {
	s := newSite(t)
	before := s.canaries.observe(t)
	for _, a := range everything() {
		attempted(t, s.port, a, fill(t, a.line, s.values))
	}
	time.Sleep(50 * time.Millisecond) // a connection that was made needs a moment to be counted
	if n := s.canaries.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	if after := s.canaries.observe(t); after != before {
		t.Errorf("the host changed: %+v, was %+v", after, before)
	}
	if _, err := s.broker.Status(); err != nil {
		t.Errorf("the broker does not answer any more: %v", err)
	}
}

// TestControls makes the same attempts outside: a denial proves something only
// where the attempt works without the sandbox.
func TestControls(t *testing.T) {
	need.Root(t, "half of the controls work as root only")
	victim := compileVictim(t)
	free := plant(t)
	values := free.values(victim, rig.Port(t))
	all, controlled := everything(), 0
	for _, a := range all {
		if a.control == uncontrolled || tooNew(t, a.line) || a.line == "int80" && !enters32(t, victim) {
			continue
		}
		line := a.line
		if a.controlLine != "" {
			line = a.controlLine
		}
		free.files(t)
		line = fill(t, line, values)
		if o := outside(t, victim, line, a.control); o.result != "ok" {
			t.Errorf("#%d %s: %s outside of the sandbox, so its denial inside proves nothing", a.number, line, o)
		}
		controlled++
	}
	if free.touched.Load() == 0 {
		t.Error("no canary socket was reached outside: they watch nothing")
	}
	t.Logf("%d attempts, %d with a positive control", len(all), controlled)
}

// kills has a profile kill for each call that it does not allow.
const kills = "  syscalls {\n    on_violation = \"kill\"\n  }\n"

// enters32 tells whether the entry of 32 bits is to be had at all: under some hypervisors it is a fault of the program.
func enters32(t *testing.T, victim string) bool {
	t.Helper()
	return outside(t, victim, "int80", asNobody).result == "ok"
}

// TestViolationIsNamed: what the kernel kills is recorded as a violation.
func TestViolationIsNamed(t *testing.T) {
	line, killing := foreign, killing
	if line == "int80" && !enters32(t, compileVictim(t)) {
		line, killing = "traceme", kills
	}
	s := siteOf(t, strings.Replace(policyText, "  init   = false", killing+"  init   = false", 1))
	if o := inside(t, s.port, line); o.result != "killed" {
		t.Fatalf("%s: %s, want a kill", line, o)
	}
	got, err := s.broker.Await(1, 30*time.Second, "msg", "session", "reason", "violation")
	if err != nil {
		t.Fatal(err)
	}
	if s := got[0].Str("signal"); !strings.Contains(strings.ToUpper(s), "SYS") && s != strconv.Itoa(31) {
		t.Errorf("the record's signal is %q, want SIGSYS", s)
	}
}
