package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"casemate/cmd/casemate/dynlink"
	"casemate/cmd/casemate/facts"
	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/runtimes"
	"casemate/policy/source"
	"casemate/sandbox"
	"casemate/sandbox/foresee"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/seccomp/launch"

	"golang.org/x/sys/unix"
)

// faultsOf is what casemated would refuse of a policy on this host: users and groups,
// programs and paths, by the code that it prepares them with itself, and addresses.
func faultsOf(p *policy.Policy, h *facts.Facts) []lang.Fault {
	hostpath.Self = 0
	f := faults{policy: p, facts: h, writable: h.Writable(p)}
	for i := range p.Services {
		s := &p.Services[i]
		f.identities(s)
		f.sandbox(s)
		f.state(s)
		f.addresses(s)
	}
	for _, s := range p.Programs()[len(p.Services):] {
		f.sandbox(s)
	}
	for _, s := range p.Programs() {
		f.script(s)
	}
	f.doubts()
	return f.found
}

type faults struct {
	policy   *policy.Policy
	facts    *facts.Facts
	writable []hostpath.ID
	found    []lang.Fault
	unknown  []string // what the facts do not tell
}

// doubts says once what is not known.
func (f *faults) doubts() {
	const most = 4
	n := len(f.unknown)
	if n == 0 {
		return
	}
	i := slices.IndexFunc(f.unknown, func(s string) bool { return strings.HasPrefix(s, "program ") })
	if i > 0 { // what a reader looks for first
		f.unknown[0], f.unknown[i] = f.unknown[i], f.unknown[0]
	}
	named := strings.Join(f.unknown[:min(n, most)], ", ")
	if n > most {
		named += fmt.Sprintf(" and %d more", n-most)
	}
	f.found = append(f.found, lang.Fault{Path: "edition", Unsure: true, Unknown: true, Summary: "the facts of the host do not tell about what the policy names: " + named,
		Next: "gather them on the host with this policy: casemate facts POLICY >FILE"})
}

// add notes what is wrong with the value at path. What this user may not look at is
// not known.
func (f *faults) add(path, service string, err error) {
	if err == nil {
		return
	}
	if u, ok := errors.AsType[*facts.Unknown](err); ok {
		if !slices.Contains(f.unknown, u.Question) {
			f.unknown = append(f.unknown, u.Question)
		}
		return
	}
	what, next := steps(err)
	one := lang.Fault{Path: path, Summary: fmt.Sprintf("casemated refuses service %q on this host: %s", service, what), Next: next}
	if errors.Is(err, fs.ErrPermission) && !f.facts.Root {
		one = lang.Fault{Path: path, Summary: fmt.Sprintf("service %q: this user may not look: %v", service, err), Next: "run casemate check --host as root", Unsure: true}
	}
	f.found = append(f.found, one)
}

// identities looks up users and groups.
func (f *faults) identities(s *policy.Service) {
	at := "services." + s.Name
	user := func(path, name string) {
		if _, _, err := f.facts.User(name); err != nil && name != "" && name != string(policy.Dynamic) {
			f.add(at+path, s.Name, err)
		}
	}
	group := func(path, name string) {
		if _, err := f.facts.Group(name); err != nil && name != "" {
			f.add(at+path, s.Name, err)
		}
	}
	user(".user", string(s.User))
	user(".socket.owner", s.Socket.Owner)
	group(".group", string(s.Group))
	group(".socket.group", s.Socket.Group)
	for i, g := range s.Groups {
		group(fmt.Sprintf(".groups.%d", i), g)
	}
}

