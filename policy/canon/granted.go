package canon

import (
	"cmp"
	"maps"
	"path"
	"slices"

	"casemate/listener"
	"casemate/policy"
	"casemate/policy/granted"
	"casemate/sandbox"
)

// Granted is what p, which is sound, comes to for root. The services and commands are in the order of p.Programs.
func Granted(p *policy.Policy) *granted.Policy {
	g := &granted.Policy{Machine: p.Machine, Profiles: []sandbox.Profile{}, Filters: p.Filters, Services: []granted.Service{}}
	if g.Filters == nil {
		g.Filters = granted.Filters{}
	}
	for _, f := range p.Profiles {
		f.Base, f.Widens, f.Because = nil, nil, ""
		s := &f.Syscalls
		s.Allow, s.ByArgument, s.NoWritten, s.Rules = []string{}, nil, false, nil
		g.Profiles = append(g.Profiles, f)
	}
	for i, s := range p.Programs() {
		at := granted.Service{Command: command(p, s), User: string(s.User), Group: string(s.Group), Groups: s.Groups, PassEnv: passed(s), Profile: s.Profile}
		if i < len(p.Services) {
			at.Sockets = sockets(s)
			g.Services = append(g.Services, at)
		} else {
			g.Commands = append(g.Commands, at)
		}
	}
	return g
}

// command is what the sandbox of s runs.
func command(p *policy.Policy, s *policy.Service) sandbox.Command {
	c := sandbox.Command{
		Service: s.Name, Dir: s.Dir, Env: environment(s), Umask: s.Umask, Nice: s.Nice, OOMScore: s.OOMScore, Stdio: s.Stdio, Outputs: 1, Sockets: 1,
		Listens: s.Wait, UnixDatagrams: s.UnixDatagrams(), Log: s.Syslog(p.Profile(s.Profile)), Sessions: p.Sessions(s),
		Leave: p.OnStop == policy.StopLeave && (!s.Wait || s.Builtin != "") && s.Stdio != sandbox.StdioRelay,
	}
	if s.Stdout == policy.StdoutLog {
		c.Outputs = 2
	}
	if s.Stdio == sandbox.StdioAll {
		c.Outputs = 0
	}
	if s.Together() {
		c.Sockets = 0
		for _, l := range s.Listen {
			c.Sockets += len(l.Endpoints())
		}
	}
	switch {
	case s.Redirects():
		if c.Argv = []string{"casemate-worker", "relay", s.Redirect.String()}; s.ProxyProtocol != "" {
			c.Argv = append(c.Argv, s.ProxyProtocol)
		}
		if !s.Redirect.Unix() {
			c.Sockets = 2 // the client's, and that to the target
		}
	case s.Builtin != "":
		c.Argv = []string{"casemate-worker", "builtin"}
		if c.Sockets++; s.Builtin == policy.Tcpmux { // what it is told
			c.Sockets++ // and the mux
		}
	default:
		c.Path, c.Argv = s.Command[0], append([]string{cmp.Or(s.Argv0, path.Base(s.Command[0]))}, s.Command[1:]...)
	}
	return c
}

// defaultPath is login.defs(5)'s ENV_PATH with the sbin directories, where
// most network services live.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the part of it that is the same for every
// connection, sorted. A policy's variable that has a fact's name is left out:
// getenv(3) returns the first of two, and a constant must not hide the peer.
func environment(s *policy.Service) []string {
	env := map[string]string{"PATH": defaultPath}
	maps.Copy(env, s.Env)
	out := make([]string, 0, len(env))
	for k, v := range env {
		if !hides(s, k) {
			out = append(out, k+"="+v)
		}
	}
	slices.Sort(out)
	return out
}

// passed are the variables that s has as casemated has them.
func passed(s *policy.Service) []string {
	return slices.DeleteFunc(slices.Clone(s.PassEnv), func(k string) bool { _, own := s.Env[k]; return own || hides(s, k) })
}

func hides(s *policy.Service, name string) bool {
	return len(s.EnvStyle) > 0 && slices.Contains(policy.FactNames, name)
}

// sockets are those that s listens on.
func sockets(s *policy.Service) (out []granted.Socket) {
	o := &s.Socket
	for i, l := range s.Listen {
		for _, e := range s.Endpoints(l) {
			at := granted.Socket{Spec: listener.Spec{Endpoint: e, Backlog: o.Backlog, Wait: s.Wait, Settings: settings(o)}, Optional: l.Optional(e), Retry: s.Retry, Listen: i}
			if l.File() {
				at.Spec.Mode, at.Owner, at.Group = o.Mode, o.Owner, o.Group
			}
			out = append(out, at)
		}
	}
	return out
}

// settings are the options of o as the kernel takes them. Keepalive is one question after the
// silence, and four more in as long again (tcp(7)).
func settings(o *policy.Socket) listener.Settings {
	bit := map[bool]uint32{true: 1}
	out := listener.Settings{bit[o.Freebind], bit[o.Transparent], o.Mark, o.TOS, o.Priority, o.SendBuffer, o.ReceiveBuffer,
		bit[o.SendBuffer > 0] | bit[o.ReceiveBuffer > 0]<<1, bit[o.NoDelay]}
	if idle := uint32(o.Keepalive.Seconds()); idle > 0 {
		copy(out[9:], []uint32{1, idle, max(idle/4, 1), 4})
	}
	return out
}
