package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"casemate/cmd/casemate/dynlink"
	"casemate/sandbox"
	"casemate/sandbox/learn"
	"casemate/sandbox/rootfs/nodes"

	"golang.org/x/sys/unix"
)

// realFiles asks this host about its files.
var realFiles = learn.Host{
	Real: func(path string) string {
		if to, err := filepath.EvalSymlinks(path); err == nil {
			return to
		}
		return filepath.Clean(path)
	},
	Dir: func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	},
	Loads: dynlink.Loads,
	Loose: func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0
	},
}

// wideText is the profile under which is observed.
func wideText(w *learn.Wide) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nprofile %q {\n  base = profile.login\n  widens = [\"capabilities\", \"files\", \"network\", \"resources\", \"syscalls\"]\n  because = \"to learn\"\n", learnt)
	if len(w.Capabilities) > 0 {
		fmt.Fprintf(&b, "  capabilities = [%s]\n", quoteAll(w.Capabilities))
	}
	b.WriteString("  network {\n")
	fmt.Fprintf(&b, "    mode = %q\n", w.Mode)
	if w.Mode == sandbox.NetworkHost {
		b.WriteString("    connect = [\"any\"]\n    bind = [\"any\"]\n")
	}
	if len(w.Sockets) > 0 {
		fmt.Fprintf(&b, "    sockets = [%s]\n", quoteAll(w.Sockets))
	}
	fmt.Fprintf(&b, "  }\n  files {\n    read = [%s]\n    exec = [%s]\n    write = [%s]\n    tmp = \"256MiB\"\n    shm = \"64MiB\"\n    dev = [%s]\n  }\n",
		quoteAll(w.Read), quoteAll(w.Exec), quoteAll(w.Write), quoteAll(nodes.Names))
	fmt.Fprintf(&b, "  syscalls {\n    allow = [%s]\n    on_violation = \"errno\"\n", quoteAll(append(w.Groups(), w.Calls...)))
	for _, r := range w.Rules {
		fmt.Fprintf(&b, "    rule %q {\n      arg = %d\n      values = [%s]\n    }\n", r.Name, r.Arg, ruleValues(r))
	}
	b.WriteString("  }\n")
	b.WriteString("  resources {\n    address_space = \"unlimited\"\n    data = \"unlimited\"\n    memory = \"unlimited\"\n    tasks = 4096\n    open_files = 4096\n  }\n}\n")
	return b.String()
}

// observe follows the clients' sessions under the wide profile until they are served, and
// gives what these needed.
func (l *learner) observe() (*learn.Needs, error) {
	var last *outcome
	for l.rounds = 1; ; l.rounds++ {
		if err := l.load(wideText(&l.wide)); err != nil {
			return nil, l.untaken(last, err)
		}
		c, err := l.confines()
		if err != nil {
			return nil, err
		}
		o, err := l.run(l.ctx, true)
		if err != nil {
			return nil, err
		}
		l.runs++
		last = o
		failing := o.failing()
		l.saying("observed %s of %s%s", several(len(o.sessions), "session", "sessions"), several(len(l.clients), "client", "clients"), ifSome(": ", failing))
		if failing == "" {
			return l.repeat(o, c)
		}
		if !l.wide.Widen(o.sessions, c, realFiles) || l.rounds > 8 {
			l.tell(o, c)
			return nil, l.hopeless(failing, o, c)
		}
	}
}

// repeat observes once more, for what comes by chance, and finds what is always the same.
func (l *learner) repeat(first *outcome, c *learn.Confines) (*learn.Needs, error) {
	again, err := l.run(l.ctx, true)
	if err != nil {
		return nil, err
	}
	l.runs++
	if failing := again.failing(); failing != "" {
		return nil, l.no("the clients were served once, and the second time %s: they cannot be replayed", failing)
	}
	l.want, l.same = first, make([]bool, len(first.Clients))
	longest := time.Duration(0)
	for i := range first.Clients {
		l.same[i] = first.Clients[i].out == again.Clients[i].out
		longest = max(longest, first.Clients[i].took, again.Clients[i].took)
	}
	l.limit = 4*longest + 3*time.Second
	sessions := append(first.sessions, again.sessions...)
	if len(sessions) == 0 {
		return nil, l.no("the clients came to no session: do they use $PORT?")
	}
	l.want.sessions = sessions
	return learn.Find(sessions, c, realFiles, learn.Extras{Capabilities: l.wide.Capabilities, Mode: l.wide.Mode}), nil
}

