package rig

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is one entry of /proc.
type Process struct {
	PID, PPID int
	State     string // R, S, D, Z, ...
	Name      string
}

// Processes lists all processes of the host.
func Processes() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := process(pid)
		if err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// process reads /proc/PID/stat (proc(5)).
func process(pid int) (Process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	rest := strings.Fields(string(text[end+1:]))
	if open < 0 || end < open || len(rest) < 2 {
		return Process{}, fmt.Errorf("/proc/%d/stat: unexpected form", pid)
	}
	ppid, err := strconv.Atoi(rest[1])
	return Process{PID: pid, PPID: ppid, State: rest[0], Name: string(text[open+1 : end])}, err
}

// CPU is the processor time that pid, its live children, and all children that
// they waited for have used so far (proc(5): utime, stime, cutime, cstime).
func CPU(pid int) (time.Duration, error) {
	children, err := Children(pid)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, p := range append(children, Process{PID: pid}) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			continue // ended in between: its time is in its parent's
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) < 15 {
			return 0, fmt.Errorf("/proc/%d/stat: unexpected form", p.PID)
		}
		for _, v := range f[11:15] {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/%d/stat: %w", p.PID, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 on every architecture of ours
}

// Children lists the direct children of pid.
func Children(pid int) ([]Process, error) {
	all, err := Processes()
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, p := range all {
		if p.PPID == pid {
			out = append(out, p)
		}
	}
	return out, nil
}

// Status reads /proc/PID/status into its fields.
func Status(pid int) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			out[k] = strings.Join(strings.Fields(v), " ")
		}
	}
	return out, nil
}

// Namespace is the identity of one namespace of pid ("mnt", "net", "pid", ...).
func Namespace(pid int, kind string) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
}

// Mount is one line of /proc/PID/mountinfo: where it is mounted, with which
// per-mount options, and of which type.
type Mount struct{ Point, Options, Type string }

// Mounts is the mount table as pid sees it.
func Mounts(pid int) ([]Mount, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Mount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		a, c := strings.Fields(before), strings.Fields(after)
		if !ok || len(a) < 6 || len(c) < 1 {
			return nil, fmt.Errorf("mountinfo line %q: unexpected form", lines.Text())
		}
		out = append(out, Mount{Point: a[4], Options: a[5], Type: c[0]})
	}
	return out, lines.Err()
}

// Memory is what /proc/PID/smaps_rollup counts, in bytes.
type Memory struct{ RSS, PSS, Private int64 }

// MemoryOf sums up the memory of pid.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		kb, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return Memory{}, err
		}
		switch f[0] {
		case "Rss:":
			m.RSS = kb << 10
		case "Pss:":
			m.PSS = kb << 10
		case "Private_Clean:", "Private_Dirty:":
			m.Private += kb << 10
		}
	}
	return m, nil
}

// Counters are what a broker may leak.
type Counters struct {
	FDs, Threads, Children, Zombies, Mounts, Cgroups int
	RSS                                              int64 // bytes
}

// Counters reads them for the running broker.
func (b *Broker) Counters() (Counters, error) {
	accepts, err := b.Acceptor()
	if err != nil {
		return Counters{}, err
	}
	c, err := countersOf(accepts)
	if err != nil {
		return c, err
	}
	own, err := countersOf(b.PID)
	own.Children-- // the one that accepts is the broker, too
	own.FDs, own.Threads, own.RSS = own.FDs+c.FDs, own.Threads+c.Threads, own.RSS+c.RSS
	return own, err
}

// Acceptor is the process below casemated that accepts and decides.
func (b *Broker) Acceptor() (int, error) {
	kids, err := Children(b.PID)
	if err != nil {
		return 0, err
	}
	for _, k := range kids {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", k.PID)); string(text) == "casemate-worker\x00broker\x00" {
			return k.PID, nil
		}
	}
	return 0, fmt.Errorf("no broker among %v", kids)
}

func countersOf(pid int) (Counters, error) {
	var c Counters
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return c, err
	}
	for _, fd := range fds {
		// The locks of leased uids: one more block now and then, eight at most.
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); !strings.HasPrefix(to, "/run/casemate-leases/") {
			c.FDs++
		}
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return c, err
	}
	c.Threads = len(tasks)
	kids, err := Children(pid)
	if err != nil {
		return c, err
	}
	c.Children = len(kids)
	for _, k := range kids {
		if k.State == "Z" {
			c.Zombies++
		}
	}
	mounts, err := Mounts(pid)
	if err != nil {
		return c, err
	}
	c.Mounts = len(mounts)
	c.Cgroups = cgroups(pid)
	m, err := MemoryOf(pid)
	c.RSS = m.RSS
	return c, err
}

// cgroups counts the groups of the v2 hierarchy, wherever it is mounted, but for those of other tests than that of the process.
func cgroups(pid int) int {
	own, _ := CgroupOf(pid)
	for _, top := range cgroupMounts {
		if _, err := os.Stat(filepath.Join(top, "cgroup.procs")); errors.Is(err, os.ErrNotExist) {
			continue
		}
		n := 0
		_ = filepath.WalkDir(top, func(_ string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if name := d.Name(); (strings.HasPrefix(name, unitGroup) || strings.HasPrefix(name, pidsGroup)) && !strings.Contains(own+"/", "/"+name+"/") {
				return filepath.SkipDir
			}
			n++
			return nil
		})
		return n
	}
	return 0
}

// Signal sends a signal to a process. SIGSTOP is waited for until every thread has stopped: one that
// runs on another processor works on for a while.
func Signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("%v to process %d: %v", sig, pid, err)
	}
	if sig != syscall.SIGSTOP {
		return
	}
	if err := Until(30*time.Second, func() error {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			tid, _ := strconv.Atoi(filepath.Base(task))
			if s, err := Status(tid); err == nil && !strings.HasPrefix(s["State"], "T") {
				return fmt.Errorf("thread %d of process %d is in state %s", tid, pid, s["State"])
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
