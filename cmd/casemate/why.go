package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl/ban"
	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/listener/journal"
	"casemate/policy/control"
	"casemate/policy/denied"
	"casemate/sandbox"

	"github.com/spf13/cobra"
)

func (a *app) whyCmd() *cobra.Command {
	var w why
	cmd := &cobra.Command{
		Use:   "why ID | --last SERVICE",
		Short: "Tell what happened to one session",
		Long: `why reads casemated's log and tells one session as a story: who came and which rule
let them in, or why they were refused, what the program said, each system call that
was denied to it with the lines that would grant it, each limit that it is known to have run
into with what it is and what raises it, and how it ended. What it said and
was denied stands before its end, though the log may have it after that. A program meets more
than that, of which the kernel tells nobody: files that are not there, what Landlock or a missing
capability refuses, limits that make a call fail (descriptors, memory of a process, a full /tmp).
casemate trace shows those; why says what the program's own words may come of.

The id is that of the log and of "casemate status --sessions"; --last takes the newest
session of a service, or refusal of a client. Without --log it reads the file that the
running casemated logs to, which it has write first what sessions that have ended left to
say; - is standard input, as for systemd's journal.

Exit status: 0 it is told, 1 there is no such session in the log, or it cannot be read.`,
		Example: `  casemate why 1871466496000042
  casemate why --last finger
  journalctl -u casemated -o cat | casemate why --last finger --log -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (w.last != "") {
				return errors.New("why: write the id of a session, or --last SERVICE")
			}
			if len(args) == 1 {
				id, err := strconv.ParseUint(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("why: %q is not the id of a session: write the number that the log or status --sessions shows", args[0])
				}
				w.id = id
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return a.why(&w) },
	}
	cmd.Flags().StringVar(&w.last, "last", "", "the newest session of this service")
	cmd.Flags().StringVar(&w.log, "log", "", "the log to read; - is standard input")
	a.grants[cmd] = func([]string) confine.Grant {
		// Whatever is wrong is said by who reads it, behind the confinement.
		if w.log == "" {
			w.log, w.unknown = a.logOf(&w)
		}
		return reads([]string{w.log})
	}
	return cmd
}

// why is what to tell of.
type why struct {
	id      uint64
	last    string // a service
	log     string
	unknown error     // why log is not known
	at      time.Time // of the newest session's decision, with last
}

// exitingFor bounds the wait for programs that are about to end: where others of its threads run on, one
// whose first thread has ended looks as if it were.
const exitingFor = 2 * time.Second

// logOf is the file that the running casemated logs to, with all records of sessions that had ended in it: a
// client sees its session's end a moment before casemated does.
func (a *app) logOf(w *why) (string, error) {
	for end := time.Now().Add(exitingFor); ; time.Sleep(2 * time.Millisecond) {
		resp, err := a.ask(control.Request{Verb: control.VerbStatus, Written: true})
		switch {
		case err != nil:
			return "", err
		case resp.Status == nil || resp.Status.Log == "":
			return "", errors.New("casemated logs to its standard error, not to a file: name what keeps that, as in journalctl -u casemated -o cat | casemate why ... --log -")
		case time.Now().After(end) || !slices.ContainsFunc(resp.Status.Sessions, func(s control.SessionStatus) bool {
			return (s.ID == w.id || s.Service == w.last) && exiting(s.PID)
		}):
			return resp.Status.Log, nil
		}
	}
}

// exiting tells whether a process is on its way out, or a zombie (proc_pid_stat(5)).
func exiting(pid int) bool {
	const flag = 0x4 // PF_EXITING (linux/sched.h)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
	if err != nil || len(fields) < 7 {
		return err == nil || errors.Is(err, fs.ErrNotExist)
	}
	flags, _ := strconv.ParseUint(fields[6], 10, 64)
	return flags&flag != 0 || fields[0] == "Z" || fields[0] == "X"
}

// logged is one record.
type logged map[string]any

func (r logged) text(key string) string {
	switch v := r[key].(type) {
	case nil:
		return ""
	case json.Number:
		return v.String()
	case string:
		if strings.ContainsFunc(v, output.Unprintable) {
			return oneLine(strconv.Quote(v)) // the log is for the broker to write, and anybody may have written this file
		}
		return oneLine(v)
	default:
		return oneLine(fmt.Sprint(v))
	}
}

// whyReport is the JSON of why.
type whyReport struct {
	FormatVersion int      `json:"format_version"`
	ID            uint64   `json:"id"`
	Service       string   `json:"service"`
	Records       []logged `json:"records"` // as they are in the log
}

func (a *app) why(w *why) error {
	if w.unknown != nil {
		return w.unknown
	}
	in := a.in
	if w.log != "-" {
		f, err := os.Open(w.log)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("why: %w: run as root, or as who may read it", err)
		case err != nil:
			return fmt.Errorf("why: %w", err)
		}
		defer f.Close()
		in = f
	}
	found, err := w.find(in)
	if err != nil {
		return fmt.Errorf("why: read the log %s: %w", w.log, err)
	}
	if len(found) == 0 {
		what := fmt.Sprintf("session %d", w.id)
		if w.last != "" {
			what = fmt.Sprintf("a session of %q", w.last)
		}
		return fmt.Errorf("why: %s has no record of %s: name an older log with --log, if it was rotated", w.log, what)
	}
	inOrder(found)
	r := whyReport{FormatVersion: 1, ID: w.id, Service: found[0].text("service"), Records: found}
	if a.json() {
		return a.printJSON(r)
	}
	a.printf("session %d of %s\n", r.ID, r.Service)
	for _, one := range found {
		a.tell(one)
	}
	if unended(found) {
		a.printf("  it runs, as far as this log goes\n")
	}
	a.tellSaid(found)
	if diedAtStart(found) {
		a.printf("  it may have died as it was started, since resources { address_space }, { data } or { stack } has no room for it\n")
	}
	if endedBadly(found) {
		none, further := "no call was denied to it by its filter; a limit that makes a call fail, a missing capability, Landlock and a file that is not there have no record: ", ""
		if slices.ContainsFunc(found, func(r logged) bool { return r.text("msg") == "denied" || r["limits"] != nil }) {
			none, further = "", " else"
		}
		a.printf("  %s%s shows what%s its next session does not find or is refused, by a limit too\n", none, a.asking("trace", r.Service), further)
	}
	return nil
}

// maxStory is how many records of one session are told: what it says on stderr has no end.
const maxStory = 10000

// maxLoose is how many sessions are kept of which no decision was read yet: their first
// records may come to the log before it.
const maxLoose = 4096

// find reads the records of a session. Of a service it keeps those of the newest one that it has met.
func (w *why) find(in io.Reader) (found []logged, err error) {
	of := map[uint64][]logged{} // of a service: the sessions that may be the newest; several run at once
	lines := bufio.NewReaderSize(in, 1<<20)
	want := []byte(strconv.FormatUint(w.id, 10))
	if w.last != "" {
		want, _ = json.Marshal(w.last)
	}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if bytes.Contains(line, want) {
			w.take(line, of)
		}
		if err != nil {
			if w.last != "" && w.at.IsZero() && len(of) > 0 {
				w.id = slices.Max(slices.Collect(maps.Keys(of))) // the log begins after the decisions
			}
			return of[w.id], nil
		}
	}
}

// take keeps a record, if it is one that is asked for.
func (w *why) take(line []byte, of map[uint64][]logged) {
	if i := bytes.IndexByte(line, '{'); i > 0 && i <= len("<7>") {
		line = line[i:] // systemd's priority
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var r logged
	if d.Decode(&r) != nil {
		return // a line that a full disk has cut
	}
	number, _ := r["id"].(json.Number)
	id, err := strconv.ParseUint(number.String(), 10, 64)
	switch {
	case err != nil || id == 0 || w.last == "" && id != w.id || w.last != "" && r["service"] != w.last:
		return
	case w.last != "" && (r["msg"] == "decision" || r["reason"] == journal.Failed): // which has no decision before it
		// Not the greatest id: a built-in's worker numbers its clients, and casemated the worker.
		at := r.at()
		if at.Before(w.at) {
			delete(of, id)
			return
		}
		if w.id != id {
			delete(of, w.id)
		}
		w.id, w.at = id, at
	case len(of) > maxLoose:
		maps.DeleteFunc(of, func(loose uint64, _ []logged) bool { return loose != w.id })
	}
	if len(of[id]) < maxStory {
		of[id] = append(of[id], r)
	}
}

// at is when the record was made, or the beginning of time.
func (r logged) at() time.Time {
	at, _ := time.Parse(time.RFC3339Nano, r.text("time"))
	return at
}

// inOrder puts what a session did between its decision and its end, by time. Others than who
// writes its end read what it says, and may write it later.
func inOrder(found []logged) {
	place := map[string]int{"decision": -1, "session": 1}
	slices.SortStableFunc(found, func(a, b logged) int {
		return cmp.Or(cmp.Compare(place[a.text("msg")], place[b.text("msg")]), a.at().Compare(b.at()))
	})
}

// unended tells whether a program was started of whose end there is no record.
func unended(found []logged) bool {
	started, ended := false, false
	for _, r := range found {
		started = started || r.text("msg") == "decision" && r.text("verdict") == "allow" && r.text("pid") != ""
		ended = ended || r.text("msg") == "session"
	}
	return started && !ended
}

// endedBadly tells whether a session's program ended in a way that says that it missed something.
func endedBadly(found []logged) bool {
	return slices.ContainsFunc(found, func(r logged) bool {
		status, reason := r.text("exit"), r.text("reason")
		return r.text("msg") == "session" && (reason == journal.Crash || reason == journal.Violation || reason == journal.Exit && status != "" && status != "0")
	})
}

// tellGrant prints what would grant a denied call, as it can stand in the profile.
func (a *app) tellGrant(grant string, line func(what, format string, args ...any)) {
	owner, text, _ := strings.Cut(grant, ": ")
	if denied.IsNote(grant) {
		line("", "%s", strings.TrimPrefix(text, "# "))
		return
	}
	line("", "granted by, in %s:", owner)
	for l := range strings.Lines(denied.HCL(grant)) {
		a.printf("      %s\n", strings.TrimRight(l, "\n"))
	}
}

// tell prints one record as a sentence.
func (a *app) tell(r logged) {
	at, _, _ := strings.Cut(r.text("time"), ".")
	line := func(what, format string, args ...any) {
		a.printf("  %s  %-8s %s\n", strings.TrimSuffix(at, "Z"), what, fmt.Sprintf(format, args...))
	}
	switch r.text("msg") {
	case "decision":
		a.tellDecision(r, line)
	case "denied":
		call := r.text("syscall") + "(" + r.text("args") + ")"
		if r.text("syscall") == "" {
			call = "calls of further kinds"
		}
		if v := r.text("errno") + r.text("signal"); v != "" {
			call += ": " + v
		}
		if n := r.text("count"); n != "1" {
			call += ", " + n + " times"
		}
		line("denied", "%s", call)
		if g := r.text("grant"); g != "" {
			a.tellGrant(g, line)
		}
	case "session":
		a.tellLimits(r, line)
		how := r.text("reason")
		if how == journal.Failed { // nothing else is told of it
			line("client", "%s port %s", dash(r.text("client")), dash(r.text("client_port")))
		}
		if v := r.text("exit"); v != "" {
			how += ", status " + v
			if s := shellEnds[v]; s != "" && r["limits"] == nil {
				how += ", as of a shell whose program died of " + s
			}
		}
		if v := r.text("signal"); v != "" {
			how += ", " + v
		}
		if v := r.text("detail"); v != "" {
			how += ": " + v
		}
		if v := r.text("duration_ms"); v != "" {
			how += ", after " + v + " ms"
		}
		if in, out := r.text("bytes_in"), r.text("bytes_out"); in != "" && out != "" {
			how += "; " + in + " bytes from its client, " + out + " to it"
		}
		line("ended", "%s", how)
		if r.text("detail") == "mount state directory: no such file or directory" {
			line("", "its directory below %s was removed after the service was prepared: %s makes another", sandbox.StateDir, a.asking("reload"))
		}
	default:
		line(r.text("msg"), "%s", r.text("text"))
	}
}

// whyRefused is what explain is to be asked about a client whom a rule refused, "" where that
// is not known, or holds what a shell or explain could take for more than a word: a log is not to be trusted.
func (a *app) whyRefused(r logged) string {
	if r.text("client") == "" || r.text("reason") != "acl" {
		return ""
	}
	words := []string{"explain", r.text("service"), r.whom()}
	if v := r.text("client_name"); v != "" {
		words = append(words, "--name", v)
	}
	if local, err := netip.ParseAddrPort(r.text("local")); err == nil {
		words = append(words, "--local", local.Addr().String())
	}
	if at := r.at(); !at.IsZero() {
		words = append(words, "--at", at.UTC().Format(time.RFC3339))
	}
	for i, w := range words {
		if strings.Trim(w, ".:-_=%ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" || i < 3 && strings.HasPrefix(w, "-") {
			return ""
		}
	}
	return a.asking(words...)
}

// whom is the client in the words of explain: rules know those of unix sockets by user, those of a
// vsock by machine.
func (r logged) whom() string {
	if v := r.text("client_uid"); v != "" {
		return "uid=" + v
	}
	if v := r.text("client_cid"); v != "" {
		return "cid=" + v
	}
	return r.text("client")
}

func (a *app) tellDecision(r logged, line func(what, format string, args ...any)) {
	who := r.text("client")
	if v := r.whom(); v != who {
		who += " " + v
	}
	if v := r.text("client_name"); v != "" {
		who += " (" + v + ")"
	}
	if v := r.text("client_port"); v != "" {
		who += " port " + v
	}
	if who == "" && r.text("verdict") != "deny" {
		line("started", "process %s: it serves the clients of %s %s itself, and who is refused has a record of its own", dash(r.text("pid")), dash(r.text("network")), dash(r.text("local")))
		return
	}
	if who == "" {
		who = "not known"
	}
	line("client", "%s, %s to %s", who, dash(r.text("network")), dash(r.text("local")))
	rule := "rule " + r.text("rule")
	if v := r.text("rule_name"); v != "" {
		rule += " (" + v + ")"
	}
	if v := r.text("acl"); v != "" {
		rule += " of acl " + v
	}
	if r.text("verdict") == "deny" {
		line("refused", "%s, %s", r.text("reason"), rule)
		tellLimit(r, line)
		if ban.Reason(r.text("reason")) {
			line("", "an operator has said so: casemate bans lists it, casemate %s takes it back", map[string]string{ban.ReasonBan: "unban", ban.ReasonDrain: "undrain"}[r.text("reason")])
		}
		if v := a.whyRefused(r); v != "" {
			line("", "what each rule says to that: %s", v)
		}
		return
	}
	line("admitted", "%s", rule)
	if v := r.text("pid"); v != "" {
		line("started", "process %s", v)
	}
}
