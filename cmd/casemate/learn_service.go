package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/learn"
)

// serviceOptions are the flags of learn SERVICE.
type serviceOptions struct {
	connections int
	limit       time.Duration
	tighten     bool
	clients     []string
	profile     string
	normal      []int
	leftOut     []string // what is said in the profile of sessions that it was not learnt from
}

// learnService learns from the sessions of a service of the running casemated.
func (a *app) learnService(ctx context.Context, name string, o *serviceOptions) error {
	doc, s, err := a.traceable("learn", name)
	if err != nil {
		return err
	}
	c, err := confines(doc, s)
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	want := o.connections
	if want == 0 && o.limit == 0 {
		want = 10
	}
	if len(o.clients) == 0 {
		want *= 2 // the second half is counted
	}
	var kept learn.Kept
	if err := a.watch(ctx, doc, s, want, o.limit, kept.Add); err != nil {
		return err
	}
	sessions := kept.Sessions
	if kept.Alike+kept.LeftOut > 0 {
		fmt.Fprintf(a.err, "casemate: learn: %d sessions more did nothing that these %d had not done, and %d that did were too many to keep\n", kept.Alike, len(sessions), kept.LeftOut)
	}
	if len(sessions) == 0 {
		return errors.New("learn: no session came")
	}
	good, left := a.setAside(sessions, c, o.normal)
	o.leftOut = left
	switch {
	case len(good) == 0:
		return errNo
	case len(good) == 1 && len(o.clients) == 0:
		return errors.New("learn: one session came that can be learnt from: it takes one, and one more that is held against what was learnt")
	case o.tighten:
		return a.tighten(ctx, s, c, good, o)
	case len(o.clients) > 0:
		return a.learnWithClients(ctx, s, c, good, o)
	}
	return a.learnByCounting(s, c, good, o)
}

// needsOf is what sessions under a profile in force need: of its capabilities and its
// network those of which there is a sign.
func needsOf(sessions []*learn.Session, c *learn.Confines) *learn.Needs {
	x := learn.Extras{Capabilities: c.Profile.Capabilities, Mode: c.Profile.Network.Mode}
	return learn.Find(sessions, c, realFiles, x.Used(learn.Find(sessions, c, realFiles, x)))
}

// shippedBases are the profiles that a learnt one of the program may stand on: that of its own kind, which
// was written for it, then those of no kind, the narrowest first. What strict is for loads no library.
func shippedBases(program string) ([]learn.Base, error) {
	all := lang.ShippedProfiles()
	widest := all[slices.IndexFunc(all, func(p sandbox.Profile) bool { return p.Name == "login" })]
	general := append([]string{widest.Name}, widest.Base...) // the widest first
	runs := interpreterOf(program)
	var bases []learn.Base
	for _, p := range all {
		rank := len(general) - slices.Index(general, p.Name)
		switch {
		case !learn.Stands(&p), p.Name == "strict" && len(realFiles.Loads(program)) > 0:
			continue
		case kindOf(&p, runs):
			rank = kindRank
		case !slices.Contains(general, p.Name):
			continue
		}
		rules, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			return nil, fmt.Errorf("learn: %w", err)
		}
		bases = append(bases, learn.Base{Profile: &p, Rules: rules, Rank: rank})
	}
	slices.SortStableFunc(bases, func(a, b learn.Base) int { return cmp.Compare(a.Rank, b.Rank) })
	return bases, nil
}

// kindRank is the rank of what was written for a kind of program, before all others.
const kindRank = 0

// kindOf reports whether p is for what that program runs. profile.shell shows whole directories of
// programs, and names no shell; profile.go is for what the Go compiler made, which begins by itself.
func kindOf(p *sandbox.Profile, program string) bool {
	shells := []string{"sh", "bash", "dash", "ksh", "mksh", "zsh"}
	switch p.Name {
	case "shell":
		return slices.Contains(p.Files.Exec, path.Dir(program)) && slices.Contains(shells, path.Base(program))
	case "go":
		_, err := buildinfo.ReadFile(program)
		return err == nil && len(realFiles.Loads(program)) == 0
	}
	return slices.Contains(p.Files.Exec, program)
}

