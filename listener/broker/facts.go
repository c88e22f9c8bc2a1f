package broker

import (
	"casemate/listener/inbound"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The environment a program starts with is an allow-list: what the policy sets,
// a PATH, and the peer's facts in the styles the policy chose. Every value of a
// fact is made by us from numbers, except the host name, which the parser of
// the names worker's answers limits to [a-z0-9._-]. A fact that is not known is
// not set at all: an empty value would be one a program could mistake.

// appendListen adds what sd_listen_fds(3) is told of the n sockets of a session, but LISTEN_PID.
func (s *session) appendListen(env []string, n int) []string {
	env = append(env, "LISTEN_FDS="+strconv.Itoa(n))
	var names []string
	for _, w := range s.svc.sockets {
		given := slices.ContainsFunc(s.held, func(at *listening) bool { return at.spec.Endpoint == w.Spec.Endpoint })
		if given && len(s.svc.spec.FDNames) > 0 {
			names = append(names, s.svc.spec.FDNames[w.Listen])
		}
	}
	if names != nil {
		env = append(env, "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	return env
}

// appendFacts adds the facts of one connection to env in the styles of
// policy.Service.EnvStyle: "ucspi" (cr.yp.to/proto/ucspi.txt), "systemd"
// (systemd.exec(5)), "xinetd" (the address, as xinetd sets it). datagram tells UDP from TCP.
func appendFacts(env, styles []string, c inbound.Peer, local netip.AddrPort, datagram bool) []string {
	ip, port := c.Addr.Addr().String(), strconv.Itoa(int(c.Addr.Port()))
	for _, style := range styles {
		switch {
		case c.Unix && style == "ucspi":
			env = append(env, "PROTO=IPC", "IPCREMOTEEUID="+strconv.Itoa(int(c.UID)), "IPCREMOTEEGID="+strconv.Itoa(int(c.GID)))
		case c.VM && style == "ucspi":
			env = append(env, "PROTO=VSOCK", "VSOCKREMOTECID="+strconv.Itoa(int(c.CID)), "VSOCKREMOTEPORT="+strconv.Itoa(int(c.Port)))
		case !c.Addr.IsValid():
		case style == "ucspi":
			proto := "TCP"
			if datagram {
				proto = "UDP"
			}
			env = append(env, "PROTO="+proto, proto+"REMOTEIP="+ip, proto+"REMOTEPORT="+port)
			if local.IsValid() {
				env = append(env, proto+"LOCALIP="+local.Addr().String(), proto+"LOCALPORT="+strconv.Itoa(int(local.Port())))
			}
			if c.Name != "" {
				env = append(env, proto+"REMOTEHOST="+c.Name)
			}
		case style == "systemd":
			env = append(env, "REMOTE_ADDR="+ip, "REMOTE_PORT="+port)
		case style == "xinetd":
			env = append(env, "REMOTE_HOST="+ip)
		}
	}
	return env
}
