package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/resource"
)

// Layers tells in printable lines what a profile puts around a program. It is
// the policy's view; what a host can enforce, the broker's status tells.
func Layers(f *sandbox.Profile, service string) []string {
	ns := "pid, mnt, net, ipc, uts, cgroup"
	if f.Network.Mode == sandbox.NetworkPrivate {
		ns = "pid, mnt, net (of each connection its own), ipc, uts, cgroup"
	}
	if f.Network.Mode == sandbox.NetworkHost {
		ns = "pid, mnt, ipc, uts, cgroup"
	}
	if f.UserNamespace {
		ns += ", user"
	}
	out := []string{"namespaces: " + ns, "network: " + networkLine(&f.Network), "files: " + filesLine(&f.Files, service)}
	caps := "none"
	if len(f.Capabilities) > 0 {
		caps = strings.Join(f.Capabilities, ", ")
	}
	out = append(out, "capabilities: "+caps+"; no_new_privs", "syscalls: "+syscallsLine(&f.Syscalls))
	if r := resourcesLine(&f.Resources); r != "" {
		out = append(out, "resources: "+r)
	}
	if calls.ExecsOnce(f) {
		out = append(out, "exec: the program, once; afterwards neither it nor another")
	} else {
		out = append(out, "exec: what files shows under exec, as often as its system calls let it; once needs no execve, no ptrace, no @jit and an address_space of at most 1GiB")
	}
	out = append(out, "memory: "+memoryLine(&f.Syscalls), "signals: "+signalsLine(f))
	if line := processorLine(&f.Processor); line != "" {
		out = append(out, "processor: "+line)
	}
	if len(f.BestEffort) > 0 {
		out = append(out, "best effort: "+strings.Join(f.BestEffort, ", "))
	}
	return out
}

// Around tells in printable lines what a service's profile puts around it, and what holds its tasks. Its profile is
// one of the policy.
func Around(p *policy.Policy, s *policy.Service) []string {
	f := p.Profile(s.Profile)
	return append(Layers(f, s.Name), tasksLine(p, s, f))
}

// memoryLine tells whether code that somebody injects can run.
func memoryLine(s *sandbox.Syscalls) string {
	switch memory, by := calls.Written(s); {
	case memory:
		return "may be written and then executed, as a compiler at run time needs (syscalls { deny_write_execute = true } takes that)"
	case len(by) > 0:
		return "is written or executed, never both, but by " + strings.Join(by, ", ") + " (syscalls { deny_write_execute = true } takes that)"
	case s.NoWritten:
		return "is written or executed, never both, whatever else its system calls are"
	}
	return "is written or executed, never both"
}

// processorLine tells what a service keeps to itself of the processors; "" is nothing.
func processorLine(p *sandbox.Processor) string {
	var parts []string
	if p.StoreBypass != "" {
		parts = append(parts, "no speculative store bypass")
	}
	if p.IndirectBranch != "" {
		parts = append(parts, "no speculation on indirect branches that others trained")
	}
	switch p.Core {
	case "service":
		parts = append(parts, "a core at a time is its own sessions'")
	case "session":
		parts = append(parts, "a core at a time is one session's")
	}
	return strings.Join(parts, "; ")
}

// signalsLine tells what a signal does that the program does not handle.
func signalsLine(f *sandbox.Profile) string {
	if f.Init {
		return "as usual: the program is process 2 behind an init, which reaps its orphans"
	}
	return "only those it handles, and KILL: the program is process 1 (init = true makes it 2), so SIGPIPE, SIGALRM and SIGTERM do nothing else (hangup, idle, limits and casemate kill end it all the same); orphans stay until it ends"
}

func networkLine(n *sandbox.Network) string {
	switch n.Mode {
	case sandbox.NetworkNone:
		return "none but the socket it is handed and the peers that come to it"
	case sandbox.NetworkPrivate:
		return "a loopback of each connection's own (127.0.0.1 and ::1), which reaches its own processes and nobody else's"
	case sandbox.NetworkListener:
		return "none but the socket it is handed, which sends to any address"
	}
	ports := func(list []uint16) string {
		switch {
		case len(list) == 0:
			return "no port"
		case list[0] == 0:
			return "any port"
		}
		return strings.Join(Ports(list), ", ")
	}
	return fmt.Sprintf("the host's; tcp connect to %s, bind to %s", ports(n.Connect), ports(n.Bind))
}

