package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"casemate/cmd/casemate/facts"
	"casemate/cmd/confine"
	"casemate/policy/control"

	"github.com/spf13/cobra"
)

func (a *app) statusCmd() *cobra.Command {
	var sessions bool
	var vsock string
	cmd := &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show what casemated serves",
		Long: `status asks the running casemated which policy it runs (and, after casemate rollback, that
its files say another one), where each service listens,
under which profile, how many connections it has admitted and refused, and which
layers a best_effort profile does without on this host. A service that could not be
prepared when casemated started is "broken", a listener that could not be opened
"retrying": below the table stands why, and both are tried again.

STATE is listening; waiting (its program has the socket); shedding (it rests, for want
of resources or after a failure); retrying; or broken. LIVE and PEAK are sessions, now
and at most; of a built-in its clients, as its worker last told, within a second.
ADMITTED and REFUSED count clients, FAILED those admitted whose program could not be
started. Below the table stand a service's refusals by reason, and the sessions that did
not exit by themselves, how many wait in the queue of its limit (casemate help log has the words), whether it is drained, how
many bans there are, and the services that the policy has with disable = true. All count from casemated's
start, also over reloads, or from that of the broker after one that was killed (the log says so); LIVE holds then too.`,
		Example: `  casemate status
  casemate status finger --sessions
  casemate status -o json | jq .status.digest`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			req := control.Request{Verb: control.VerbStatus}
			if len(args) == 1 {
				req.Service = args[0]
			}
			resp, err := a.ask(req)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(resp)
			}
			if resp.Status == nil {
				return fmt.Errorf("%s: the answer holds no status", a.control)
			}
			a.status(resp.Status, sessions)
			if vsock == facts.NoVsock {
				a.unreached(resp.Status)
			}
			return nil
		},
	}
	a.grants[cmd] = func([]string) confine.Grant {
		vsock = facts.Vsock()
		return confine.Grant{}
	}
	cmd.Flags().BoolVar(&sessions, "sessions", false, "list the live sessions too")
	return cmd
}

// status prints a broker's status for people.
func (a *app) status(st *control.Status, sessions bool) {
	a.printf("casemated %s, pid %d, up %s, ", st.Version, st.PID, since(st.Started))
	if st.Generation == 0 {
		a.printf("no policy loaded yet\n")
	} else {
		a.printf("generation %d loaded %s ago\ndigest %s\n", st.Generation, since(st.Loaded), st.Digest)
	}
	if !st.RolledBack.IsZero() {
		say := "the files may say another policy"
		if st.Sources != "" {
			say = "the files say another policy, " + st.Sources + " when they were loaded last"
		}
		a.printf("%s: %s; %s loads what the files say\n", a.paint("33")("rolled back "+since(st.RolledBack)+" ago"), say, a.asking("reload"))
	}
	if st.LastReload != "" {
		when := ""
		if !st.ReloadFailed.IsZero() {
			when = " " + since(st.ReloadFailed) + " ago"
		}
		a.printf("%s %s\n", a.paint("31")("last reload failed"+when+":"), st.LastReload)
	}
	a.printf("\n")
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tLISTENS\tSTATE\tUSER\tACL\tLIMIT\tPROFILE\tLIVE\tPEAK\tADMITTED\tREFUSED\tFAILED")
	for _, s := range st.Services {
		for i, l := range s.Listeners {
			if i > 0 {
				fmt.Fprintf(w, "\t%s\t%s\t\t\t\t\t\t\t\t\t\n", l.Key, l.State)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", s.Name, l.Key, l.State, s.User,
				dash(s.ACL), s.Limit, s.Profile, s.Live, s.Peak, s.Admitted, s.Refused, s.Failed)
		}
	}
	a.flush(w, &b)
	if st.Bans > 0 {
		a.printf("%s, see casemate bans\n", several(st.Bans, "ban", "bans"))
	}
	if len(st.Disabled) > 0 {
		a.printf("disabled: %s\n", strings.Join(st.Disabled, ", "))
	}
	var lost losses
	for _, s := range st.Services {
		a.notes(&s)
		lost.add(s.Name, s.Losses...)
	}
	a.losses(&lost, "this host")
	if sessions {
		a.sessions(st)
	}
}

// unreached tells of listeners that nobody comes to, on a host without a transport for vsocks.
func (a *app) unreached(st *control.Status) {
	for _, s := range st.Services {
		for _, l := range s.Listeners {
			if strings.HasPrefix(l.Key, "vsock") {
				a.printf("%s: nobody comes to %s: %s; %s\n", s.Name, l.Key, unreachedVsock, loadVsock)
			}
		}
	}
}

// notes prints what is out of the ordinary with a service.
func (a *app) notes(s *control.ServiceStatus) {
	if s.Error != "" {
		a.printf("%s: %s\n", s.Name, strings.TrimPrefix(strings.TrimPrefix(s.Error, "services."+s.Name+": "), "services."+s.Name+"."))
	}
	if s.Redirect != "" {
		a.printf("%s: redirect to %s\n", s.Name, strings.TrimPrefix(s.Redirect, "tcp://"))
	}
	if !s.Drained.IsZero() {
		a.printf("%s: %s %s ago: it takes no new clients, casemate undrain %[1]s ends that\n", s.Name, a.paint("33")("drained"), since(s.Drained))
	}
	if s.Queued > 0 {
		a.printf("%s: queue: %d wait for a place\n", s.Name, s.Queued)
	}
	for _, line := range s.Shield {
		a.printf("%s: %s\n", s.Name, line)
	}
	a.reasons(s.Name, "refused", s.RefusedBy)
	a.reasons(s.Name, "ended", s.EndedBy)
	for _, l := range s.Listeners {
		if l.Error != "" {
			a.printf("%s: %s: %s\n", s.Name, l.Key, l.Error)
		}
	}
}

// reasons prints counters by reason, the largest first.
func (a *app) reasons(service, what string, by map[string]uint64) {
	if len(by) == 0 {
		return
	}
	words := slices.SortedFunc(maps.Keys(by), func(x, y string) int {
		return cmp.Or(cmp.Compare(by[y], by[x]), cmp.Compare(x, y))
	})
	for i, w := range words {
		words[i] = fmt.Sprintf("%s %d", w, by[w])
	}
	a.printf("%s: %s: %s\n", service, what, strings.Join(words, ", "))
}

func (a *app) sessions(st *control.Status) {
	a.printf("\n")
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSERVICE\tCLIENT\tPID\tUID\tSINCE\tGENERATION")
	for _, s := range st.Sessions {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\t%d\n", s.ID, s.Service, dash(s.Client), s.PID, s.UID, since(s.Started), s.Generation)
	}
	a.flush(w, &b)
	if st.SessionsLeftOut > 0 {
		a.printf("and %d more\n", st.SessionsLeftOut)
	}
}

func since(t time.Time) string { return time.Since(t).Truncate(time.Second).String() }
