package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/advise"
)

// Host is what `check --host` reads of the machine it runs on. 0 is not known.
type Host struct {
	Memory int64 // bytes, with swap
	Tasks  int64 // the lower of kernel.threads-max and kernel.pid_max
	// Controllers are those of cgroup v2; without memory and pids a service is
	// bounded only by what each of its processes may have.
	Controllers []string
	// Faults are what casemated would refuse, or could not open.
	Faults []Fault
}

// Fault is what is wrong on this host with the value at Path of the compiled policy,
// and one step that repairs it.
type Fault struct {
	Path, Summary, Next string
	// Unsure: it may also be well.
	Unsure bool
	// Library: casemated serves it, and the program does not find a library.
	Library bool
	// Unknown: nobody has asked the host.
	Unknown bool
}

// minSession is about what the kernel itself needs for one process that does
// nothing: stacks, page tables, descriptors. A cgroup's memory counts it.
const minSession = 256 << 10

// HostAdvice says where what a service may take in all is more than the host
// has. It is pure: the host's facts are an argument.
func HostAdvice(doc *policy.Document, h Host) (out []policy.Diagnostic) {
	p := doc.Policy
	add := func(severity, code, path, next, format string, args ...any) {
		d := policy.Diagnostic{Severity: severity, Code: code, Summary: fmt.Sprintf(format, args...), Detail: next}
		d.File, d.Line, d.Column = policy.Written(doc.Origins.Lookup(path))
		if d.Line == 0 { // a default: nobody wrote it
			d.File, d.Line, d.Column = policy.Written(doc.Origins.Lookup(path[:strings.LastIndexByte(path, '.')] + ".name"))
		}
		if !slices.Contains(out, d) { // several services may share a profile
			out = append(out, d)
		}
	}
	warn := func(path, next, format string, args ...any) {
		add(policy.SeverityWarning, codeHost, path, next, format, args...)
	}
	for _, f := range h.Faults {
		severity := policy.SeverityError
		if f.Unsure {
			severity = policy.SeverityWarning
		}
		code := codeProgram
		if f.Library {
			code = codeLibrary
		}
		if f.Unknown {
			code = codeUnknown
		}
		add(severity, code, f.Path, f.Next, "%s", f.Summary)
	}
	var large []tooLarge
	for i := range p.Services {
		s := &p.Services[i]
		f, at := p.Profile(s.Profile), "services."+s.Name
		if f == nil {
			continue
		}
		tasks, pids := p.Tasks(s), slices.Contains(h.Controllers, "pids")
		if f.Init && tasks > 0 {
			tasks += p.Sessions(s) // no user's, but the host's
		}
		if held := f.Resources[sandbox.Memory] > 0 && slices.Contains(h.Controllers, "memory"); held {
			if f.Resources[sandbox.Memory] > h.Memory && h.Memory > 0 {
				warn(at+".profile", `lower memory`, "service %q may take %s, this host has %s", s.Name, explain.FormatSize(f.Resources[sandbox.Memory]), explain.FormatSize(h.Memory))
			}
		} else if n := allMemory(p, s); n == 0 {
			warn(at+".profile", "give the limit concurrent, and the profile tasks and data", "nothing bounds the memory of service %q here", s.Name)
		} else if n > h.Memory && h.Memory > 0 {
			large = append(large, tooLarge{at + ".profile", s.Name, n})
		}
		switch {
		case !pids && (tasks == 0 || explain.Uncounted(s)):
			warn(at+".profile", "choose another user, or give the host cgroup v2 with pids", "nothing bounds the processes of service %q here", s.Name)
		case tasks > h.Tasks && h.Tasks > 0:
			warn(at+".limit", "lower concurrent or tasks", "service %q may have %d tasks in all, this host has %d", s.Name, tasks, h.Tasks)
		}
	}
	if len(large) > 0 {
		first := large[0]
		warn(first.path, "lower concurrent, tasks or data, or give the host cgroup v2 with memory",
			"%s, this host has %s: sessions, their tasks and data and their /tmp multiplied, for no cgroup holds them together",
			theLarge(large), explain.FormatSize(h.Memory))
	}
	return out
}

// tooLarge is a service that may take more memory than the host has, by what bounds each of its sessions.
type tooLarge struct {
	path, service string
	bytes         int64
}

// theLarge names the services and says what they may take; a whole inetd.conf of them is one finding.
func theLarge(large []tooLarge) string {
	first := large[0]
	size := explain.FormatSize(first.bytes)
	if len(large) == 1 {
		return fmt.Sprintf("service %q may take %s in all", first.service, size)
	}
	var names []string
	for _, l := range large {
		names = append(names, strconv.Quote(l.service))
	}
	of := fmt.Sprintf("each of the services %s and %s may take ", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	if slices.ContainsFunc(large, func(l tooLarge) bool { return l.bytes != first.bytes }) {
		return of + fmt.Sprintf("too much (%q %s)", first.service, size)
	}
	return of + size
}

// makesProcesses reports whether the profile allows more than threads.
func makesProcesses(f *sandbox.Profile) bool {
	calls, err := advise.Expand(f.Syscalls.Allow, f.Syscalls.Deny)
	return err != nil || slices.Contains(calls, "fork") || slices.Contains(calls, "vfork")
}

// allMemory is what a service may take where no cgroup holds it as a whole: the
// sessions, each with its tasks' data, its /tmp and its /dev/shm. 0 is no bound.
func allMemory(p *policy.Policy, s *policy.Service) int64 {
	f := p.Profile(s.Profile)
	r, sessions := &f.Resources, p.Sessions(s)
	each := r[sandbox.Data]
	if each == 0 {
		each = r[sandbox.AddressSpace]
	}
	if makesProcesses(f) { // threads share what their process may have
		each *= r[sandbox.Tasks]
	}
	if each == 0 || sessions == 0 {
		return 0
	}
	if each > maxAmount/sessions-f.Files.Scratch() {
		return maxAmount
	}
	return sessions * (each + f.Files.Scratch())
}

// maxAmount is more than any host has; products stop there.
const maxAmount = 1 << 60

// together warns of limits that cannot be what the author meant on any host:
// sessions that no memory is left for, and a count of tasks that several
// services have together because they run as one user.
func (c *compiler) together(p *policy.Policy) {
	users := map[policy.Account][]string{}
	for i := range p.Services {
		s := &p.Services[i]
		f := p.Profile(s.Profile)
		if f == nil {
			continue
		}
		if n := p.Sessions(s); n > 0 && f.Resources[sandbox.Memory] > 0 && f.Resources[sandbox.Memory]/n < minSession {
			c.warn(codeTogether, c.near("services."+s.Name+".limit"), "raise memory, or lower concurrent",
				"memory of profile %q leaves %s for each of %d sessions", f.Name, explain.FormatSize(f.Resources[sandbox.Memory]/n), n)
		}
		if s.User != policy.Dynamic && !explain.Uncounted(s) && f.Resources[sandbox.Tasks] > 0 {
			users[s.User] = append(users[s.User], s.Name)
		}
	}
	for i := range p.Services {
		s := &p.Services[i]
		if names := users[s.User]; len(names) > 1 && names[1] == s.Name {
			c.warn(codeTogether, c.near("services."+s.Name+".user"), `give each a user of its own, or user = "dynamic"`,
				"tasks are counted together for all services of user %q: %s", s.User, strings.Join(names, ", "))
		}
	}
}