func filesLine(f *sandbox.Files, service string) string {
	parts := []string{}
	for i, l := range []struct {
		word  string
		paths []string
	}{{"read", f.Read}, {"exec", f.Exec}, {"write", f.Write}, {"the host's devices, as their modes let its user,", f.Devices}, {"dev", f.Dev}} {
		list := l.word
		for _, p := range l.paths {
			list += " " + p
			if at := f.Map.Source(p); at != p && i < 3 { // devices are the host's by their own names
				list += " (the host's " + at + ")"
			}
			if slices.Contains(f.Optional, p) {
				list += " (if it is there)"
			}
		}
		if len(l.paths) > 0 {
			parts = append(parts, list)
		}
	}
	if f.Tmp > 0 {
		parts = append(parts, "private /tmp "+FormatSize(f.Tmp))
	}
	if f.Shm > 0 {
		parts = append(parts, "private /dev/shm "+FormatSize(f.Shm))
	}
	if f.State {
		parts = append(parts, "own "+sandbox.StateInside+" that stays and that its sessions share (the host's "+sandbox.StateDir+"/"+service+")")
	}
	if f.Log {
		parts = append(parts, "own /dev/log, for services of tcp and unix streams; with it connect, sendmsg and unix datagram sockets, which reach the sockets under the paths above")
	}
	switch {
	case f.HostProc:
		parts = append(parts, "the host's /proc, read-only: names and command lines of all processes, sockets and counters of the host")
	case f.Proc:
		parts = append(parts, "own /proc")
	}
	if f.Pty {
		parts = append(parts, "own /dev/pts")
	}
	if len(parts) == 0 {
		return "the program alone"
	}
	return strings.Join(parts, "; ")
}

func syscallsLine(s *sandbox.Syscalls) string {
	line := strings.Join(s.Allow, " ")
	if len(s.Deny) > 0 {
		line += " without " + strings.Join(s.Deny, " ")
	}
	names := []string{}
	for _, r := range s.ByArgument {
		if !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	if len(names) > 0 {
		line += "; by argument " + strings.Join(names, " ")
	}
	line += "; else " + string(s.OnViolation)
	if s.Seal {
		line += "; sealed"
	}
	return line
}

func resourcesLine(r *sandbox.Resources) string {
	parts := []string{}
	for i, row := range sandbox.ResourceRows {
		if r[i] == 0 {
			continue
		}
		parts = append(parts, strings.ReplaceAll(row.Name, "_", " ")+" "+Amount(resource.Rows[i].Unit, r[i]))
	}
	return strings.Join(parts, ", ")
}

// Amount writes what a limit of a unit comes to.
func Amount(unit resource.Unit, n int64) string {
	switch unit {
	case resource.Bytes:
		return FormatSize(n)
	case resource.Seconds:
		return fmt.Sprintf("%ds", n)
	case resource.Share:
		return fmt.Sprintf("%d%%", n/10)
	}
	return strconv.FormatInt(n, 10)
}

// Ports writes sorted ports as the policy language has them: numbers and ranges, and 0 as any.
func Ports(ports []uint16) (out []string) {
	for i := 0; i < len(ports); {
		last := i
		for last+1 < len(ports) && ports[last+1] == ports[last]+1 {
			last++
		}
		switch {
		case ports[i] == 0:
			out = append(out, "any")
		case last == i:
			out = append(out, strconv.Itoa(int(ports[i])))
		default:
			out = append(out, fmt.Sprintf("%d-%d", ports[i], ports[last]))
		}
		i = last + 1
	}
	return out
}

// LimitLines tells in printable lines what a limit block allows.
func LimitLines(l *limit.Spec) []string {
	var out []string
	counts := func(who string, concurrent int, r limit.Rate, burst int) {
		var parts []string
		if concurrent > 0 {
			parts = append(parts, fmt.Sprintf("%d at a time", concurrent))
		}
		if r.Events > 0 {
			parts = append(parts, fmt.Sprintf("%s, %d at once", FormatRate(r), burst))
		}
		if len(parts) > 0 {
			out = append(out, who+": "+strings.Join(parts, "; "))
		}
	}
	counts("all clients", l.Concurrent, l.Rate, l.Burst)
	if e := l.EarlyDrop; e.Start > 0 {
		out = append(out, fmt.Sprintf("early drop: from %d at a time on newcomers are refused at random, %d %% of them, rising to all at %d", e.Start, e.Percent, l.Concurrent))
	}
	s := l.PerSource
	counts("each "+networks(s.Prefix4, s.Prefix6), s.Concurrent, s.Rate, s.Burst)
	for _, w := range s.Wider {
		out = append(out, fmt.Sprintf("each %s: %d times as much", networks(w.Prefix4, w.Prefix6), w.Times))
	}
	if l.Queue > 0 {
		each := fmt.Sprint(s.Concurrent)
		if s.Concurrent == 0 {
			each = fmt.Sprint(max(1, l.QueueLength/4))
		}
		out = append(out, fmt.Sprintf("queue: who finds %d taken waits at most %s for a place; %d do, %s of one source", l.Concurrent, FormatDuration(l.Queue), l.QueueLength, each))
	}
	if l.MaxLoad > 0 {
		out = append(out, fmt.Sprintf("load: nobody while the host's average of a minute is %.2f or more", float64(l.MaxLoad)/100))
	}
	if each, total := responses.Rates(l); l.Responses != (limit.Rate{}) || l.ResponsesTotal != (limit.Rate{}) {
		of := responses.Of(l).PerSource
		out = append(out, fmt.Sprintf("udp answers: each /%d or IPv6 /%d %s, %d at once; all clients %s", of.Prefix4, of.Prefix6, FormatRate(each), of.Burst, FormatRate(total)))
	}
	if l.Session > 0 {
		out = append(out, "session: at most "+FormatDuration(l.Session))
	}
	if l.FirstByte > 0 {
		out = append(out, "first byte: a tcp client that has sent nothing after "+FormatDuration(l.FirstByte)+" is ended")
	}
	if l.MinRate > 0 {
		out = append(out, "pace: a tcp client that its program waits for sends or takes "+FormatPace(l.MinRate)+" over half a minute, or is ended")
	}
	if n := &l.Penalty; len(n.On) > 0 {
		out = append(out, fmt.Sprintf("penalty for %s: %s each time, %s at most",
			strings.Trim(strings.ReplaceAll(fmt.Sprint(n.On), " ", ", "), "[]"), FormatDuration(n.First), FormatDuration(n.Max)))
		for _, class := range n.On {
			if own := n.Own(class); own != nil && *own != 0 && *own != n.First {
				out[len(out)-1] += fmt.Sprintf("; %s of a %s", FormatDuration(*own), class)
			}
		}
	}
	if n := len(l.Exempt); n > 0 {
		names := Prefixes(l.Exempt[:min(n, mostExempt)])
		if n > mostExempt {
			names = append(names, fmt.Sprintf("%d more", n-mostExempt))
		}
		out = append(out, "exempt from what is counted of each source: "+strings.Join(names, ", "))
	}
	return out
}

// Prefixes writes prefixes as the policy language has them, an address alone without its length.
func Prefixes(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		if out[i] = p.String(); p.IsSingleIP() {
			out[i] = p.Addr().String()
		}
	}
	return out
}

