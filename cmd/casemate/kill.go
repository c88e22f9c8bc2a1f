package main

import (
	"casemate/policy/control"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const (
	// killWait is longer than the broker's grace, and than the end of a killed process.
	killWait = 10 * time.Second
	killPoll = 50 * time.Millisecond
	// killAtOnce is how many ids one request names: its line has a bound.
	killAtOnce = 500
)

func (a *app) killCmd() *cobra.Command {
	var service string
	var now bool
	cmd := &cobra.Command{
		Use:   "kill ID... | --service NAME",
		Short: "End sessions",
		Long: `kill asks the running casemated to end sessions: those of the ids that
"casemate status --sessions" and the log show, or all that a service has now. A
session's program gets SIGTERM, and after 2 seconds SIGKILL with all that it has
started; with --now it is killed at once. A client whose socket casemated has kept
(keep_socket) gets what was written to it and an orderly end. The session's record
says "killed", and its client earns no penalty. kill returns when they have ended.

An id is never given twice, not by the next casemated either: an old one ends nothing.
A program without init in its profile is process 1 of its namespace, where SIGTERM
does nothing unless it handles it; it gets SIGKILL after the 2 seconds. The clients of
a built-in share one program, and are ended with it: kill the session that status
shows. The next client of a wait service or a built-in starts its program again.

Exit status: 0 they have ended, 3 an id is no session that runs (the others were
ended), or the service has none, 1 otherwise.`,
		Example: `  casemate status --sessions
  casemate kill 1871466496000042
  casemate kill --service finger --now`,
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) > 0) == (service != "") {
				return errors.New("kill: write the ids of sessions, or --service NAME")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if service != "" {
				return a.kill(control.Request{Service: service, Now: now}, nil)
			}
			ids := make([]uint64, 0, len(args))
			for _, arg := range args {
				id, err := strconv.ParseUint(arg, 10, 64)
				if err != nil {
					return fmt.Errorf("kill: %q is not the id of a session: write the number that status --sessions shows", arg)
				}
				ids = append(ids, id)
			}
			slices.Sort(ids)
			return a.kill(control.Request{Now: now}, slices.Compact(ids))
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "end all sessions that this service has now")
	cmd.Flags().BoolVar(&now, "now", false, "kill at once")
	return cmd
}

// killReport is the JSON of kill.
type killReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Ended    []control.SessionStatus `json:"ended"`
	Unknown  []uint64                `json:"unknown"`            // ids of no session that runs
	Left     []control.SessionStatus `json:"left,omitempty"`     // did not end
	Process1 []uint64                `json:"process1,omitempty"` // have no init
}

// kill ends the sessions of ids, or those of q.Service, and waits for their end.
func (a *app) kill(q control.Request, ids []uint64) error {
	r := killReport{FormatVersion: 1, Unknown: []uint64{}}
	hit, err := a.end(q, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(hit, func(s control.SessionStatus) bool { return s.ID == id }) {
			r.Unknown = append(r.Unknown, id)
		}
	}
	if !q.Now {
		if r.Process1, err = a.process1(hit); err != nil {
			return err
		}
	}
	if !a.json() {
		for _, s := range hit {
			if slices.Contains(r.Process1, s.ID) {
				fmt.Fprintf(a.err, "casemate: session %d: %s has no init in its profile: SIGTERM does nothing there unless the program handles it\n", s.ID, s.Service)
			}
		}
	}
	if r.Ended, r.Left, err = a.await(hit, q.Now); err != nil {
		return err
	}
	return a.killed(&r, q.Service)
}

// await waits for the end of sessions that were told to end.
func (a *app) await(hit []control.SessionStatus, now bool) (ended, left []control.SessionStatus, err error) {
	ids := make([]uint64, len(hit))
	for i, s := range hit {
		ids[i] = s.ID
	}
	for late := time.Now().Add(killWait); len(ids) > 0 && time.Now().Before(late); {
		time.Sleep(killPoll)
		if left, err = a.end(control.Request{Now: now}, ids); err != nil {
			return nil, nil, err
		}
		ids = ids[:0]
		for _, s := range left {
			ids = append(ids, s.ID)
		}
	}
	ended = []control.SessionStatus{}
	for _, s := range hit {
		if !slices.Contains(ids, s.ID) {
			ended = append(ended, s)
		}
	}
	return ended, left, nil
}

// end asks casemated to end the sessions of ids, in as many requests as that takes, or
// those of q.Service, and returns the ones that run yet.
func (a *app) end(q control.Request, ids []uint64) (list []control.SessionStatus, err error) {
	q.Verb = control.VerbKill
	for {
		n := min(len(ids), killAtOnce)
		q.Sessions, ids = ids[:n], ids[n:]
		resp, err := a.ask(q)
		if err != nil {
			return nil, err
		}
		if list = append(list, resp.Sessions...); len(ids) == 0 {
			return list, nil
		}
	}
}

// process1 returns those of the sessions whose program may not hear SIGTERM, as far as the
// policy in force is theirs.
func (a *app) process1(hit []control.SessionStatus) (ids []uint64, err error) {
	if len(hit) == 0 {
		return nil, nil
	}
	doc, _, err := a.runningDocument(control.Request{})
	if err != nil {
		return nil, err
	}
	for _, s := range hit {
		svc := doc.Policy.Service(s.Service)
		if s.Digest != doc.Digest || svc == nil || svc.Ours() {
			continue
		}
		if f := doc.Policy.Profile(svc.Profile); f != nil && !f.Init {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

// killed prints the outcome.
func (a *app) killed(r *killReport, service string) error {
	if n := len(r.Left); n > 0 {
		r.failure = &failure{false, fmt.Sprintf("%d of %d sessions have not ended", n, n+len(r.Ended))}
	}
	for _, s := range r.Left {
		fmt.Fprintf(a.err, "casemate: session %d of %s has not ended: its process %d hangs in the kernel\n", s.ID, s.Service, s.PID)
	}
	if a.json() {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		for _, s := range r.Ended {
			a.printf("ended %d %s %s\n", s.ID, s.Service, dash(s.Client))
		}
		for _, id := range r.Unknown {
			fmt.Fprintf(a.err, "casemate: %d is no session that runs: it is over, or a client inside a built-in, which ends with its program (status --sessions)\n", id)
		}
		if service != "" && len(r.Ended)+len(r.Left) == 0 {
			fmt.Fprintf(a.err, "casemate: no session of %q runs\n", service)
		}
	}
	switch {
	case len(r.Left) > 0:
		return errReported
	case len(r.Unknown) > 0 || len(r.Ended) == 0:
		return errNo
	}
	return nil
}
