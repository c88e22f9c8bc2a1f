package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/learn"
)

// tightReport is the JSON of learn --tighten.
type tightReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Service  string       `json:"service"`
	Profile  string       `json:"profile"` // HCL, "" where everything is used
	Of       string       `json:"of"`      // the profile in force
	Sessions int          `json:"sessions"`
	Runs     int          `json:"runs"` // of all clients
	Unused   []lineReport `json:"unused"`
}

// tighten proposes the profile in force without what no session used, once the sessions'
// clients, or else other sessions, were served under it.
func (a *app) tighten(ctx context.Context, s *policy.Service, c *learn.Confines, sessions []*learn.Session, o *serviceOptions) error {
	r := &tightReport{FormatVersion: 1, Service: s.Name, Of: s.Profile, Sessions: len(sessions)}
	head := []string{fmt.Sprintf("profile.%s without what %s of %s did not use on %s.", s.Profile, several(len(sessions), "session", "sessions"), s.Name, time.Now().Format("2006-01-02"))}
	var t *learn.Tight
	var err error
	if len(o.clients) > 0 {
		t, err = a.tightByClients(ctx, s, c, sessions, o, r)
		head = append(head, "Its clients were served again under this profile.")
		for i, client := range o.clients {
			head = append(head, fmt.Sprintf("Client %d: %s", i+1, oneLine(client)))
		}
	} else {
		t, err = a.tightByCounting(c, sessions)
		half := (len(sessions) + 1) / 2
		head = append(head, fmt.Sprintf("That is of the first %d, and the other %d used nothing else. It was not enforced: --client does that.", half, len(sessions)-half))
	}
	if err != nil {
		return err
	}
	return a.printTight(r, t, c, append(head, o.leftOut...), o.profile)
}

// tightened is the profile in force without what sessions did not use. It must not grant more.
func tightened(c *learn.Confines, sessions []*learn.Session) (*learn.Tight, error) {
	t, err := learn.Tighten(c.Profile, c.Rules, sessions, realFiles, calls.Resolve)
	if err != nil {
		return nil, err
	}
	is, err := diff.Profiles(c.Profile, &t.Profile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("learn: %w", err)
	case slices.ContainsFunc(is.Layers, func(l diff.Layer) bool { return len(l.More) > 0 }):
		return nil, fmt.Errorf("learn: profile %q without what is not used would grant more: %+v", c.Profile.Name, is.Layers)
	}
	return t, nil
}

// tightByCounting tightens to what the first half of the sessions used, and holds the second
// half against that.
func (a *app) tightByCounting(c *learn.Confines, sessions []*learn.Session) (*learn.Tight, error) {
	half := (len(sessions) + 1) / 2
	t, err := tightened(c, sessions[:half])
	if err != nil {
		return nil, err
	}
	n := needsOf(sessions, c)
	here := learn.Lacks(c.Profile, c.Rules, n, realFiles) // as far as can be seen, and yet they were served
	lacks := slices.DeleteFunc(learn.Lacks(&t.Profile, t.Rules, n, realFiles), func(l learn.Need) bool {
		return slices.ContainsFunc(here, func(o learn.Need) bool { return o.Attr == l.Attr && o.Value == l.Value })
	})
	for _, line := range lacks {
		fmt.Fprintf(a.err, "casemate: learn: a later session used what no earlier one did: %s %s: %s\n", line.Attr, oneLine(line.Value), evidence(&line))
	}
	if len(lacks) > 0 {
		fmt.Fprintf(a.err, "casemate: learn: follow more sessions: no profile is printed\n")
		return nil, errNo
	}
	return t, nil
}