// mostExempt is how many prefixes LimitLines names.
const mostExempt = 8

// networks names the networks of two prefix lengths, of which one may be 0: none of that family.
func networks(four, six int) string {
	switch {
	case six == 0:
		return fmt.Sprintf("/%d", four)
	case four == 0:
		return fmt.Sprintf("IPv6 /%d", six)
	}
	return fmt.Sprintf("/%d or IPv6 /%d", four, six)
}

// FormatRate writes a rate as the policy language reads it, where that can write it.
func FormatRate(r limit.Rate) string {
	for _, u := range []struct {
		name string
		per  time.Duration
	}{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}} {
		if r.Per == u.per {
			return fmt.Sprintf("%d/%s", r.Events, u.name)
		}
	}
	return fmt.Sprintf("%d in %v", r.Events, r.Per)
}

// FormatDuration writes a duration with the largest unit that divides it, as
// the policy language reads it.
func FormatDuration(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// FormatSize writes a size in bytes for people: exactly in the largest unit that
// divides it, or, where that takes five digits, nearly in the largest that fits.
func FormatSize(n int64) string {
	unit := func(i int) string { return []string{"B", "KiB", "MiB", "GiB", "TiB"}[i] }
	exact, whole := n, 0
	for exact%1024 == 0 && exact > 0 && whole < 4 {
		exact, whole = exact/1024, whole+1
	}
	if exact < 10000 {
		return fmt.Sprintf("%d%s", exact, unit(whole))
	}
	near, i := float64(n), 0
	for near >= 1024 && i < 4 {
		near, i = near/1024, i+1
	}
	return fmt.Sprintf("%.1f%s", near, unit(i))
}

// ExactSize writes a size in bytes as the policy language reads it, in the largest unit that divides it.
func ExactSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for len(units) > 1 && n > 0 && n%1024 == 0 {
		n, units = n/1024, units[1:]
	}
	return fmt.Sprint(n, units[0])
}

// FormatPace writes bytes in a second as the policy language reads them.
func FormatPace(n int) string { return ExactSize(int64(n)) + "/s" }

// tasksLine tells what holds the tasks of a service, and together with whom.
func tasksLine(p *policy.Policy, s *policy.Service, f *sandbox.Profile) string {
	switch {
	case f.Resources[sandbox.Tasks] == 0:
		return "tasks: no bound"
	case Uncounted(s):
		return "tasks: no bound of the user's, for root is exempt; the cgroup's where the host has one"
	case s.User == policy.Dynamic:
		return fmt.Sprintf("tasks: %d for each connection, which has a uid of its own", f.Resources[sandbox.Tasks])
	}
	var names []string
	for i := range p.Services {
		if p.Services[i].User == s.User {
			names = append(names, p.Services[i].Name)
		}
	}
	n := policy.UserTasks(p, func(o *policy.Service) (policy.Account, bool) { return o.User, o.User == s.User })[s.User]
	if n == 0 {
		return fmt.Sprintf("tasks: no bound: user %q has services without concurrent or tasks (%s)", s.User, strings.Join(names, ", "))
	}
	return fmt.Sprintf("tasks: %d for all of user %q on this host together, of which %d are spare (services: %s)",
		n+sandbox.TaskSlack, s.User, sandbox.TaskSlack, strings.Join(names, ", "))
}

// Uncounted reports whether the kernel holds no number of tasks against the
// service: root is exempt. So are two capabilities, which no profile may keep.
func Uncounted(s *policy.Service) bool { return valid.Root(s.User) }
