package escape

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox/seccomp"
	"casemate/tests/root/rig"
)

// TestStateOfTheService asks the service itself what it is (attempt 40).
func TestStateOfTheService(t *testing.T) {
	s := newSite(t)
	o := inside(t, s.port, "status")
	zero := "0000000000000000"
	id := strings.Repeat(" 65534", 4)[1:]
	for _, want := range [][2]string{
		{"Uid", id}, {"Gid", id}, {"Groups", ""}, {"NoNewPrivs", "1"}, {"Seccomp", "2"},
		{"CapInh", zero}, {"CapPrm", zero}, {"CapEff", zero}, {"CapBnd", zero}, {"CapAmb", zero},
		{"SigBlk", zero}, {"SigIgn", zero}, {"TracerPid", "0"}, {"NSpid", "1"},
	} {
		got, ok := o.note(want[0] + ":")
		if got = strings.Join(strings.Fields(got), " "); !ok || got != want[1] {
			t.Errorf("%s is %q, want %q", want[0], got, want[1])
		}
	}
	o = inside(t, s.port, "identity")
	t.Log(o.notes)
	if got, _ := o.note("pid "); got != "1 ppid 0 sid 1 pgrp 1" {
		t.Errorf("pid %s, want a session of its own as process 1", got)
	}
	if got, _ := o.note("umask "); !strings.HasPrefix(got, "0077 cwd / ") && !strings.HasPrefix(got, "0022 cwd / ") {
		t.Errorf("umask %s, want a closed mask and /", got)
	}
}