// interpreterOf is the program that runs a script by its first line, or the program itself.
func interpreterOf(program string) string {
	f, err := os.Open(program)
	if err != nil {
		return program
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n')
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	switch {
	case !bytes.HasPrefix(line, []byte("#!")) || len(words) == 0:
		return program
	case words[0] == "/usr/bin/env":
		return "/usr/bin/" + strings.Join(words[1:min(2, len(words))], "")
	}
	return words[0]
}

// learnByCounting learns from the first half of the sessions and holds the second half
// against that, without enforcing it.
func (a *app) learnByCounting(s *policy.Service, c *learn.Confines, sessions []*learn.Session, o *serviceOptions) error {
	bases, err := shippedBases(s.Command[0])
	if err != nil {
		return err
	}
	half := (len(sessions) + 1) / 2
	n := needsOf(sessions[:half], c)
	later := needsOf(sessions[half:], c)
	for _, d := range learn.Drafts(n, bases, realFiles) {
		text, err := draftText(learnt, &d, nil)
		if err != nil {
			return err
		}
		if _, err := profileDocument(text, serviceAttributes(s)); err != nil {
			fmt.Fprintf(a.err, "casemate: learn: on profile.%s: %v\n", d.Base.Profile.Name, err)
			continue
		}
		more := learn.Drafts(later, []learn.Base{*d.Base}, realFiles)[0].Beyond(&d)
		for _, line := range more {
			fmt.Fprintf(a.err, "casemate: learn: a later session used what no earlier one did: %s %s: %s\n", line.Attr, oneLine(line.Value), evidence(&line))
		}
		if len(more) > 0 {
			fmt.Fprintf(a.err, "casemate: learn: follow more sessions: no profile is printed\n")
			return errNo
		}
		head := []string{
			fmt.Sprintf("Learnt from %s of %s under profile.%s on %s, and held against", several(half, "session", "sessions"), s.Name, s.Profile, time.Now().Format("2006-01-02")),
			fmt.Sprintf("%s more, which used nothing else. It was not enforced: --client does that.", several(len(sessions)-half, "session", "sessions")),
		}
		head = append(head, o.leftOut...)
		return a.printDraft(&learnReport{Sessions: len(sessions)}, &d, nil, n, head, cmpName(o.profile, s.Name))
	}
	fmt.Fprintf(a.err, "casemate: learn: no base makes a profile of what the sessions did under profile.%s: keep that one, or %s\n", s.Profile, byHand)
	return errNo
}

// learnWithClients replays what was learnt, with clients in a scratch broker.
func (a *app) learnWithClients(ctx context.Context, s *policy.Service, c *learn.Confines, sessions []*learn.Session, o *serviceOptions) error {
	st, err := a.siteOf(s, o)
	if err != nil {
		return err
	}
	defer st.close()
	return a.learn(ctx, st, needsOf(sessions, c), s.Command[0], cmpName(o.profile, s.Name), fmt.Sprintf("%s of %s under profile.%s, and from clients", several(len(sessions), "session", "sessions"), s.Name, s.Profile))
}

// siteOf is a scratch broker's site for a service of the running one, and its clients.
func (a *app) siteOf(s *policy.Service, o *serviceOptions) (*site, error) {
	if len(s.Listen) == 0 {
		return nil, fmt.Errorf("learn: %s listens nowhere", s.Name)
	}
	network := "tcp"
	if strings.HasPrefix(string(s.Listen[0].Network), "udp") {
		network = "udp"
	}
	st, err := newSite(a, network, o.clients)
	if err != nil {
		return nil, err
	}
	st.normal = o.normal
	st.service, st.block, st.leftOut = s, serviceAttributes(s), o.leftOut
	return st, nil
}

func cmpName(given, service string) string {
	if given != "" {
		return given
	}
	return profileName(service)
}

// serviceAttributes are those of a service's block that a profile is checked against.
func serviceAttributes(s *policy.Service) string {
	block := fmt.Sprintf("  command = [%s]\n  user = \"nobody\"\n", quoteAll(s.Command))
	if s.Wait {
		return block + "  wait = true\n  acl = acl.anyone\n  limit = limit.wait\n"
	}
	if apart(s) {
		block += fmt.Sprintf("  stdio = %q\n", sandbox.StdioRelay)
	}
	return block + "  acl = acl.client\n  limit = limit.client\n"
}

// apart tells whether a service's program is apart from the host's network (policy.Service.Apart) where it is learnt
// too: its clients come by tcp there, so that takes a relay, wherever it listens itself.
func apart(s *policy.Service) bool {
	return s.Apart() && slices.Contains([]sandbox.Stdio{sandbox.StdioSocket, sandbox.StdioAll, sandbox.StdioRelay}, s.Stdio)
}
