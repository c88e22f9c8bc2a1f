package main

import (
	"errors"
	"fmt"
	"time"

	"casemate/policy/control"
	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// drainPoll is how often drain --wait looks.
const drainPoll = 200 * time.Millisecond

func (a *app) drainCmd() *cobra.Command {
	var wait bool
	var timeout string
	cmd := &cobra.Command{
		Use:   "drain SERVICE",
		Short: "Let a service take no new clients",
		Long: `drain has the running casemated refuse all new clients of a service, with the reason "drain"
in the log, in status and in explain --live, and lets its sessions go on to their end: to take a
backend or a program out of use. Who waits in the queue of its limit is refused as well. Its
listeners stay open, so that nobody else takes their addresses.

With --wait, drain returns when the service has no session left, or after --timeout (10m, "0" is
for ever) with the answer no; it is drained either way. casemate kill --service ends what is left.

It lasts until casemate undrain, over reloads, the broker, casemated and a restart of the host, as
bans do (casemate help ban); a policy without the service ends it. status and casemate bans show
it. A service with wait = true takes its clients itself: it cannot be drained.

Exit status: 0 it is drained and, with --wait, has no session; 3 it has some after --timeout; 1 otherwise.`,
		Example: `  casemate drain ftp --wait --timeout 5m && apt-get install vsftpd; casemate undrain ftp`,
		Args:    oneService("drain"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("timeout") && !wait {
				return errors.New("drain: --timeout means nothing without --wait")
			}
			d, err := lang.Duration(timeout)
			if timeout == "0" {
				d, err = 0, nil
			}
			if err != nil {
				return fmt.Errorf("drain: --timeout: %w", err)
			}
			return a.drain(args[0], wait, d)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when its last session has ended")
	cmd.Flags().StringVar(&timeout, "timeout", "10m", "how long to wait at most; 0 is for ever")
	return cmd
}

func (a *app) undrainCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "undrain SERVICE",
		Short: "Let a drained service take clients again",
		Long: `undrain takes casemate drain back: the service takes new clients again, as its acl and its limit say.

Exit status: 0 it does, 3 it was not drained, 1 otherwise.`,
		Example: `  casemate undrain ftp`,
		Args:    oneService("undrain"),
		RunE: func(_ *cobra.Command, args []string) error {
			resp, err := a.ask(control.Request{Verb: control.VerbUndrain, Service: args[0]})
			if err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(drainReport{FormatVersion: 1, Service: args[0], Was: len(resp.Drains) > 0, Unkept: resp.Unkept})
			} else {
				for _, d := range resp.Drains {
					a.linef("%s takes clients again, drained since %s\n", d.Service, d.Since.UTC().Format(time.RFC3339))
				}
				if len(resp.Drains) == 0 {
					fmt.Fprintf(a.err, "casemate: %s was not drained\n", oneLine(args[0]))
				}
				a.tellUnkept(resp.Unkept)
			}
			if err == nil && len(resp.Drains) == 0 {
				err = errNo
			}
			return err
		},
	}
}

func oneService(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return errors.New(verb + ": write the name of one service")
		}
		return nil
	}
}

// drainReport is the JSON of drain and undrain.
type drainReport struct {
	FormatVersion int    `json:"format_version"`
	Service       string `json:"service"`
	Drained       bool   `json:"drained"` // now
	Was           bool   `json:"was_drained,omitempty"`
	// Live is how many sessions it has: at once or, with --wait, at the end of that.
	Live   int    `json:"live"`
	Unkept string `json:"unkept,omitempty"` // why a restart ends it
}

// drain drains a service and, if it is to wait, waits for as long as that for its sessions; 0 is for ever.
func (a *app) drain(service string, wait bool, patience time.Duration) error {
	resp, err := a.ask(control.Request{Verb: control.VerbDrain, Service: service})
	if err != nil {
		return err
	}
	r := drainReport{FormatVersion: 1, Service: service, Drained: true, Unkept: resp.Unkept}
	for end := time.Now().Add(patience); ; time.Sleep(drainPoll) {
		st, err := a.ask(control.Request{Verb: control.VerbStatus, Service: service})
		if err != nil {
			return err
		}
		if st.Status == nil || len(st.Status.Services) != 1 {
			return fmt.Errorf("drain: the policy in force has no service %q any more", service)
		}
		s := &st.Status.Services[0]
		if r.Live = s.Live; s.Drained.IsZero() {
			return fmt.Errorf("drain: %s takes clients again: somebody has undrained it", service)
		}
		if !wait || r.Live == 0 || patience > 0 && time.Now().After(end) {
			break
		}
	}
	if a.json() {
		err = a.printJSON(r)
	} else {
		a.linef("%s is drained, %s\n", service, several(r.Live, "session is left", "sessions are left"))
		a.tellUnkept(r.Unkept)
	}
	if err == nil && wait && r.Live > 0 {
		err = errNo
	}
	return err
}

// drainedOnes are the services that take no new clients.
func (a *app) drainedOnes() (out []cobra.Completion) {
	quiet := a.hushed()
	resp, err := quiet.ask(control.Request{Verb: control.VerbBans})
	if err != nil {
		return nil
	}
	for _, d := range resp.Drains {
		out = append(out, cobra.CompletionWithDesc(d.Service, "since "+d.Since.UTC().Format(time.RFC3339)))
	}
	return out
}
