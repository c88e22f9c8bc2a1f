package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/sandbox"
	"casemate/sandbox/machine"
)

// The bounds of a policy that root depends on.
const (
	MaxSockets  = 16384   // listening sockets of the whole policy
	MaxPrograms = 1024    // of rules, in all services
	MaxQueue    = 1024    // connections that wait for a place of one service
	LargestTmp  = 1 << 40 // bytes of a private /tmp, and of a private /dev/shm
	MaxBanner   = 4 << 10 // bytes: two of them fit into the send buffer of any connection that valid.Check lets have them
)

// Builtins are the protocols that casemate-worker serves itself.
var Builtins = []string{"auth", "chargen", "daytime", "discard", "echo", "qotd", Tcpmux, "time"}

const Tcpmux = "tcpmux" // hands its clients over to the services that have a Mux

// ProxyProtocols are the versions of the header that a redirect may begin with.
var ProxyProtocols = []string{"v1", "v2"}

// Sound checks what casemated itself depends on, whoever wrote the policy: every
// reference leads somewhere, the work is bounded, no number means "no limit" by being
// out of range, and nothing is asked for that nobody would enforce. What a layer has to
// refuse in any case (a path, a user, a pattern, a word of its own) is left to it, and
// everything that makes a policy good text to package valid.
func (p *Policy) Sound() error {
	switch {
	case p.Edition != 1 || !slices.Contains(StopModes, p.OnStop) || !slices.Contains(BrokenModes, p.OnBroken):
		return errors.New("edition, on_stop or on_broken is not known to this version")
	case p.Machine != machine.Compiled:
		return errors.New("it was compiled on another architecture, whose system calls have other numbers than those of " + machine.Name + ": compile it here")
	case !inOrder(p.ACLs, aclName) || !inOrder(p.Limits, limitName) || !inOrder(p.Profiles, profileName) ||
		!inOrder(p.Services, serviceName) || !inOrder(p.Disabled, serviceName):
		return errors.New("blocks need names, and are sorted by them, each there once")
	}
	for i := range p.Limits {
		if l := &p.Limits[i]; !limited(l) {
			return fmt.Errorf("limits.%s: a number is out of range", l.Name)
		}
	}
	for i := range p.Profiles {
		f := &p.Profiles[i]
		if err := confines(f); err != nil {
			return fmt.Errorf("profiles.%s: %w", f.Name, err)
		}
		if _, ok := p.Filters[f.Syscalls.Filter]; !ok {
			return fmt.Errorf("profiles.%s: there is no filter %q", f.Name, f.Syscalls.Filter)
		}
	}
	open, programs := make(map[string]bool), 0
	for i := range p.Services {
		s := &p.Services[i]
		n := len(p.commands(s))
		if programs += n; n > 0 && (s.Wait || s.Ours()) || programs > MaxPrograms {
			return fmt.Errorf("services.%s: nobody would start the commands of the rules of acl %q, or there are more than %d", s.Name, s.ACL, MaxPrograms)
		}
		if err := errors.Join(p.enforceable(s), s.opens(open)); err != nil {
			return fmt.Errorf("services.%s: %w", s.Name, err)
		}
	}
	return nil
}

// inOrder tells whether all of a list have names, by which they are sorted, none there
// twice: they are looked up by them, and the names are part of paths and records.
func inOrder[T any](list []T, name func(*T) string) bool {
	for i := range list {
		if n := name(&list[i]); !ValidName(n) || i > 0 && name(&list[i-1]) >= n {
			return false
		}
	}
	return true
}

// ValidName tells whether s may name a block: 1 to 63 lower-case letters, digits,
// _ and -, with a letter first.
func ValidName(s string) bool {
	const more = "0123456789_-"
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz"+more) == "" && !strings.ContainsAny(s[:1], more)
}

// limited tells whether l limits what it seems to; package limit takes every other
// number that is out of range for the nearest one in it.
func limited(l *limit.Spec) bool {
	rate := func(r limit.Rate) bool { return r == limit.Rate{} || r.Events > 0 && r.Per >= time.Second }
	queue := l.Queue == 0 && l.QueueLength == 0 || l.Queue > 0 && l.Concurrent > 0 && l.QueueLength > 0 && l.QueueLength <= MaxQueue
	return queue && l.MaxLoad >= 0 && l.Session >= 0 && rate(l.Rate) && rate(l.PerSource.Rate) && (len(l.Penalty.On) == 0 || l.Penalty.First > 0)
}

// confines checks the words and numbers of a profile that no layer refuses.
func confines(f *sandbox.Profile) error {
	if !slices.Contains(sandbox.NetworkModes, f.Network.Mode) {
		return fmt.Errorf("network mode %q is not known", f.Network.Mode)
	}
	for _, name := range f.Capabilities {
		if !slices.Contains(sandbox.Capabilities, name) {
			return fmt.Errorf("no service may keep the capability %q", name)
		}
	}
	for i, row := range sandbox.ResourceRows {
		if n := f.Resources[i]; n != 0 && (n < row.Min || n > row.Max) {
			return fmt.Errorf("%s: %d is out of range", row.Name, n)
		}
	}
	if min(f.Files.Tmp, f.Files.Shm) < 0 || max(f.Files.Tmp, f.Files.Shm) > LargestTmp {
		return errors.New("the size of tmp or shm is out of range")
	}
	return nil
}

