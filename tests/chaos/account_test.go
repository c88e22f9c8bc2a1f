package chaos

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"casemate/tests/root/rig"
)

// book is what the log says of one service.
type book struct {
	allowed, ended map[string]int // records by session
	denied, untold int
	failed         int            // sessions that could not be started
	decided        map[string]int // records by the client's address and port
	perFailure     map[string]int
}

// account holds the log against the broker's counters and against what clients
// saw: one record for every decision, and one for every session's end. So many
// as the log says that it dropped may be missing, and not one more.
func (w *world) account() {
	var books map[string]*book
	var dropped int
	// The last records are on their way for a moment, and a count of refusals for a second.
	err := rig.Until(30*time.Second, func() (err error) {
		if books, dropped, err = w.books(); err != nil {
			return err
		}
		return w.compare(books, dropped)
	})
	if err != nil {
		w.t.Error(err)
	}
	for _, g := range w.goods {
		w.compareGood(g, books[g.name], dropped)
		for _, e := range g.errs {
			w.t.Errorf("%s: %s", g.name, e)
		}
	}
	for i, u := range w.ledger.unexplained {
		if i == 40 {
			w.t.Errorf("... of %d", len(w.ledger.unexplained))
			break
		}
		w.t.Errorf("lost without a reason: %s", w.context(u))
	}
}

// context is a loss with what the log says of the service at that time.
func (w *world) context(u loss) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: asked at %s, lost %s later: %v", u.service, u.from.UTC().Format("15:04:05.000000"), u.to.Sub(u.from), u.err)
	old, _ := filepath.Glob(w.broker.LogFile + ".*")
	for _, file := range append(old, w.broker.LogFile) {
		all, err := records(file)
		for _, r := range all {
			at, terr := time.Parse(time.RFC3339Nano, r.Str("time"))
			if err == nil && terr == nil && at.After(u.from.Add(-20*time.Millisecond)) && at.Before(u.to.Add(20*time.Millisecond)) && r.Str("msg") != "stderr" &&
				(r.Str("service") == u.service || r.Str("service") == "") {
				fmt.Fprintf(&b, "\n    %s %s", at.Format("05.000000"), brief(r))
			}
		}
	}
	return b.String()
}

// brief is a record without what is the same in all.
func brief(r rig.Record) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r)) {
		if !slices.Contains([]string{"time", "level", "format_version", "digest", "rule", "rule_name", "acl", "local", "user_ms", "sys_ms", "max_rss_kb", "stack"}, k) {
			fmt.Fprintf(&b, "%s=%s ", k, r.Str(k))
		}
	}
	return b.String()
}

// books reads all logs of the storm.
func (w *world) books() (books map[string]*book, dropped int, err error) {
	books = map[string]*book{}
	old, err := filepath.Glob(w.broker.LogFile + ".*")
	if err != nil {
		return nil, 0, err
	}
	for _, file := range append(old, w.broker.LogFile) {
		all, err := records(file)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range all {
			if r.Str("msg") == "bug" {
				return nil, 0, fmt.Errorf("a part of the broker failed: %v", r)
			}
			n, _ := r["count"].(float64)
			if r.Str("msg") == "log-dropped" {
				dropped += int(n)
			}
			name := r.Str("service")
			if books[name] == nil {
				books[name] = &book{allowed: map[string]int{}, ended: map[string]int{}, decided: map[string]int{}, perFailure: map[string]int{}}
			}
			books[name].enter(r, int(n))
		}
	}
	return books, dropped, nil
}

// records reads one log; the piece of a line that a full disk left is passed over.
func records(file string) ([]rig.Record, error) {
	return (&rig.Broker{LogFile: file}).WholeRecords()
}

// enter books one record.
func (k *book) enter(r rig.Record, count int) {
	switch r.Str("msg") {
	case "decision":
		k.decided[net.JoinHostPort(r.Str("client"), r.Str("client_port"))]++
		if r.Str("verdict") == "allow" {
			k.allowed[r.Str("id")]++
		} else {
			k.denied++
		}
	case "session":
		k.ended[r.Str("id")]++
		if r.Str("reason") == "start-failed" {
			k.failed++
			detail, _, _ := strings.Cut(r.Str("detail"), " at ")
			k.perFailure[detail]++
		}
	case "refused-suppressed":
		k.untold += count
	}
}

