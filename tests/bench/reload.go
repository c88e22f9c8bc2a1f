package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// What a load may take of processor time: the broker's, its compiler's and that of the
// zygotes which prove the sandboxes. Other processes of a busy machine do not count.
const (
	loadGoal, unchangedGoal = time.Second, 100 * time.Millisecond // of 1,000 services that share a profile
	ownGoal                 = 10 * time.Second                    // of 5,000 with profiles of their own
)

// measureLoad draws how a load grows with the services.
func measureLoad(_ context.Context, b *bench) error {
	t := table{
		title: "Load: casemated with its compiler and its proofs",
		note:  "Processor time; in brackets what the clock said. unchanged: casemate reload of the same policy, the least of three.",
		head:  []string{"services", "load", "unchanged"},
	}
	for _, own := range []bool{false, true} {
		for _, n := range []int{100, 1000, 5000} {
			load, again, err := b.loadOf(n, own)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%d of one profile", n)
			if own {
				name = fmt.Sprintf("%d with their own", n)
			}
			t.add(name, load, again)
			switch {
			case n == 1000 && !own:
				b.loads("a load of 1,000 services of one profile", load, loadGoal)
				b.loads("a reload of them, unchanged", again, unchangedGoal)
			case n == 5000 && own:
				b.loads("a load of 5,000 services with their own profiles", load, ownGoal)
			}
		}
	}
	t.print(b.out)
	return nil
}

// loads adds a row of the processor time of a load.
func (b *bench) loads(work string, c cost, most time.Duration) {
	b.results.add(result{Work: work, Unit: "CPU s", Ours: c.cpu.Seconds(), Aim: atMost(most.Seconds())})
}

// cost is what something took.
type cost struct{ cpu, wall time.Duration }

func (c cost) String() string {
	return fmt.Sprintf("%.2f s (%.2f s)", c.cpu.Seconds(), c.wall.Seconds())
}

// loadOf measures one broker: its first load, and the cheapest of three of the same policy again.
func (b *bench) loadOf(n int, own bool) (load, again cost, err error) {
	libexec, err := filepath.Abs(b.libexec)
	if err != nil {
		return load, again, err
	}
	began := time.Now()
	r, err := rig.Start(rig.Options{Bin: libexec, Files: crowd(n, own, b.port(0))})
	if err != nil {
		return load, again, fmt.Errorf("%d services: %w", n, err)
	}
	defer r.Stop()
	used := func(since time.Time, before time.Duration) (cost, error) {
		now, err := rig.CPU(r.PID)
		return cost{now - before, time.Since(since)}, err
	}
	if load, err = used(began, 0); err != nil {
		return load, again, err
	}
	for i := range 3 {
		before, err := rig.CPU(r.PID)
		if err != nil {
			return load, again, err
		}
		began := time.Now()
		answer, err := r.Request(control.Request{Verb: control.VerbReload})
		if err != nil || !answer.OK {
			return load, again, fmt.Errorf("reload of %d services: %v %+v", n, err, answer)
		}
		c, err := used(began, before)
		if err != nil {
			return load, again, err
		}
		if i == 0 || c.cpu < again.cpu {
			again = c
		}
	}
	return load, again, nil
}

// crowd is a policy of n services, each on an address of its own, in files that the compiler takes.
// Those with a profile of their own all have another number of open files.
func crowd(n int, own bool, port uint16) map[string]string {
	const perFile = 1000
	files := map[string]string{}
	for first := 0; first < n; first += perFile {
		var s strings.Builder
		s.WriteString("policy { edition = 1 }\n")
		for i := first; i < min(first+perFile, n); i++ {
			profile := "line"
			if own {
				profile = fmt.Sprintf("own%d", i)
				fmt.Fprintf(&s, "profile %q {\n  base = profile.line\n  widens = [\"resources\"]\n  resources { open_files = %d }\n}\n", profile, 16+i%1000)
			}
			fmt.Fprintf(&s, "service \"s%d\" {\n  listen = [\"tcp://127.1.%d.%d:%d\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  acl = acl.anyone\n  profile = profile.%s\n}\n",
				i, i/250, 1+i%250, port, profile)
		}
		files[fmt.Sprintf("%d.cm.hcl", first/perFile)] = s.String()
	}
	return files
}