// hopeless is the error where clients, or sessions, fail under all that can be granted.
func (l *learner) hopeless(failing string, o *outcome, c *learn.Confines) error {
	if o.served() {
		if said := wrote(o.sessions); said != "" {
			l.saying("the program wrote last: %s", said)
		}
		return l.no("every client exits with 0, and yet %s: no profile. Where it ends so when all is well, say it with --status N; else give a client that tests what it gets, and mend what is named above", failing)
	}
	if said := wrote(o.sessions); said != "" {
		l.saying("the program wrote last: %s", said)
	}
	if list := learn.Ungranted(o.sessions, c); len(list) > 0 {
		l.saying("%s: the program calls %s, which gets %s: %s", failing, oneLine(list[0].String()), list[0].Outcome(), inLine(list[0].Remedy))
	}
	return l.no("%s, and nothing more can be granted: no profile", failing)
}

// wrote is the last line that one of the sessions wrote to its standard error, quoted, "" where none did.
func wrote(sessions []*learn.Session) string {
	for _, s := range slices.Backward(sessions) {
		for _, c := range slices.Backward(s.Complaints) {
			if strings.TrimSpace(c.Text) != "" {
				return quoteSaid(c.Text)
			}
		}
	}
	return ""
}

// byHand is what to do where no profile is learnt for what a program does.
const byHand = "have the program do without (by an option, or its configuration), or write the profile by hand, with casemate trace and casemate check"

// untaken is the error where casemate takes no profile that grants what the last sessions were
// refused; nil is none before.
func (l *learner) untaken(last *outcome, err error) error {
	if last == nil || l.ctx.Err() != nil {
		return err
	}
	l.saying("%v", err)
	told := map[string]bool{}
	for _, s := range last.sessions {
		for i := range s.Facts {
			if f := &s.Facts[i]; f.Failed() && f.Tells() && f.Err != unix.ENOENT && !told[f.Call] {
				told[f.Call] = true
				l.saying("the program was refused %s: %s", oneLine(f.String()), f.Outcome())
			}
		}
	}
	return l.no("no profile grants all of that together: %s", byHand)
}

// tell says why the sessions of an outcome failed, on standard error.
func (l *learner) tell(o *outcome, c *learn.Confines) {
	told := map[string]bool{}
	for _, s := range o.sessions {
		for _, f := range learn.Tell(s, c) {
			line := fmt.Sprintf("%s %s: %s", f.String(), f.Outcome(), inLine(f.Remedy))
			if f.Before != "" && !told[line] {
				told[line] = true
				l.saying("before %s: %s", oneLine(f.Before), oneLine(line))
			}
		}
	}
}

// prove finds a draft under which the clients are served, enforced.
func (l *learner) prove(n *learn.Needs) (*learn.Draft, error) {
	drafts := learn.Drafts(n, l.bases, realFiles)
	taken := false
	for _, first := range drafts {
		base := []learn.Base{*first.Base}
		last := ""
		for range 4 {
			d := learn.Drafts(n, base, realFiles)[0]
			why, o, c, err := l.replay(&d, true)
			if err != nil {
				return nil, err
			}
			if why == "" {
				l.saying("replayed on profile.%s with %s", d.Base.Profile.Name, several(len(d.Lines), "line", "lines"))
				return &d, nil
			}
			l.saying("replay on profile.%s: %s", d.Base.Profile.Name, why)
			taken = taken || o != nil
			if o == nil {
				break
			}
			if why == last {
				l.tell(o, c)
				break
			}
			last = why
			n.Miss(o.sessions, c, realFiles)
		}
	}
	if !taken {
		return nil, l.no("no base makes a profile of what the program does: %s", byHand)
	}
	return nil, l.no("the profile fails its own replay on every base: none is printed")
}

