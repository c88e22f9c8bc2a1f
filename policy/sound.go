package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy/granted"
	"casemate/sandbox"
)

// The bounds of what the broker does for one policy; granted has root's.
const (
	MaxQueue  = 1024    // connections that wait for a place of one service
	MaxBanner = 4 << 10 // bytes: two of them fit into the send buffer of any connection that valid.Check lets have them
)

// Builtins are the protocols that casemate-worker serves itself.
var Builtins = []string{"auth", "chargen", "daytime", "discard", "echo", "qotd", Tcpmux, "time"}

const Tcpmux = "tcpmux" // hands its clients over to the services that have a Mux

// ProxyProtocols are the versions of the header that a redirect may begin with.
var ProxyProtocols = []string{"v1", "v2"}

// Sound checks what the broker depends on, whoever wrote the policy: every
// reference leads somewhere, no number means "no limit" by being
// out of range, and nothing is asked for that nobody would enforce. What root depends on
// is granted.Policy.Check's, and everything that makes a policy good text package valid's.
func (p *Policy) Sound() error {
	switch {
	case p.Edition != 1 || !slices.Contains(StopModes, p.OnStop) || !slices.Contains(BrokenModes, p.OnBroken) || p.OnNarrow != "" && !slices.Contains(NarrowModes, p.OnNarrow):
		return errors.New("edition, on_stop, on_broken or on_narrow is not known to this version")
	case !granted.InOrder(p.ACLs, aclName) || !granted.InOrder(p.Limits, limitName) || !granted.InOrder(p.Profiles, profileName) ||
		!granted.InOrder(p.Services, serviceName) || !granted.InOrder(p.Disabled, serviceName):
		return granted.ErrOrder
	}
	for i := range p.Limits {
		if l := &p.Limits[i]; !limited(l) {
			return fmt.Errorf("limits.%s: a number is out of range", l.Name)
		}
	}
	for i := range p.Services {
		s := &p.Services[i]
		if len(p.commands(s)) > 0 && (s.Wait || s.Ours()) {
			return fmt.Errorf("services.%s: nobody would start the commands of the rules of acl %q", s.Name, s.ACL)
		}
		if err := errors.Join(p.enforceable(s), s.opens()); err != nil {
			return fmt.Errorf("services.%s: %w", s.Name, err)
		}
	}
	return nil
}

// limited tells whether l limits what it seems to; package limit takes every other
// number that is out of range for the nearest one in it.
func limited(l *limit.Spec) bool {
	rate := func(r limit.Rate) bool { return r == limit.Rate{} || r.Events > 0 && r.Per >= time.Second }
	queue := l.Queue == 0 && l.QueueLength == 0 || l.Queue > 0 && l.Concurrent > 0 && l.QueueLength > 0 && l.QueueLength <= MaxQueue
	drop := l.EarlyDrop == limit.EarlyDrop{} || l.EarlyDrop.Start > 0 && l.EarlyDrop.Start < l.Concurrent && l.EarlyDrop.Percent > 0 && l.EarlyDrop.Percent <= 100 && l.Queue == 0
	wider := len(l.PerSource.Wider) == 0 || len(l.PerSource.Wider) <= limit.MaxWider && (l.PerSource.Concurrent > 0 || l.PerSource.Rate.Events > 0) &&
		!slices.ContainsFunc(l.PerSource.Wider, func(w limit.Wider) bool { return w.Prefix4 <= 0 && w.Prefix6 <= 0 || w.Times < 2 })
	return queue && drop && wider && l.MaxLoad >= 0 && l.Session >= 0 && l.FirstByte >= 0 && l.MinRate >= 0 && rate(l.Rate) && rate(l.PerSource.Rate) && rate(l.Responses) && rate(l.ResponsesTotal) && (len(l.Penalty.On) == 0 || l.Penalty.First > 0) && min(l.Penalty.Crash, l.Penalty.Slow, l.Penalty.Timeout, l.Penalty.Violation) >= 0
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
	case (s.Hangup || s.Idle != 0 && s.Builtin == "") && (s.Wait || datagrams || !s.KeepSocket) || s.Idle != 0 && !s.Paced():
		return errors.New("nobody would see its client go")
	case max(len(s.Banner), len(s.BannerAccept), len(s.BannerSuccess)) > MaxBanner || s.Wait && s.Banner+s.BannerAccept+s.BannerSuccess != "":
		return errors.New("a banner would not be sent")
	case s.Refuse != "" && (!slices.Contains(Refusals, s.Refuse) || (s.Refuse == RefuseBanner) != (s.Banner != "")):
		return errors.New("its clients would not be refused so")
	case s.Stdout != "" && (s.Stdout != StdoutLog || s.Stdio == sandbox.StdioAll || s.Ours()):
		return errors.New("its stdout would not be in the log")
	case len(s.FDNames) > 0 && (!s.Together() || len(s.FDNames) != len(s.Listen)):
		return errors.New("fd_names are not one for each of listen")
	case (l.FirstByte != 0 || l.MinRate != 0) && !s.Paced():
		return errors.New("nobody would see how slow its clients are")
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
	case s.Wait && (l.EarlyDrop != limit.EarlyDrop{} || !list.AllowsAll() && !s.Screened() || l.PerSource.Concurrent != 0 || l.PerSource.Rate.Events != 0 || len(l.Penalty.On) > 0):
		return errors.New("acl, early_drop, per_source and penalty are not enforceable with wait = true")
	case s.Wait && datagrams && f.Network.Mode == sandbox.NetworkNone:
		return errors.New("with wait = true it sends datagrams to any address, and its profile has no network")
	}
	return nil
}

// opens checks that s listens, and on what has connections to hand out or is its own.
func (s *Service) opens() error {
	n := 0
	for _, l := range s.Listen {
		if !l.Valid() || l.Network == "unixgram" && !s.Wait {
			return fmt.Errorf("%s has no connections to hand out", l)
		}
		n += len(l.Endpoints())
	}
	if n == 0 && len(s.Mux) == 0 || s.Together() && n > sandbox.MaxSockets {
		return fmt.Errorf("%d sockets, want 1 or a name of tcpmux, and at most %d for one program", n, sandbox.MaxSockets)
	}
	return nil
}
