package chaos

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
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
	if len(w.ledger.unexplained) == 0 {
		return
	}
	all, err := w.records()
	if err != nil {
		w.t.Error(err)
	}
	for i, u := range w.ledger.unexplained {
		if i == 40 {
			w.t.Errorf("... of %d", len(w.ledger.unexplained))
			break
		}
		w.t.Errorf("lost without a reason: %s", w.context(u, all))
	}
}

// context is a loss with what the log says of the service at that time.
func (w *world) context(u loss, all []rig.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: asked at %s, lost %s later: %v", u.service, u.from.UTC().Format("15:04:05.000000"), u.to.Sub(u.from), u.err)
	for _, r := range all {
		at, err := time.Parse(time.RFC3339Nano, r.Str("time"))
		if err == nil && at.After(u.from.Add(-20*time.Millisecond)) && at.Before(u.to.Add(20*time.Millisecond)) && r.Str("msg") != "stderr" &&
			(r.Str("service") == u.service || r.Str("service") == "") {
			fmt.Fprintf(&b, "\n    %s %s", at.Format("05.000000"), brief(r))
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

// records reads all logs of the storm; the piece of a line that a full disk left is passed over.
func (w *world) records() (all []rig.Record, err error) {
	old, err := filepath.Glob(w.broker.LogFile + ".*")
	for _, file := range append(old, w.broker.LogFile) {
		some, failed := (&rig.Broker{LogFile: file}).WholeRecords()
		all, err = append(all, some...), errors.Join(err, failed)
	}
	return all, err
}

// books are what they say of each service.
func (w *world) books() (books map[string]*book, dropped int, err error) {
	books = map[string]*book{}
	all, err := w.records()
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
		books[name].enter(r, int(n), w.ofThisBroker(r))
	}
	return books, dropped, err
}

// ofThisBroker tells whether a record is one of the broker that runs, whose counters begin with it: by the record's id,
// which is made of the time (see firstID of listener/broker), or else by its own time.
func (w *world) ofThisBroker(r rig.Record) bool {
	if w.since.IsZero() {
		return true
	}
	if id, err := strconv.ParseUint(r.Str("id"), 10, 64); err == nil && id > 0 {
		return id >= uint64(w.since.Unix())<<20+uint64(w.since.Nanosecond())<<20/1e9
	}
	at, err := time.Parse(time.RFC3339Nano, r.Str("time"))
	return err == nil && at.After(w.since)
}

// enter books one record; but for the clients' own account just where the broker's counters know it.
func (k *book) enter(r rig.Record, count int, counted bool) {
	if r.Str("msg") == "decision" {
		k.decided[net.JoinHostPort(r.Str("client"), r.Str("client_port"))]++
	}
	if !counted {
		return
	}
	switch r.Str("msg") {
	case "decision":
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
	missing, more := 0, 0
	for key, n := range g.tried {
		if k.decided[key] > n && key != "" {
			more += k.decided[key] - n
		}
		missing += max(0, g.served[key]-k.decided[key])
	}
	if unknown := g.tried[""]; more > unknown { // reset before it was connected: nobody knows from where it came
		w.t.Errorf("%s: %d decisions about connections that were not made, %d have no address", g.name, more, unknown)
	}
	if missing > dropped+w.brokers { // what a broker was about to write has ended with it
		w.t.Errorf("%s: no decision about %d connections that were answered", g.name, missing)
	}
}
