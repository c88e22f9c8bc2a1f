package broker

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate/listener"
)

// The environment a program starts with is an allow-list: what the policy sets,
// a PATH, and the peer's facts in the styles the policy chose. Every value of a
// fact is made by us from numbers, except the host name, which the parser of
// the names worker's answers limits to [a-z0-9._-]. A fact that is not known is
// not set at all: an empty value would be one a program could mistake.

// defaultPath is login.defs(5)'s ENV_PATH with the sbin directories, where
// most network services live.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// The styles of policy.Service.EnvStyle as bits.
const (
	styleUCSPI   uint8 = 1 << iota // PROTO, TCPREMOTEIP, ...: cr.yp.to/proto/ucspi.txt
	styleSystemd                   // REMOTE_ADDR, REMOTE_PORT: systemd.exec(5)
	styleXinetd                    // REMOTE_HOST: the address, as xinetd sets it
)

// styleBits turns the policy's names into bits.
func styleBits(names []string) uint8 {
	var bits uint8
	for _, n := range names {
		switch n {
		case "ucspi":
			bits |= styleUCSPI
		case "systemd":
			bits |= styleSystemd
		case "xinetd":
			bits |= styleXinetd
		}
	}
	return bits
}

// factNames are all variables that facts may set.
var factNames = []string{
	"PROTO", "TCPLOCALIP", "TCPLOCALPORT", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST",
	"UDPLOCALIP", "UDPLOCALPORT", "UDPREMOTEIP", "UDPREMOTEPORT", "UDPREMOTEHOST",
	"IPCREMOTEEUID", "IPCREMOTEEGID", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST",
}

// fixedEnv is the part of the environment that is the same for every
// connection, sorted. A policy's variable that has a fact's name is left out:
// getenv(3) returns the first of two, and a constant must not hide the peer.
func fixedEnv(env map[string]string, styles uint8) []string {
	out := make([]string, 0, len(env)+1)
	if _, ok := env["PATH"]; !ok {
		out = append(out, defaultPath)
	}
	for k, v := range env {
		if styles != 0 && slices.Contains(factNames, k) {
			continue
		}
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// appendFacts adds the facts of one connection to env. datagram tells UDP from TCP.
func appendFacts(env []string, styles uint8, c listener.Peer, local netip.AddrPort, datagram bool) []string {
	if c.Unix {
		if styles&styleUCSPI != 0 {
			env = append(env, "PROTO=IPC", number("IPCREMOTEEUID=", uint64(c.UID)), number("IPCREMOTEEGID=", uint64(c.GID)))
		}
		return env
	}
	if !c.Addr.IsValid() || styles == 0 {
		return env
	}
	ip := c.Addr.Addr().String()
	port := strconv.Itoa(int(c.Addr.Port()))
	if styles&styleUCSPI != 0 {
		proto := "TCP"
		if datagram {
			proto = "UDP"
		}
		env = append(env, "PROTO="+proto, proto+"REMOTEIP="+ip, proto+"REMOTEPORT="+port)
		if local.IsValid() {
			env = append(env, proto+"LOCALIP="+local.Addr().String(), number(proto+"LOCALPORT=", uint64(local.Port())))
		}
		if c.Name != "" {
			env = append(env, proto+"REMOTEHOST="+c.Name)
		}
	}
	if styles&styleSystemd != 0 {
		env = append(env, "REMOTE_ADDR="+ip, "REMOTE_PORT="+port)
	}
	if styles&styleXinetd != 0 {
		env = append(env, "REMOTE_HOST="+ip)
	}
	return env
}

func number(prefix string, n uint64) string {
	var b strings.Builder
	b.Grow(len(prefix) + 20)
	b.WriteString(prefix)
	b.WriteString(strconv.FormatUint(n, 10))
	return b.String()
}
