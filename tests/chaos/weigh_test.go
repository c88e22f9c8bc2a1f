package chaos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/sandbox"
	"casemate/tests/root/rig"
)

// weight is what casemated and all below it hold while no session runs.
type weight struct {
	at     time.Duration  // since the storm began
	counts map[string]int // by the names of bounds
	calm   time.Duration  // how long the median answer takes, of the slowest service
	hasty  map[string]time.Duration
}

// bound is how much more of something there may be at a rest than before the storm, and how much more at the last
// rest than at the first one, which has seen all that a storm brings: -1 is any number.
type bound struct {
	what        string
	more, trend int
	why         string
}

// KiB are proportional: a page that several share counts once. What zygotes hold comes and goes with them, and with the namespaces
// that they make ahead: a storm has thousands of sessions, one of which each would leave.
var bounds = []bound{
	{"processes", 4, 4, "what is in the making: a helper, a zygote's maker"},
	{"zygotes", 0, 8, "those that were idle have gone, and come again"},
	{"zombies", 0, 0, ""},
	{"descriptors", 4, 4, "of casemated and its broker: what is in the making"},
	{"descriptors below", 64, 64, "those of namespaces made ahead, and of their makers"},
	{"threads", 24, 12, "of Go's runtime, which never end"},
	{"namespaces", 32, 32, "made ahead"},
	{"mounts", 64, 64, "in those"},
	{"temporary file systems", 16, 16, "in those"},
	{"control groups", 0, 0, ""},
	{"leased uids", 2, 2, "those of helpers"},
	{"blocks of uids", 8, 8, "the next one is taken once all of one have had their turn, and there is an end to that"},
	{"KiB", 24 << 10, 16 << 10, "what Go's collector has not given back"},
}

// weigh counts.
func (w *world) weigh() (weight, error) {
	pids, err := w.tree()
	if err != nil {
		return weight{}, err
	}
	c, seen := map[string]int{}, map[string]bool{}
	for _, b := range bounds {
		c[b.what] = 0
	}
	accepts, err := w.broker.Acceptor()
	if err != nil {
		return weight{}, err
	}
	for pid, state := range pids {
		c["processes"]++
		if state == "Z" {
			c["zombies"]++
		}
		held := "descriptors below"
		if pid == w.broker.PID || pid == accepts {
			held = "descriptors"
		}
		countOf(pid, held, c, seen)
	}
	for ns := range seen {
		if !strings.Contains(ns, "/") { // else a mount
			c["namespaces"]++
		}
	}
	s, err := w.broker.Status()
	if err != nil {
		return weight{}, err
	}
	for _, x := range s.Services {
		if x.Zygote {
			c["zygotes"]++
		}
	}
	all, err := w.broker.Counters()
	c["control groups"] = all.Cgroups
	return weight{at: time.Since(w.began), counts: c}, err
}

// tree is casemated with all processes below it, by their states.
func (w *world) tree() (map[int]string, error) {
	all, err := rig.Processes()
	if err != nil {
		return nil, err
	}
	below := map[int]string{}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			_, known := below[p.PPID]
			if _, has := below[p.PID]; !has && (known || p.PID == w.broker.PID) {
				below[p.PID], grown = p.State, true
			}
		}
	}
	if len(below) == 0 {
		return nil, fmt.Errorf("no process %d", w.broker.PID)
	}
	return below, nil
}

// countOf adds what one process holds; what it shares with another one counts once. One that ends meanwhile counts less.
func countOf(pid int, held string, c map[string]int, seen map[string]bool) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	fds, _ := os.ReadDir(dir + "fd")
	for _, fd := range fds {
		to, _ := os.Readlink(dir + "fd/" + fd.Name())
		switch {
		case strings.HasPrefix(to, "/run/casemate-leases/"):
			c["blocks of uids"]++
			continue
		case strings.Contains(to, ":[") && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "pipe:"):
			seen[to] = true
		}
		c[held]++
	}
	tasks, _ := os.ReadDir(dir + "task")
	c["threads"] += len(tasks)
	spaces, _ := filepath.Glob(dir + "ns/*")
	for _, s := range spaces {
		if to, _ := os.Readlink(s); to != "" {
			seen[to] = true
		}
	}
	if ns, _ := rig.Namespace(pid, "mnt"); ns != "" && !seen["/"+ns] {
		seen["/"+ns] = true
		mounts, _ := rig.Mounts(pid)
		for _, m := range mounts {
			if c["mounts"]++; m.Type == "tmpfs" {
				c["temporary file systems"]++
			}
		}
	}
	if s, err := rig.Status(pid); err == nil {
		uid, _, _ := strings.Cut(s["Uid"], " ")
		if n, err := strconv.ParseUint(uid, 10, 32); err == nil && uint32(n)-sandbox.LeaseBase < sandbox.LeaseCount && !seen["/uid"+uid] {
			seen["/uid"+uid] = true
			c["leased uids"]++
		}
	}
	m, _ := rig.MemoryOf(pid)
	c["KiB"] += int(m.PSS >> 10)
}

// leaks is what grew by more than it may: before is before the storm, rests are in their order.
func leaks(before weight, rests []weight) (found []string) {
	if len(rests) == 0 {
		return nil
	}
	first, last := rests[0], rests[len(rests)-1]
	for _, b := range bounds {
		if n := last.counts[b.what] - before.counts[b.what]; n > b.more {
			found = append(found, fmt.Sprintf("%s: %d, %d before the storm: more than %d more", b.what, last.counts[b.what], before.counts[b.what], b.more))
		}
		if n := last.counts[b.what] - first.counts[b.what]; n > b.trend {
			found = append(found, fmt.Sprintf("%s: %d at %s, %d at %s: more than %d more", b.what, first.counts[b.what], round(first.at), last.counts[b.what], round(last.at), b.trend))
		}
	}
	return found
}

// drifts is what got slower: the median of each service's answers in the storm's last part against its first, where
// there are enough of either, and at the last rest against the first one.
func drifts(rests []weight) (found []string) {
	if len(rests) < 2 {
		return nil
	}
	first, last := rests[0], rests[len(rests)-1]
	for _, name := range slices.Sorted(maps.Keys(last.hasty)) {
		if was, is := first.hasty[name], last.hasty[name]; was > 0 && is > slower(was) {
			found = append(found, fmt.Sprintf("%s: the median answer in the storm takes %s, %s to begin with", name, round(is), round(was)))
		}
	}
	if last.calm > slower(first.calm) {
		found = append(found, fmt.Sprintf("at rest the median answer takes %s, %s to begin with", round(last.calm), round(first.calm)))
	}
	return found
}

// slower is how long a median may take that was so long.
func slower(was time.Duration) time.Duration { return 2*was + 5*time.Millisecond }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
