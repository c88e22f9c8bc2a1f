package diff

import (
	"fmt"
	"slices"
	"strings"

	"casemate/policy/calls"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/ask"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/seccomp/spoken"

	"golang.org/x/sys/unix"
)

// Call is a system call that the filter of the new profile answers better than the old one's, which both programs were asked
// about.
type Call struct {
	// Call is as C writes it, with the arguments that tell calls apart; Number and Args are what was asked: of pointers nothing
	// counts.
	Call   string    `json:"call"`
	Number int       `json:"number"`
	Args   [6]uint64 `json:"args"`
	Old    string    `json:"old"` // killed, the name of an error, or allowed
	New    string    `json:"new"`
}

// refused are calls that hardly any profile allows, to show what becomes of one that is not.
var refused = []string{"reboot", "swapon", "acct", "settimeofday", "sethostname", "quotactl", "ptrace"}

// filtered is what a service of a profile may call.
type filtered struct {
	own     []seccomp.Rule // of the profile, without those that no filter lets through
	all     []seccomp.Rule // with the launch's
	program *ask.Program
}

// filteredBy works it out, from the words of the profile.
func filteredBy(p *sandbox.Profile) (*filtered, error) {
	named, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", p.Name, err)
	}
	rules, err := seccomp.Numbered(named)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", p.Name, err)
	}
	n, f := &p.Network, &p.Files
	all, text, err := launch.Plain(program.Shape{Rules: filter.Encode(rules).Pack(), Deny: p.Syscalls.Deny, OnViolation: p.Syscalls.OnViolation, Seal: p.Syscalls.Seal,
		Bounded: p.Resources.Bounded(), Host: n.Mode == sandbox.NetworkHost, Private: n.Mode == sandbox.NetworkPrivate,
		Proc: f.Proc && !f.HostProc, Scratch: f.Scratch() > 0, Pty: f.Pty, State: f.State, CPU: p.Resources[sandbox.CPUTime] > 0,
		Init: p.Init, Caps: len(p.Capabilities) > 0, OwnCore: p.Processor.Core == "session", CloneFlags: launch.FirstShape.CloneFlags})
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", p.Name, err)
	}
	once := p.Resources.Bounded() && launch.Once(rules)
	out := &filtered{own: let(p, once, named), all: let(p, once, seccomp.Named(all))}
	out.program, err = ask.Load(text)
	return out, err
}

// let are the rules without those of calls that every filter of such a profile answers before it looks at them: clone3, a
// parent-death signal but KILL where no init has one, and, where it executes once, exec.
func let(p *sandbox.Profile, once bool, rules []seccomp.Rule) []seccomp.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r seccomp.Rule) bool {
		return r.Name == "clone3" || r.Name == "prctl" && !p.Init && r.Fixed(0, unix.PR_SET_PDEATHSIG) && !r.Fixed(1, uint32(unix.SIGKILL)) || once && (r.Name == "execve" || r.Name == "execveat")
	})
}

// callsOf compares what services of two profiles may call, and shows calls which the new filter lets through and the old one
// does not, or the other way round. What no call shows differs.
func callsOf(a, b *sandbox.Profile, filtered func(*sandbox.Profile) (*filtered, error)) (Dimension, error) {
	var d Dimension
	was, err := filtered(a)
	if err != nil {
		return d, err
	}
	is, err := filtered(b)
	if err != nil {
		return d, err
	}
	there, back := filters{was.program, is.program}, filters{is.program, was.program}
	if d.Calls, d.More, err = there.beyond(&d, is.own, was.own, was.all); err != nil {
		return d, err
	}
	if _, d.Less, err = back.beyond(&d, was.own, is.own, is.all); err != nil {
		return d, err
	}
	l := Layer{More: d.More, Less: d.Less}
	for _, g := range seccomp.Groups() {
		l.truth(g, whole(was.own, g), whole(is.own, g))
	}
	if x, y := a.Syscalls.OnViolation, b.Syscalls.OnViolation; x != y {
		l.rank("a call that is not allowed fails, and the program goes on (errno)", "a call that is not allowed kills", x == filter.Errno, y == filter.Errno)
		for _, name := range refused {
			nr, _ := seccomp.Number(name)
			if c, _, err := there.ask(nr, [6]uint64{}); err == nil && c.Old == "killed" && c.New == "EPERM" {
				d.Calls = append(d.Calls, c)
				break
			}
		}
	}
	l.truth("the launch calls stay in its filter (seal = false)", !a.Syscalls.Seal, !b.Syscalls.Seal)
	d.More, d.Less = l.More, l.Less
	slices.Sort(d.Differs)
	slices.Sort(d.Changed)
	return d, nil
}