// compare holds the books against the broker's own counters. A built-in's records
// come from its worker, and are lost with it when that is killed: of those just
// none may be there twice.
func (w *world) compare(books map[string]*book, dropped int) error {
	s, err := w.broker.Status()
	if err != nil {
		return err
	}
	missing := 0
	var wrong, absent []string
	for name, k := range books {
		for _, m := range []map[string]int{k.allowed, k.ended} {
			for id, n := range m {
				if n != 1 && id != "0" {
					wrong = append(wrong, fmt.Sprintf("%s: %d records of session %s", name, n, id))
				}
			}
		}
	}
	for _, x := range s.Services {
		k := books[x.Name]
		if k == nil || x.Builtin != "" || strings.HasPrefix(x.Name, "extra") {
			continue
		}
		for _, c := range []struct {
			what         string
			want, logged int
			lines        bool // each has a line of its own, and no other row counts it
		}{
			{"admitted", int(x.Admitted), len(k.allowed), true},
			{"refused", int(x.Refused), k.denied + k.untold, false},
			{"not started", int(x.Failed), k.failed, false},
			{"ended", int(x.Admitted+x.Failed) - x.Live, len(k.ended), true},
		} {
			if c.logged > c.want || c.logged < c.want && dropped == 0 {
				wrong = append(wrong, fmt.Sprintf("%s: %d %s, %d in the log", x.Name, c.want, c.what, c.logged))
			}
			if c.lines {
				missing += c.want - c.logged
				absent = append(absent, fmt.Sprintf("%d %s of %s", c.want-c.logged, c.what, x.Name))
			}
		}
	}
	if missing > dropped {
		wrong = append(wrong, fmt.Sprintf("%d records are missing, %d are said to be dropped: %v", missing, dropped, absent))
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("the log does not add up (%d lines dropped): %s", dropped, strings.Join(wrong[:min(len(wrong), 20)], "; "))
	}
	return nil
}

// compareGood holds a service's book against its good client: a record for every
// connection that was answered, and none for a connection that it never made.
func (w *world) compareGood(g *good, k *book, dropped int) {
	if g.network != "tcp" || !g.nowait() || k == nil {
		return
	}
	if g.closed {
		if n := k.denied + k.untold; n+dropped < g.refused {
			w.t.Errorf("%s: %d refused, %d in the log", g.name, g.refused, n)
		}
		return
	}
	missing := 0
	for key, n := range g.tried {
		if k.decided[key] > n {
			w.t.Errorf("%s: %d decisions about %d connections from %s", g.name, k.decided[key], n, key)
		}
		missing += max(0, g.served[key]-k.decided[key])
	}
	if missing > dropped {
		w.t.Errorf("%s: no decision about %d connections that were answered", g.name, missing)
	}
}

// table prints the storm on one page.
func (w *world) table(seed uint64, length time.Duration, before, after rig.Counters) {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s\n%-32s %8s %8s\n", seed, length, "FAULT", "DONE", "COST")
	for _, f := range faults {
		fmt.Fprintf(&b, "%-32s %8d %8d %s\n", f.name, w.ledger.done[f.name], w.ledger.lost[f.name], f.off)
	}
	fmt.Fprintf(&b, "\n%-32s %8s\n", "BAD CLIENTS", "CAME")
	for _, c := range badClients {
		fmt.Fprintf(&b, "%-32s %8d\n", c.name, w.thrown[c.name])
	}
	fmt.Fprintf(&b, "\n%-12s %8s %8s %8s %8s %8s %10s\n", "SERVICE", "ASKED", "ANSWERED", "REFUSED", "LOST", "RETRIES", "SLOWEST")
	for _, g := range w.goods {
		fmt.Fprintf(&b, "%-12s %8d %8d %8d %8d %8d %10s\n", g.name, g.asked, g.answered, g.refused, g.lost, g.retries, g.slowest.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "\nbefore %+v\nafter  %+v (allowed more: %d descriptors, %d threads, %d processes, %d MiB)\n", before, after, moreFDs, moreThreads, moreChildren, moreRSS>>20)
	w.t.Log(b.String())
}