// tightByClients has the clients served in a scratch broker, under the profile in force and then
// under the tightened one. What they use of the first is used too.
func (a *app) tightByClients(ctx context.Context, s *policy.Service, c *learn.Confines, sessions []*learn.Session, o *serviceOptions, r *tightReport) (*learn.Tight, error) {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	st, err := a.siteOf(s, o)
	if err != nil {
		return nil, err
	}
	defer st.close()
	l := &learner{site: st, ctx: ctx, started: time.Now()}
	text, err := tightText(c.Profile, learnt, func(string) string { return "" })
	if err == nil {
		err = l.load(text)
	}
	if err != nil {
		return nil, err
	}
	first, err := l.run(l.ctx, true)
	if err != nil {
		return nil, err
	}
	if failing := first.failing(); failing != "" {
		return nil, l.no("under profile.%s itself %s: no profile", s.Profile, failing)
	}
	needs, err := l.repeat(first, c)
	if err != nil || needs == nil {
		return nil, err
	}
	t, err := tightened(c, append(slices.Clone(sessions), l.want.sessions...))
	if err != nil {
		return nil, err
	}
	if text, err = tightText(&t.Profile, learnt, func(string) string { return "" }); err != nil {
		return nil, err
	}
	if err := l.load(text); err != nil {
		return nil, err
	}
	for range 3 {
		again, err := l.run(l.ctx, false)
		if err != nil {
			return nil, err
		}
		if r.Runs++; again.differs(l.want, l.same) != "" {
			return nil, l.no("under profile.%s without what is not used %s: no profile is printed", s.Profile, again.differs(l.want, l.same))
		}
	}
	r.Runs += l.runs + 1
	return t, nil
}

// printTight prints a tightened profile with what it lacks, or says that it lacks nothing.
func (a *app) printTight(r *tightReport, t *learn.Tight, c *learn.Confines, head []string, name string) error {
	if r.Unused = lineReports(t.Gone); len(t.Gone) > 0 {
		if name == "" {
			name = c.Profile.Name
		}
		if slices.ContainsFunc(lang.ShippedProfiles(), func(p sandbox.Profile) bool { return p.Name == name }) {
			name = profileName(r.Service)
		}
		head = append(head, "Never used:")
		for _, n := range t.Gone {
			head = append(head, "  "+goneLine(&n, c.Profile.Network.Mode))
		}
		text, err := tightText(&t.Profile, name, func(path string) string {
			if n := t.Evidence(path); n != nil {
				return evidence(n)
			}
			return ""
		})
		if err != nil {
			return err
		}
		for _, line := range head {
			r.Profile += "# " + oneLine(line) + "\n"
		}
		r.Profile += text
	}
	switch {
	case a.json():
		return a.printJSON(r)
	case r.Profile == "":
		fmt.Fprintf(a.err, "casemate: learn: %s of %s used all that profile.%s grants, but for what is never taken away: it stays as it is\n", several(r.Sessions, "session", "sessions"), oneLine(r.Service), oneLine(r.Of))
	default:
		a.printf("%s", r.Profile)
	}
	return nil
}

// goneLine says what a tightened profile has no more, of one with that network.
func goneLine(n *learn.Need, mode sandbox.NetworkMode) string {
	switch n.Attr {
	case learn.AttrTmp, learn.AttrShm, learn.AttrProc, learn.AttrPty, learn.AttrState, learn.AttrLog, learn.AttrInit:
		return n.Attr
	case learn.AttrMode:
		return fmt.Sprintf("%s %q", learn.AttrMode, mode)
	case learn.AttrDeny:
		return "system calls of " + n.Value
	}
	return n.Attr + " " + n.Value
}

// tightText writes a profile on the widest of its shipped bases that has nothing beyond it.
func tightText(p *sandbox.Profile, name string, comment func(path string) string) (string, error) {
	var last error
	shipped := lang.ShippedProfiles()
	for _, base := range append(append([]string{p.Name}, p.Base...), "strict") {
		if !slices.ContainsFunc(shipped, func(s sandbox.Profile) bool { return s.Name == base }) {
			continue
		}
		q := *p
		q.Name, q.Base, q.Widens = name, []string{base}, slices.Sorted(slices.Values(valid.Widenable))
		text, err := lang.Effective(&q, name, comment)
		if err != nil {
			last = err
			continue
		}
		for _, layer := range valid.Widenable {
			q.Widens = slices.DeleteFunc(slices.Clone(q.Widens), func(w string) bool { return w == layer })
			less, err := lang.Effective(&q, name, comment)
			if err != nil {
				q.Widens = slices.Sorted(slices.Values(append(q.Widens, layer)))
				continue
			}
			text = less
		}
		return string(text), nil
	}
	return "", fmt.Errorf("learn: profile %q: %w", strings.TrimSpace(p.Name), last)
}