// replay tries a draft: why says how the clients fared otherwise, "" if they did not. The
// outcome is nil where casemate takes the draft for no profile.
func (l *learner) replay(d *learn.Draft, followed bool) (why string, o *outcome, c *learn.Confines, err error) {
	text, err := draftText(learnt, d, nil)
	if err != nil {
		return "", nil, nil, err
	}
	if err := l.load(text); err != nil {
		if l.ctx.Err() != nil {
			return "", nil, nil, err
		}
		if followed { // else it is a line less of one that is taken, and the end of that
			l.saying("on profile.%s: %v", d.Base.Profile.Name, err)
		}
		return "casemate takes it for no profile", nil, nil, nil
	}
	if c, err = l.confines(); err != nil {
		return "", nil, nil, err
	}
	l.runs++
	if o, err = l.run(l.ctx, followed); err != nil {
		return "", nil, nil, err
	}
	return o.differs(l.want, l.same), o, c, nil
}

// takeAway leaves each line out once, those for good without which the clients are served as
// well, and gives these. What stays is replayed twice more in the end, on the narrowest base.
func (l *learner) takeAway(d *learn.Draft) ([]learn.Need, error) {
	var dropped []learn.Need
	whole := learn.Draft{Base: d.Base, Lines: slices.Clone(d.Lines)} // which was served
	real := new(learn.Draft)
	if l.earlier != nil {
		real = &learn.Drafts(l.earlier, []learn.Base{*d.Base}, realFiles)[0]
	}
	for i := len(d.Lines) - 1; i >= 0; i-- {
		line := d.Lines[i]
		if line.Attr == learn.AttrInit { // it grants nothing, and is for what clients do not see: signals, and orphans
			continue
		}
		if len(real.Beyond(d.Without(i))) > 0 {
			continue // real sessions use it
		}
		gone, err := l.narrow(d, i)
		if err != nil {
			return nil, err
		}
		if gone {
			dropped = append(dropped, line)
		}
	}
	if err := l.narrowBase(d); err != nil {
		return nil, err
	}
	why, err := l.twice(d)
	if err == nil && why != "" && len(dropped) > 0 {
		l.saying("the profile of what is needed was served, and then %s: what was taken away is given back", why)
		d.Base, d.Lines, d.Narrower, dropped = whole.Base, whole.Lines, "", nil
		why, err = l.twice(d)
	}
	if err == nil && why != "" {
		err = l.no("the profile of what is needed was served, and then %s: the clients cannot be replayed", why)
	}
	return dropped, err
}

// narrowBase takes the narrower bases, one after the other, as long as the clients are
// served on them with the same lines.
func (l *learner) narrowBase(d *learn.Draft) error {
	for i := len(l.bases) - 1; i >= 0; i-- {
		b := &l.bases[i]
		if b.Rank == kindRank || b.Rank >= d.Base.Rank { // a kind's is not narrower, it is fitting
			continue
		}
		less := &learn.Draft{Base: b, Lines: d.Lines}
		why, _, _, err := l.replay(less, false)
		if err != nil {
			return err
		}
		if why != "" {
			d.Narrower = fmt.Sprintf("on profile.%s %s", less.Base.Profile.Name, why)
			return nil
		}
		d.Base = less.Base
	}
	return nil
}

// narrow has a line grant less where the clients are served so, twice, and reports whether it is gone.
func (l *learner) narrow(d *learn.Draft, i int) (gone bool, err error) {
	for _, less := range d.Less(i) {
		why, err := l.twice(less)
		if err != nil {
			return false, err
		}
		if why != "" {
			d.Lines[i].Without = cmp.Or(d.Lines[i].Without, why)
			continue
		}
		if gone = len(less.Lines) < len(d.Lines); gone && d.Lines[i].Counts() {
			d.Lines[i].Stays = true
			return false, nil
		} else if !gone {
			less.Lines[i].Without = d.Lines[i].Without
		}
		*d = *less
		return gone, nil
	}
	return false, nil
}

// twice replays a draft twice: what goes well once goes wrong now and then.
func (l *learner) twice(d *learn.Draft) (why string, err error) {
	first, _, _, err := l.replay(d, false)
	if err != nil {
		return "", err
	}
	second, _, _, err := l.replay(d, false)
	if err != nil || (first == "") == (second == "") {
		return first, err
	}
	return "now and then " + first + second, nil // one of them is empty
}

func ifSome(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