// filters are the two programs.
type filters struct {
	was, is *ask.Program
}

// beyond gives the rules that allow what none of all does, with a call for each name of one. Of what the program may call
// only since the launch has it, the dimension has changed.
func (f *filters) beyond(d *Dimension, rules, without, all []seccomp.Rule) (proofs []Call, more []string, err error) {
	for _, r := range rules {
		line := r.String()
		left, decided := remainder(r, named(without, r.Name))
		if decided && !left {
			continue
		}
		if left, decided = remainder(r, named(all, r.Name)); decided && !left {
			d.Changed = append(d.Changed, line+", which the launch has in any filter")
			continue
		}
		c, ok, err := f.exceeds(r, named(all, r.Name))
		switch {
		case err != nil:
			return nil, nil, err
		case !ok:
			if !slices.Contains(d.Differs, line) {
				d.Differs = append(d.Differs, line)
			}
			continue
		}
		more = append(more, line)
		if !slices.ContainsFunc(proofs, func(o Call) bool { return o.Number == c.Number }) {
			proofs = append(proofs, c)
		}
	}
	return proofs, more, nil
}

// named are the rules of a call.
func named(rules []seccomp.Rule, name string) (out []seccomp.Rule) {
	for _, r := range rules {
		if r.Name == name {
			out = append(out, r)
		}
	}
	return out
}

// exceeds gives a call that the rule allows and none of the others does, if the programs answer so too.
func (f *filters) exceeds(r seccomp.Rule, others []seccomp.Rule) (c Call, ok bool, err error) {
	nr, known := seccomp.Number(r.Name)
	rest, decided := pieces(r, others)
	if !known || !decided {
		return c, false, nil
	}
	for i, piece := range rest {
		if i == 16 {
			break
		}
		var args [6]uint64
		for k := range piece {
			args[k] = uint64(piece[k].value)
		}
		if c, ok, err = f.ask(nr, args); ok || err != nil {
			return c, ok, err
		}
	}
	return c, false, nil
}

// ask asks both programs about a call. ok says that the old one refuses it and the new one does not.
func (f *filters) ask(nr int, args [6]uint64) (c Call, ok bool, err error) {
	was, err := f.was.Call(nr, args)
	if err != nil {
		return c, false, err
	}
	is, err := f.is.Call(nr, args)
	if err != nil {
		return c, false, err
	}
	c = Call{Call: spoken.Call{Nr: nr, Args: args}.String(), Number: nr, Args: args, Old: was.String(), New: is.String()}
	return c, is.Allows() && !was.Allows(), nil
}

// String says what was asked and answered.
func (c *Call) String() string {
	last := len(c.Args)
	for last > 0 && c.Args[last-1] == 0 {
		last--
	}
	var args []string
	for _, v := range c.Args[:last] {
		args = append(args, fmt.Sprintf("%#x", v))
	}
	text := c.Call
	if len(args) > 0 {
		text += " [" + strings.Join(args, " ") + "]"
	}
	return fmt.Sprintf("%s: %s, was %s", text, c.New, c.Old)
}
