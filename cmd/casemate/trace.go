package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"time"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/control"
	"casemate/policy/explain"
	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// warmEvery is how often casemated is asked to keep a zygote for what is traced: more
// often than the shortest linger.
const warmEvery = 250 * time.Millisecond

func (a *app) traceCmd() *cobra.Command {
	var connections int
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "trace SERVICE",
		Short: "Show what a service's next sessions look for and are refused",
		Long: `trace follows the next connections of a service of the running casemated and prints,
for each, what its program looked for and did not find, and what it was refused: the
call, the path as the program sees it (and on the host, where that is another), the
error, and what in the profile would grant it. Nothing of the policy changes, and the
sandbox is in force: trace sees what the program meets.

Which failures mattered is guessed from their order. Where a process ended with an error
or died of a signal, or wrote to its standard error, the last three failures in the 200
calls before are listed under "then it failed", rather what a profile can mend than what the host
does not have either, and no file that it went on to find under another path. What a limit made fail
without that stands under "limits that it went on with". All others are "harmless probes": the program went on. These lists can be
wrong: what a program misses early may be what makes it fail much later.

It needs root, follows with ptrace(2), and slows these sessions down: one stops at every
call until it has made some hundreds, and from then on at those that are unlike all before
(at every one on a kernel without BTF or before 5.8, where eBPF is locked down, and on
arm64). Another debugger cannot follow the same service meanwhile. casemated starts the service's zygote for it and
keeps it. When trace ends, by itself, by a signal or by kill -9, all that it followed runs
on. A program that runs already (wait = true) is not followed: casemate kill --service
NAME ends it first. Nor is the program that a rule of the acl has in place of the service's
own (command = [...] in allow): trace a service of its own with it. casemate learn writes a profile from what it sees.`,
		Example: `  casemate trace finger
  casemate trace rsync --connections 5
  casemate trace git --for 10m -o json`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{keepsAll: "it follows processes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 || connections < 0 {
				return errors.New("trace: --connections and --for count from 1 and 1s")
			}
			if connections == 0 && limit == 0 {
				connections = 1
			}
			return a.trace(cmd.Context(), args[0], connections, limit)
		},
	}
	cmd.Flags().IntVar(&connections, "connections", 0, "end after so many sessions have ended (1, unless --for is given)")
	cmd.Flags().DurationVar(&limit, "for", 0, "end after this time")
	return cmd
}

// traceable finds a service that can be followed in the policy in force.
func (a *app) traceable(verb, name string) (*policy.Document, *policy.Service, error) {
	if os.Geteuid() != 0 {
		return nil, nil, fmt.Errorf("%s: it follows processes of other users: run as root", verb)
	}
	doc, _, err := a.runningDocument(control.Request{})
	if err != nil {
		return nil, nil, err
	}
	s := doc.Policy.Service(name)
	switch {
	case explain.Disabled(doc.Policy, name) != nil:
		return nil, nil, fmt.Errorf("%s: service %q is disabled, so it has no sessions", verb, name)
	case s == nil:
		return nil, nil, fmt.Errorf("%s: service %q is not in the policy in force", verb, name)
	case s.Builtin != "":
		return nil, nil, fmt.Errorf("%s: service %q is casemate's own %s: its profile is casemate's too", verb, name, s.Builtin)
	case s.Redirects():
		return nil, nil, fmt.Errorf("%s: service %q is casemate's own relay: its profile is casemate's too", verb, name)
	}
	for _, o := range doc.Policy.Programs()[len(doc.Policy.Services):] {
		if o.Name == name {
			fmt.Fprintf(a.err, "casemate: %s: sessions of %s, which a rule of acl %q starts, are not followed\n", verb, o.Command[0], o.ACL)
		}
	}
	return doc, s, nil
}

// confines is what failures of a service's sessions are held against.
func confines(doc *policy.Document, s *policy.Service) (*learn.Confines, error) {
	p := doc.Policy.Profile(s.Profile)
	rules, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		return nil, err
	}
	return &learn.Confines{Profile: p, Rules: rules, Exists: onHost}, nil
}

