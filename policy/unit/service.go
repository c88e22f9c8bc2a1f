package unit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/acl/reach"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/explain"
	"casemate/sandbox"
)

// OfService gives the socket and the service that come nearest to a service of a policy: with its listeners, command, user
// and limits, its profile around the program, and its acl as IPAddressAllow= where that says exactly the same. A builtin
// is an error, for systemd has none.
func OfService(p *policy.Policy, s *policy.Service) ([]Unit, error) {
	f := p.Profile(s.Profile)
	switch {
	case s.Builtin != "":
		return nil, fmt.Errorf("service %q is the builtin %s: systemd has no such program", s.Name, s.Builtin)
	case f == nil:
		return nil, fmt.Errorf("service %q: there is no profile %q", s.Name, s.Profile)
	}
	rules, err := calls.Resolve(&f.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", f.Name, err)
	}
	w := &writer{program: "/usr/lib/systemd/systemd-socket-proxyd", service: s}
	fmt.Fprintf(w, "[Unit]\nDescription=What comes nearest to casemate's service %s\nCollectMode=inactive-or-failed\n\n[Service]\n", s.Name)
	if s.Redirects() {
		w.note("systemd's relay is one process for all clients, which casemate has one of for each.")
		if s.ProxyProtocol != "" {
			w.note("It tells its target nothing of the client, as proxy_protocol does.")
		}
		w.set("ExecStart", w.program, explain.Target(s))
	} else {
		w.program = s.Command[0]
		w.command(s)
		w.streams(s)
	}
	w.surroundings(s)
	if l := p.Limit(s.Limit); l != nil && l.Session > 0 && accepts(s) {
		w.set("RuntimeMaxSec", seconds(l.Session))
	}
	if l := p.Limit(s.Limit); l != nil && (l.FirstByte > 0 || l.MinRate > 0) {
		w.note("Slow clients are ended (first_byte, min_rate): not by systemd.")
	}
	w.confine(f, rules)
	socket, err := socketOf(p, s)
	if err != nil {
		return nil, err
	}
	name := s.Name + "@.service"
	if !accepts(s) {
		name = s.Name + ".service"
	}
	return []Unit{{s.Name + ".socket", socket}, {name, w.String()}}, nil
}

// accepts tells whether systemd accepts the connections, and starts a program for each.
func accepts(s *policy.Service) bool {
	return !s.Wait && !s.Redirects() && !slices.ContainsFunc(s.Listen, address.Listen.Datagram)
}