// TestEnvironment: what the broker was started with stays with the broker (attempt 68).
func TestEnvironment(t *testing.T) {
	rig.Root(t)
	for _, kv := range []string{"LD_PRELOAD_X=/evil.so", "LD_LIBRARY_PATH=/nowhere", "GODEBUG=panicnil=0", "SECRET_TOKEN=s3cret",
		"NOTIFY_SOCKET=/run/nowhere", "LISTEN_PID=1", "CREDENTIALS_DIRECTORY=/nowhere", "BASH_ENV=/evil"} {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	s := newSite(t)
	o := inside(t, s.port, "environment")
	t.Log(o.notes)
	for _, n := range o.notes {
		name, _, _ := strings.Cut(n, "=")
		if !slices.Contains([]string{"PATH", "PROTO", "LANG", "HOME", "USER", "LOGNAME", "SHELL", "TZ"}, name) &&
			!strings.HasPrefix(name, "REMOTE_") && !strings.HasPrefix(name, "TCP") && !strings.HasPrefix(name, "CASEMATE_") {
			t.Errorf("the service sees %s", n)
		}
	}
	if v, ok := o.note("REMOTE_ADDR="); !ok || v != "127.0.0.1" {
		t.Errorf("REMOTE_ADDR is %q, want the client's address", v)
	}
}

// TestNothingIsLeft: the next connection finds nothing of the last one (attempt 17).
func TestNothingIsLeft(t *testing.T) {
	s := newSite(t)
	left := inside(t, s.port, "leave /tmp")
	t.Log(left)
	if left.result != "ok" {
		t.Fatalf("leave: %s: nothing could be left, so nothing is proved", left)
	}
	if o := inside(t, s.port, "look /tmp"); o.result != "ENOENT" || len(o.notes) != 0 {
		t.Errorf("the next connection found %s", o)
	}
	free := plant(t)
	dir := filepath.Join(free.dir, "write")
	if o := outside(t, s.victim, "leave "+dir, asNobody); o.result != "ok" {
		t.Errorf("outside: leave: %s", o)
	}
	if o := outside(t, s.victim, "look "+dir, asNobody); o.result != "ok" {
		t.Errorf("outside: look: %s, so finding nothing inside proves nothing", o)
	}
}

// TestSocketFamilies opens a socket of every family, type and protocol (attempt 50).
func TestSocketFamilies(t *testing.T) {
	s := newSite(t)
	for _, n := range inside(t, s.port, "families").notes {
		if !strings.HasPrefix(n, "family 1 ") {
			t.Errorf("a no-network profile opened %s", n)
		}
	}
	if o := outside(t, s.victim, "families", asRoot); len(o.notes) < 10 {
		t.Errorf("outside only %d kinds of sockets opened", len(o.notes))
	}
}

// TestHighBits: the kernel cuts int arguments to 32 bits, and so must the
// filter; the answer with high bits is the answer without (attempt 49).
func TestHighBits(t *testing.T) {
	s := newSite(t)
	for family := range 46 {
		low := inside(t, s.port, fmt.Sprintf("socket %d 1 0", family))
		for _, high := range []uint64{1 << 32, 1 << 63, 0xffffffff << 32} {
			o := inside(t, s.port, fmt.Sprintf("socket %d 1 0", high|uint64(family)))
			if o.result != low.result {
				t.Errorf("socket(%#x): %s, but socket(%d): %s", high|uint64(family), o, family, low)
			}
		}
	}
}

// launchCalls may stay open after the start besides what a profile allows: the
// launch makes them under the same filter. Each is pinned by its arguments or
// powerless without capabilities.
var launchCalls = []string{"recvmsg", "write", "exit_group", "close", "getpid", "clone", "setsid", "dup3", "fcntl", "close_range",
	"setresuid", "setresgid", "capset", "capget", "getuid", "prctl", "poll", "rt_sigprocmask", "mount", "chdir", "prlimit64",
	"landlock_restrict_self", "execveat", "execve"}

// uprobeCalls go past every seccomp filter by the kernel's own rule; they end
// with SIGILL or EPROTO but where a probe of the kernel's called them.
var uprobeCalls = []string{"uretprobe", "uprobe"}

// TestSweep makes every system call with senseless arguments: only what the
// profile allows, and what a launch needs, may be open (attempt 46).
func TestSweep(t *testing.T) {
	s := newSite(t)
	doc, diags := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(fmt.Sprintf(policyText, s.port, s.victim,
		filepath.Join(s.canaries.dir, "read"), filepath.Join(s.canaries.dir, "write")))}})
	if doc == nil {
		t.Fatalf("compile the policy: %v", diags)
	}
	profile := doc.Policy.Profile("victim")
	rules, err := seccomp.Resolve(profile.Syscalls.Allow, profile.Syscalls.Deny)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Concat(launchCalls, uprobeCalls)
	for _, r := range rules {
		names = append(names, r.Name)
	}
	var allowed []int
	for _, n := range names {
		if nr, ok := seccomp.Number(n); ok {
			allowed = append(allowed, nr)
		}
	}
	o := inside(t, s.port, "sweep 600")
	if o.result != "ok" {
		t.Fatalf("the sweep ended with %s", o.result)
	}
	for _, n := range o.notes {
		nr, err := strconv.Atoi(strings.TrimPrefix(n, "open "))
		if err != nil {
			t.Fatalf("unexpected note %q", n)
		}
		if !slices.Contains(allowed, nr) {
			name := seccomp.Name(nr)
			t.Errorf("system call %d (%s) is open, and no one allowed it", nr, name)
		}
	}
	t.Logf("%d calls allowed, %d open to senseless arguments", len(allowed), len(o.notes))
	if o := inside(t, s.port, "identity"); o.result != "ok" {
		t.Errorf("after the sweep the service answers %s", o)
	}
}

// TestTreeHoldsOnlyGrants lists what exists inside.
func TestTreeHoldsOnlyGrants(t *testing.T) {
	s := newSite(t)
	var above []string
	for dir := filepath.Dir(s.canaries.dir); dir != "/"; dir = filepath.Dir(dir) {
		above = append(above, dir)
	}
	for _, dir := range above {
		for _, n := range inside(t, s.port, "list "+dir).notes {
			inner := filepath.Join(dir, n)
			if !strings.HasPrefix(s.canaries.dir+"/", inner+"/") && !strings.HasPrefix(s.victim+"/", inner+"/") {
				t.Errorf("%s is visible inside", inner)
			}
		}
	}
	top := inside(t, s.port, "list /")
	t.Log(top.notes)
	for _, n := range top.notes {
		if slices.Contains([]string{"boot", "home", "root", "run", "sys", "srv", "media", "mnt", "opt", "work"}, n) {
			t.Errorf("/%s is visible inside", n)
		}
	}
	dev := inside(t, s.port, "list /dev")
	for _, n := range dev.notes {
		if !slices.Contains([]string{"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr"}, n) {
			t.Errorf("/dev/%s is visible inside", n)
		}
	}
}