// sandbox looks at the program and at the paths of the profile. What is wrong with a
// plan as such, onKernel tells.
func (f *faults) sandbox(s *policy.Service) {
	program, profile := "", f.policy.Profile(s.Profile)
	if len(s.Command) > 0 {
		program = s.Command[0]
	} else if program = f.facts.Worker; program == "" {
		return
	}
	c := hostCommand(f.policy, s, program, f.facts)
	plan, err := sandbox.NewPlan(present(f.facts, *profile), c)
	if err == nil {
		plan.Filter, err = launch.Facts(plan.Shape(f.facts.LandlockABI))
	}
	if err != nil {
		return
	}
	for _, err := range foresee.Look(f.facts, plan, f.writable) {
		path, own := "services."+s.Name+".profile", errors.As(err, new(*sandbox.ProgramError))
		if in := policy.EntryAt(profile, err); in != "" {
			path = "profiles." + s.Profile + "." + in
		} else if own {
			path = f.policy.CommandAt(s) + ".0"
		}
		if !own && s != f.policy.Service(s.Name) {
			continue // as its service, whose profile it has
		}
		if !own || !s.Ours() { // casemated may have its worker elsewhere
			f.add(path, s.Name, err)
		}
	}
}

// state tells of a file system whose mounts cannot map ids for each session.
func (f *faults) state(s *policy.Service) {
	if p := f.policy.Profile(s.Profile); f.facts.StateFS != "" && p.Files.State {
		f.found = append(f.found, lang.Fault{Path: "profiles." + s.Profile + ".files.state", Unsure: true,
			Summary: fmt.Sprintf("casemated may refuse service %q on this host: %s is on %s, whose mounts map no ids", s.Name, sandbox.StateDir, f.facts.StateFS),
			Next:    "mount a file system there that does, as ext4, xfs, btrfs or tmpfs"})
	}
}

// script looks at the file that a service's interpreter is to run.
func (f *faults) script(s *policy.Service) {
	r := runtimes.Of(s.Command)
	if r == nil {
		return
	}
	name := r.ScriptIn(s.Command[1:])
	if is, shown := dynlink.Shows(f.facts, &f.policy.Profile(s.Profile).Files, s.Command[0], name); name != "" && is && !shown {
		f.found = append(f.found, lang.Fault{Path: fmt.Sprintf("%s.%d", f.policy.CommandAt(s), slices.Index(s.Command, name)), Unsure: true,
			Summary: fmt.Sprintf("%s of service %q is to run %s, which profile %q does not show", s.Command[0], s.Name, name, s.Profile),
			Next:    fmt.Sprintf("add it to the profile, as files { read = [%q] }", name)})
	}
}

// present is sandbox.Profile.Present of the host that the facts are of. What they do not tell is taken to be there.
func present(h *facts.Facts, p sandbox.Profile) sandbox.Profile {
	for _, list := range []*[]string{&p.Files.Read, &p.Files.Exec, &p.Files.Write, &p.Files.Devices} {
		*list = slices.DeleteFunc(slices.Clone(*list), func(name string) bool {
			if !slices.Contains(p.Files.Optional, name) {
				return false
			}
			_, err := h.Find(p.Files.Map, name)
			return errors.Is(err, unix.ENOENT)
		})
	}
	return p
}

// workerPath is the worker beside this program, or "".
func workerPath() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	worker := filepath.Join(filepath.Dir(self), "casemate-worker")
	if _, err := os.Stat(worker); err != nil {
		return ""
	}
	return worker
}

// step is how the last part of an error begins that says what to do.
var step = regexp.MustCompile(`^(add|end|give|link|make|move|name|run|take|use|write) `)

// steps takes an error apart: what is wrong, and the step that repairs it.
func steps(err error) (what, next string) {
	what = err.Error()
	var unsafe *hostpath.UnsafeError
	if errors.As(err, &unsafe) {
		return strings.TrimSuffix(what, ": "+unsafe.Next), unsafe.Next
	}
	if i := strings.LastIndex(what, ": "); i >= 0 && step.MatchString(what[i+2:]) {
		return what[:i], what[i+2:]
	}
	if errors.Is(err, fs.ErrNotExist) {
		next = "name one that this host has"
	}
	return what, next
}

// ownFault is why casemated would not read the policy at the paths, which are on disk: who runs what it
// reads asks for files of root's.
func ownFault(paths []string) []policy.Diagnostic {
	hostpath.Self = 0
	var ds []policy.Diagnostic
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			continue
		}
		if _, err := input.ReadOwn(abs); err != nil {
			ds = append(ds, sourceDiagnostic(path, source.Of(path, err)))
		}
	}
	return ds
}