func onHost(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (a *app) trace(ctx context.Context, service string, connections int, limit time.Duration) error {
	doc, s, err := a.traceable("trace", service)
	if err != nil {
		return err
	}
	c, err := confines(doc, s)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	r := traceReport{FormatVersion: 1, Service: s.Name, Profile: s.Profile, Sessions: []sessionReport{}}
	// Reduced one by one: what all did would be much.
	if err := a.watch(ctx, doc, s, connections, limit, func(one *learn.Session) { r.Sessions = append(r.Sessions, reportOf(one, c)) }); err != nil {
		return err
	}
	return a.told(&r)
}

// interruptible is a context that the first signal to end cancels. The second one ends the
// process, whatever it is at.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	context.AfterFunc(ctx, cancel)
	return ctx, cancel
}

// watch follows the next sessions of a service until so many have ended, the time is
// over, or somebody interrupts it. 0 is no bound. take gets each of them, and those that
// run on when it ends. doc is the policy that the service is of: what sessions do under another
// profile is no answer to what they lack under this one.
func (a *app) watch(ctx context.Context, doc *policy.Document, s *policy.Service, connections int, limit time.Duration, take func(*learn.Session)) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	signal.Ignore(unix.SIGTSTP) // a stopped tracer would stop what it follows
	if limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	t, err := observe.Start()
	if err != nil {
		return err
	}
	defer t.Stop()
	if err := a.keepFollowed(ctx, t, s, true); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "casemate: following %s: waiting for connections\n", s.Name)
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-t.News():
			for _, one := range t.Take() {
				take(one)
				if n++; n == connections {
					return nil
				}
			}
		case <-tick.C:
			if err := a.keepFollowed(ctx, t, s, false); err != nil {
				return err
			}
			if doc, err = a.sameService(doc, s); err != nil {
				return err
			}
		case <-ctx.Done():
			left := t.Stop()
			for _, one := range append(t.Take(), left...) {
				take(one)
			}
			return nil
		}
	}
}

// sameService gives the policy in force. It is an error where that has changed the service or its profile.
func (a *app) sameService(doc *policy.Document, s *policy.Service) (*policy.Document, error) {
	resp, err := a.ask(control.Request{Verb: control.VerbStatus, Service: s.Name})
	if err != nil || resp.Status.Digest == doc.Digest {
		return doc, err
	}
	now, of, err := a.traceable("trace", s.Name)
	if err != nil {
		return nil, err
	}
	was, is := []any{s, doc.Policy.Profile(s.Profile)}, []any{of, now.Policy.Profile(of.Profile)}
	if !reflect.DeepEqual(was, is) {
		return nil, fmt.Errorf("trace: casemated has loaded a policy with another service %s, or another profile for it: begin again under that one", s.Name)
	}
	return now, nil
}

// keepFollowed has casemated keep a zygote of the service, and follows it. The first
// time it waits until there is one.
func (a *app) keepFollowed(ctx context.Context, t *observe.Tracer, s *policy.Service, first bool) error {
	for {
		resp, err := a.ask(control.Request{Verb: control.VerbStatus, Service: s.Name, Now: true})
		if err != nil {
			return err
		}
		if len(resp.Status.Services) == 0 {
			return errors.New("trace: casemated has no policy yet")
		}
		st := resp.Status.Services[0]
		if first && s.Wait && st.Live > 0 {
			return fmt.Errorf("trace: the program of %s runs already, and serves its clients until it ends: %s", s.Name, a.asking("kill", "--service", s.Name))
		}
		if st.ZygotePID > 0 && !t.Follows(st.ZygotePID) {
			err = t.Follow(st.ZygotePID)
		}
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH):
			return err
		case !first || err == nil && st.ZygotePID > 0:
			return nil // what has just ended is followed at the next look
		case st.Error != "":
			return fmt.Errorf("trace: %s: %s", s.Name, st.Error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("trace: the zygote of %s does not start", s.Name)
		case <-time.After(warmEvery / 10):
		}
	}
}