// quoted writes an argument as systemd reads one: a % would begin a specifier, a $ a variable.
func quoted(arg string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%", "$", "$$").Replace(arg) + `"`
}

func (w *writer) command(s *policy.Service) {
	args := []string{s.Command[0]}
	if strings.Trim(args[0], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-") != "" {
		args[0] = quoted(args[0])
	}
	if s.Argv0 != "" {
		args = []string{"@" + args[0], quoted(s.Argv0)}
	}
	for _, arg := range s.Command[1:] {
		args = append(args, quoted(arg))
	}
	w.set("ExecStart", args...)
	if !accepts(s) && !s.Wait {
		w.note("systemd hands a datagram socket over; casemate starts a program for each datagram.")
	}
}

// streams says where 0, 1 and 2 go.
func (w *writer) streams(s *policy.Service) {
	in, out, err := "socket", "socket", "journal"
	switch s.Stdio {
	case sandbox.StdioAll:
		err = "socket"
	case sandbox.StdioRelay:
		w.note("It has the client's socket itself; casemate puts a relay between.")
	case sandbox.StdioSocket:
	default:
		in, out = "null", "journal"
	}
	if s.Stdout == policy.StdoutLog {
		out = "journal"
	}
	w.set("StandardInput", in)
	w.set("StandardOutput", out)
	w.set("StandardError", err)
}

// surroundings are what the program finds around it.
func (w *writer) surroundings(s *policy.Service) {
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		w.set("Environment", quotedText(name+"="+s.Env[name]))
	}
	w.list("PassEnvironment", s.PassEnv)
	if s.Dir != "" {
		w.set("WorkingDirectory", escapedText(s.Dir))
	}
	if !s.Ours() {
		w.set("UMask", fmt.Sprintf("%04o", s.Umask))
	}
	if s.Nice != 0 {
		w.set("Nice", strconv.Itoa(s.Nice))
	}
	if s.OOMScore != 0 {
		w.set("OOMScoreAdjust", strconv.Itoa(s.OOMScore))
	}
	if s.Hangup || s.Idle > 0 {
		w.note("It ends with its client, or when nobody says anything (hangup, idle): not by systemd.")
	}
	if s.Banner+s.BannerAccept+s.BannerSuccess != "" {
		w.note("Banners: not by systemd.")
	}
	if s.Shielded() {
		w.note("Refused addresses are answered; casemate drops what they send.")
	}
}

// quotedText is a value in which no variable begins, escapedText one that has no quotes around it.
func quotedText(s string) string  { return strings.ReplaceAll(quoted(s), "$$", "$") }
func escapedText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// user says who it runs as.
func (w *writer) user() {
	s := w.service
	if s == nil || s.User == policy.Dynamic {
		w.yes("DynamicUser")
	} else {
		w.set("User", string(s.User))
	}
	if s != nil && s.Group != "" {
		w.set("Group", string(s.Group))
	}
	if s == nil {
		w.set("SupplementaryGroups")
	} else {
		w.set("SupplementaryGroups", s.Groups...)
	}
}

func socketOf(p *policy.Policy, s *policy.Service) (string, error) {
	w := &writer{service: s}
	fmt.Fprintf(w, "[Unit]\nDescription=The sockets of casemate's service %s\n\n[Socket]\n", s.Name)
	w.listeners(s)
	w.options(s)
	if accepts(s) {
		w.set("Accept", "yes")
	} else {
		w.set("Accept", "no")
	}
	if l := p.Limit(s.Limit); l != nil {
		w.limits(s, l)
	}
	if err := w.clients(p.ACL(s.ACL)); err != nil {
		return "", fmt.Errorf("acl %q: %w", s.ACL, err)
	}
	w.WriteString("\n[Install]\nWantedBy=sockets.target\n")
	return w.String(), nil
}

func (w *writer) listeners(s *policy.Service) {
	only6 := 0
	for _, l := range s.Listen {
		name := "ListenStream"
		switch {
		case l.Datagram():
			name = "ListenDatagram"
		case l.Network == "unixpacket":
			name = "ListenSequentialPacket"
		}
		switch {
		case l.Network == "vsock":
			text := "vsock:" + l.Path
			if !strings.Contains(l.Path, ":") {
				text = "vsock::" + l.Path
			}
			w.set(name, text)
			continue
		case l.Unix():
			w.set(name, escapedText(l.Path))
			continue
		}
		for port := int(l.Port); port <= int(l.LastPort); port++ {
			switch {
			case l.Addr.Is6():
				w.set(name, fmt.Sprintf("[%s]:%d", l.Addr.WithZone(""), port))
				if z := l.Addr.Zone(); z != "" {
					w.note("On the link of %s: write it behind the address, as systemd %%-escapes it.", z)
				}
			case l.Addr.IsValid():
				w.set(name, fmt.Sprintf("%s:%d", l.Addr, port))
			case strings.HasSuffix(l.Network, "4"):
				w.set(name, fmt.Sprintf("0.0.0.0:%d", port))
			case strings.HasSuffix(l.Network, "6"):
				w.set(name, fmt.Sprintf("[::]:%d", port))
				only6++
			default:
				w.set(name, strconv.Itoa(port))
			}
		}
	}
	if only6 > 0 {
		w.set("BindIPv6Only", "ipv6-only")
	}
	for _, name := range s.Mux {
		w.note("Behind tcpmux as %s: systemd has none.", strings.TrimPrefix(name, "+"))
	}
}

func (w *writer) options(s *policy.Service) {
	o := &s.Socket
	set := func(name, value string) {
		if value != "" && value != "0" {
			w.set(name, value)
		}
	}
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	if o.Mode != 0 {
		w.set("SocketMode", fmt.Sprintf("%04o", o.Mode))
	}
	set("SocketUser", o.Owner)
	set("SocketGroup", o.Group)
	set("Backlog", strconv.Itoa(o.Backlog))
	if o.Keepalive > 0 {
		w.yes("KeepAlive")
		w.set("KeepAliveTimeSec", seconds(o.Keepalive))
		w.set("KeepAliveIntervalSec", seconds(max(o.Keepalive/4, time.Second)))
		w.set("KeepAliveProbes", "4")
	}
	set("BindToDevice", o.Interface)
	for _, t := range []struct {
		name string
		is   bool
	}{{"FreeBind", o.Freebind}, {"Transparent", o.Transparent}, {"NoDelay", o.NoDelay}} {
		if t.is {
			w.yes(t.name)
		}
	}
	set("SendBuffer", number(o.SendBuffer))
	set("ReceiveBuffer", number(o.ReceiveBuffer))
	set("IPTOS", number(o.TOS))
	set("Mark", number(o.Mark))
	set("Priority", number(o.Priority))
	if len(s.FDNames) > 0 {
		w.note("fd_names %s: systemd has one name for all sockets of a unit (FileDescriptorName=).", strings.Join(s.FDNames, ", "))
	}
}

func (w *writer) limits(s *policy.Service, l *limit.Spec) {
	if accepts(s) {
		if l.Concurrent > 0 {
			w.set("MaxConnections", strconv.Itoa(l.Concurrent))
		}
		if n := l.PerSource.Concurrent; n > 0 {
			w.set("MaxConnectionsPerSource", strconv.Itoa(n))
			if l.PerSource.Prefix4 < 32 || l.PerSource.Prefix6 < 128 {
				w.note("Of each address; casemate counts each /%d or IPv6 /%d.", l.PerSource.Prefix4, l.PerSource.Prefix6)
			}
			if len(l.Exempt) > 0 {
				w.note("Nobody is exempt from it; here %d prefixes are.", len(l.Exempt))
			}
		}
	}
	if l.Rate.Events+l.PerSource.Rate.Events+len(l.Penalty.On)+int(l.Queue)+l.MaxLoad+len(l.PerSource.Wider)+l.EarlyDrop.Start > 0 {
		w.note("Rates, penalties, networks around a source, an early drop, a queue and a bound of the load: not by systemd. A rate (TriggerLimitBurst=) takes the socket")
		w.note("out of service until somebody starts it again.")
	}
}

// clients says who may connect, where addresses alone say that.
func (w *writer) clients(list *acl.List) error {
	table, err := reach.New(list)
	if err != nil {
		return err
	}
	parts, err := table.Parts(reach.Everybody())
	if err != nil {
		return err
	}
	var allowed, denied reach.Set
	for _, p := range parts {
		if p.Verdict == acl.Allow {
			allowed = reach.Union(allowed, p.Clients)
		} else {
			denied = reach.Union(denied, p.Clients)
		}
	}
	inet := reach.Whole(reach.IPv4, reach.IPv6)
	switch allowed, both := allowed.Intersect(inet), allowed.Intersect(denied); {
	case len(both.Intersect(inet)) > 0:
		w.note("Who may connect depends on names, times or the address that a client comes to: not by systemd. Nobody may here.")
		w.set("IPAddressDeny", "any")
	case len(inet.Minus(allowed)) > 0:
		w.set("IPAddressDeny", "any")
		w.list("IPAddressAllow", allowed.Patterns())
	}
	if peers := reach.Whole(reach.User, reach.Machine); len(denied.Intersect(peers)) > 0 && slices.ContainsFunc(w.service.Listen, func(l address.Listen) bool { return !l.Inet() }) {
		w.note("Which users or machines may connect (%s): not by systemd, beside the mode of a socket's file.", cut(allowed.Intersect(peers).Patterns()))
	}
	return nil
}

// cut is a list for a comment.
func cut(words []string) string {
	switch {
	case len(words) == 0:
		return "none"
	case len(words) > 8:
		return strings.Join(words[:8], ", ") + " and more"
	}
	return strings.Join(words, ", ")
}