// enforceable checks that s is one program with what it refers to, and that nobody
// would overlook a rule of it: who hands the listening socket over sees no client.
func (p *Policy) enforceable(s *Service) error {
	list, l, f := p.ACL(s.ACL), p.Limit(s.Limit), p.Profile(s.Profile)
	datagrams := slices.ContainsFunc(s.Listen, address.Listen.Datagram)
	switch {
	case list == nil && s.ACL != "" || l == nil || f == nil:
		return errors.New("the acl, limit or profile that it names is not there")
	case s.Linger < time.Second || s.Idle < 0 || s.Socket.Keepalive < 0:
		return errors.New("a time is out of range")
	case len(s.Mux) > 0 && s.Wait:
		return errors.New("who takes its clients itself is handed none by tcpmux")
	case s.Wait && s.Socket.Priority != 0 && slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Datagram() }):
		return errors.New("nobody would give its connections the priority")
	case s.Nice < -20 || s.Nice > 19 || s.OOMScore < 0 || s.OOMScore > 1000:
		return errors.New("nice or oom_score is out of range")
	case (s.Hangup || s.Idle != 0) && (s.Wait || datagrams || !s.KeepSocket):
		return errors.New("nobody would see its client go")
	case max(len(s.Banner), len(s.BannerAccept), len(s.BannerSuccess)) > MaxBanner || s.Wait && s.Banner+s.BannerAccept+s.BannerSuccess != "":
		return errors.New("a banner would not be sent")
	case s.Refuse != "" && (!slices.Contains(Refusals, s.Refuse) || (s.Refuse == RefuseBanner) != (s.Banner != "") || s.Shielded() && s.Wait && s.Builtin == ""):
		return errors.New("its clients would not be refused so")
	case s.Stdout != "" && (s.Stdout != StdoutLog || s.Stdio == sandbox.StdioAll || s.Ours()):
		return errors.New("its stdout would not be in the log")
	case len(s.FDNames) > 0 && (!s.Together() || len(s.FDNames) != len(s.Listen)):
		return errors.New("fd_names are not one for each of listen")
	case (l.Queue != 0 || l.MaxLoad != 0) && s.Wait:
		return errors.New("nobody would hold its clients in a queue, or look at the load")
	case s.Redirects() || s.ProxyProtocol != "":
		proxy := s.ProxyProtocol == "" || slices.Contains(ProxyProtocols, s.ProxyProtocol)
		if !s.Redirect.Target() || !proxy || s.Builtin != "" || len(s.Command) > 0 || s.Wait || s.Stdio != sandbox.StdioFDs || !s.Streams() {
			return fmt.Errorf("redirect to %s is none of streams, does not stand alone, or has another header", s.Redirect)
		}
	case s.Builtin != "":
		if !slices.Contains(Builtins, s.Builtin) || len(s.Command) > 0 || !s.Wait || s.Stdio != sandbox.StdioFDs {
			return fmt.Errorf("builtin %q does not stand alone, or is not known", s.Builtin)
		}
	case s.Stdio == sandbox.StdioRelay && (s.Wait || !s.Streams()):
		return errors.New("no relay takes connections for it, or carries what is no stream of bytes")
	case f.Network.Mode == sandbox.NetworkPrivate && !s.Apart():
		return errors.New("its profile has a network of its own, and it is handed a socket of the host's")
	case len(s.Command) == 0:
		return errors.New("it has neither command, builtin nor redirect")
	case s.Wait && (!list.AllowsAll() || l.PerSource.Concurrent != 0 || l.PerSource.Rate.Events != 0 || len(l.Penalty.On) > 0):
		return errors.New("acl, per_source and penalty are not enforceable with wait = true")
	case s.Wait && datagrams && f.Network.Mode == sandbox.NetworkNone:
		return errors.New("with wait = true it sends datagrams to any address, and its profile has no network")
	}
	return nil
}

// opens counts the sockets of s among those of the policy, each of which is opened once.
func (s *Service) opens(open map[string]bool) error {
	before := len(open)
	for _, l := range s.Listen {
		if !l.Valid() || l.Network == "unixgram" && !s.Wait {
			return fmt.Errorf("%s has no connections to hand out", l)
		}
		for _, e := range s.Endpoints(l) {
			key := e.Key()
			if e.Unix() {
				key = e.Path
			}
			if open[key] || len(open) == MaxSockets {
				return fmt.Errorf("%s is taken already, or one of more than %d sockets", e.Key(), MaxSockets)
			}
			open[key] = true
		}
	}
	if n := len(open) - before; n == 0 && len(s.Mux) == 0 || s.Together() && n > sandbox.MaxSockets {
		return fmt.Errorf("%d sockets, want 1 or a name of tcpmux, and at most %d for one program", n, sandbox.MaxSockets)
	}
	return nil
}
