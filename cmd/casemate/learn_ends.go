package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/listener/journal"
	"casemate/sandbox/learn"

	"golang.org/x/sys/unix"
)

// setAside parts the sessions that can be learnt from from those that failed: what these were
// refused is no answer to what their program needs. It says on standard error how they failed, and gives what
// a profile that is learnt from the others says of them, and of those that were cut short.
func (a *app) setAside(sessions []*learn.Session, c *learn.Confines, normal []int) (good []*learn.Session, leftOut []string) {
	list := learn.Failed(sessions, c, normal)
	told := map[string]int{}
	var order []string
	say := func(format string, args ...any) {
		line := oneLine(fmt.Sprintf(format, args...))
		if told[line]++; told[line] == 1 {
			order = append(order, line)
		}
	}
	for _, f := range list {
		if f.End != nil {
			say("a session of %s %s%s", f.End.Program, f.End.String(), ifSome(": it wrote ", quoteSaid(f.Said)))
		}
		for _, r := range f.Refused {
			say("before %s: %s %s: %s", r.Before, r.String(), r.Outcome(), inLine(r.Remedy))
		}
	}
	for _, line := range order {
		fmt.Fprintf(a.err, "casemate: learn: %s%s\n", line, ifMore(told[line]))
	}
	good = slices.DeleteFunc(slices.Clone(sessions), func(s *learn.Session) bool {
		return slices.ContainsFunc(list, func(f learn.Failing) bool { return f.Session == s })
	})
	if len(list) > 0 {
		leftOut = append(leftOut, fmt.Sprintf("Left out: %s of %d that failed:", several(len(list), "session", "sessions"), len(sessions)))
		for _, line := range order[:min(len(order), maxLeftOut)] {
			leftOut = append(leftOut, "  "+line+ifMore(told[line]))
		}
		fmt.Fprintf(a.err, "casemate: learn: %d of %s failed: no profile is learnt from these; grant what they were refused (casemate trace shows more), or %s\n",
			len(list), several(len(sessions), "session", "sessions"), statusFlag(list))
	}
	return good, append(leftOut, a.cut(good)...)
}

// maxLeftOut is how many lines a profile has of sessions that were left out.
const maxLeftOut = 20

func ifMore(times int) string {
	if times < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", times)
}

// cut says of sessions that were ended by a limit, or by somebody, that they are learnt from up to there.
func (a *app) cut(sessions []*learn.Session) (leftOut []string) {
	by := map[string]int{}
	for _, s := range sessions {
		if signal := s.Cut(); signal != 0 {
			by[unix.SignalName(signal)]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		line := fmt.Sprintf("%s ended by %s, of a limit or somebody: what would have come after that is not known.", several(by[name], "session was", "sessions were"), name)
		fmt.Fprintf(a.err, "casemate: learn: %s\n", line)
		leftOut = append(leftOut, line)
	}
	return leftOut
}

func quoteSaid(text string) string {
	if text == "" {
		return ""
	}
	return oneLine(strconv.Quote(lastLine(text)))
}

// statusFlag is what to write where sessions end as the program always does.
func statusFlag(list []learn.Failing) string {
	for _, f := range list {
		if f.End != nil && f.End.Signal == 0 {
			return fmt.Sprintf("write --status %d if it ends so when all is well", f.End.Status)
		}
	}
	return "mend the program"
}

// ended is how one session of the scratch broker ended, by its log.
type ended struct {
	Reason, Signal, Detail string
	Exit                   int
}

// fails says how a session ended with an error, "" if it did not.
func (e *ended) fails(normal []int) string {
	switch e.Reason {
	case journal.Exit:
		if e.Exit == 0 || slices.Contains(normal, e.Exit) {
			return ""
		}
		return fmt.Sprintf("the program exits with status %d", e.Exit)
	case journal.Crash, journal.Violation, journal.Memory:
		if e.Signal == "SIGPIPE" || e.Signal == "SIGALRM" || e.Signal == "SIGHUP" { // its client's doing, or its own alarm's
			return ""
		}
		return fmt.Sprintf("the program dies of %s (%s)", e.Signal, e.Reason)
	case journal.Failed:
		return "the program cannot be started: " + oneLine(e.Detail)
	}
	return ""
}

// endsIn finds the sessions that are over in lines of a log, each a JSON record.
func endsIn(log []byte) []ended {
	var out []ended
	for line := range bytes.Lines(log) {
		var r struct {
			Msg string `json:"msg"`
			ended
		}
		if json.Unmarshal(line, &r) == nil && r.Msg == "session" {
			out = append(out, r.ended)
		}
	}
	return out
}

// mark is a place in the scratch broker's log, before a run of the clients.
type mark struct {
	at       int64
	admitted uint64
}

func (s *site) mark() (mark, error) {
	st, err := s.status()
	if err != nil {
		return mark{}, err
	}
	info, err := os.Stat(filepath.Join(s.dir, "log"))
	if errors.Is(err, os.ErrNotExist) {
		return mark{admitted: st.Admitted}, nil
	} else if err != nil {
		return mark{}, fmt.Errorf("learn: %w", err)
	}
	return mark{info.Size(), st.Admitted}, nil
}

// faulty says of the sessions since a mark how the first that ended with an error did, ""
// where none did. It waits for the record of each that was admitted.
func (s *site) faulty(from mark) (string, error) {
	for end := time.Now().Add(readyLimit); ; time.Sleep(10 * time.Millisecond) {
		st, err := s.status()
		if err != nil {
			return "", err
		}
		log, err := s.logSince(from.at)
		if err != nil {
			return "", fmt.Errorf("learn: %w", err)
		}
		list := endsIn(log)
		if uint64(len(list)) < st.Admitted-from.admitted {
			if time.Now().After(end) {
				return "", fmt.Errorf("learn: the log of the scratch broker has %d of %d sessions after %s", len(list), st.Admitted-from.admitted, readyLimit)
			}
			continue
		}
		for _, e := range list {
			if why := e.fails(s.normal); why != "" {
				return why, nil
			}
		}
		return "", nil
	}
}

func (s *site) logSince(at int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(s.dir, "log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// inLine is a remedy within a sentence.
func inLine(remedy string) string { return strings.Join(strings.Fields(remedy), " ") }
