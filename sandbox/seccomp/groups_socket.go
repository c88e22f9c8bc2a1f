package seccomp

// Families, types and protocols of socket(2), levels and options of
// setsockopt(2) (linux/socket.h, asm-generic/socket.h, linux/in.h, linux/tcp.h).
const (
	afUnix, afInet, afInet6, afNetlink = 1, 2, 10, 16

	sockStream, sockDgram, sockRaw, sockSeqpacket = 1, 2, 3, 5
	sockTypeMask                                  = 0xf // the rest is SOCK_NONBLOCK and SOCK_CLOEXEC
	protoTCP, protoUDP                            = 6, 17

	solSocket, solIP, solTCP, solIPv6 = 1, 0, 6, 41

	soReuseaddr, soBroadcast, soSndbuf, soRcvbuf               = 2, 6, 7, 8
	soKeepalive, soOobinline, soPriority, soLinger, soPasscred = 9, 10, 12, 13, 16
	soRcvlowat, soSndlowat, soRcvtimeo, soSndtimeo             = 18, 19, 20, 21
	soType, soError, soDontroute, soReuseport, soPeercred      = 3, 4, 5, 15, 17
	soAcceptconn, soPeersec, soMark, soProtocol, soDomain      = 30, 31, 36, 38, 39
	soCookie, soPeergroups                                     = 57, 59

	tcpNodelay, tcpCork, tcpKeepidle, tcpKeepintvl, tcpKeepcnt = 1, 3, 4, 5, 6
	tcpMaxseg, tcpDeferAccept, tcpInfo, tcpQuickack            = 2, 9, 11, 12
	tcpCongestion, tcpUserTimeout                              = 13, 18

	ipTOS, ipTTL, ipOptions, ipPktinfo, ipMTUDiscover, ipRecverr, ipMTU   = 1, 2, 4, 8, 10, 11, 14
	ipv6UnicastHops, ipv6MTU                                              = 16, 24
	ipv6MTUDiscover, ipv6Recverr, ipv6V6only, ipv6Recvpktinfo, ipv6Tclass = 23, 25, 26, 49, 67
)

// socketOf opens sockets of one family, type and protocol.
func socketOf(family, kind uint32, protos ...uint32) []Rule {
	var out []Rule
	for _, p := range protos {
		out = append(out, all("socket",
			Arg{Index: 0, Value: family}, Arg{Index: 1, Mask: sockTypeMask, Value: kind}, Arg{Index: 2, Value: p})...)
	}
	return out
}

var socketGroups = map[string]group{
	"@socket-io": {
		doc: "talking over the socket it was given, to the peer it has: no new socket, no other peer",
		calls: []string{
			"recvfrom", "recvmsg", "shutdown", "getsockname", "getpeername",
		},
		rules: [][]Rule{
			// The address is a pointer, of which a filter sees too little; its length is an int, and with length 0
			// every protocol takes the peer that the socket is connected to.
			is("sendto", 5, 0),
			// sendmsg and sendmmsg have the address behind a pointer: see @fd-passing.
			// What a socket is, who is at its other end, and what was set. Nothing that gives a descriptor (SO_PEERPIDFD), maps
			// memory (TCP_ZEROCOPY_RECEIVE) or asks the packet filter (64 and up of the two IP levels).
			asks(solSocket, soReuseaddr, soType, soError, soDontroute, soBroadcast, soSndbuf, soRcvbuf, soKeepalive, soOobinline, soPriority,
				soLinger, soReuseport, soPasscred, soPeercred, soRcvlowat, soSndlowat, soRcvtimeo, soSndtimeo, soAcceptconn, soPeersec,
				soMark, soProtocol, soDomain, soCookie, soPeergroups),
			// The options of a packet tell tcpd, sshd and rlogind of source routing.
			asks(solIP, ipTOS, ipTTL, ipOptions, ipPktinfo, ipMTUDiscover, ipRecverr, ipMTU),
			asks(solTCP, tcpNodelay, tcpMaxseg, tcpCork, tcpKeepidle, tcpKeepintvl, tcpKeepcnt, tcpInfo, tcpQuickack, tcpCongestion, tcpUserTimeout),
			asks(solIPv6, ipv6UnicastHops, ipv6MTUDiscover, ipv6MTU, ipv6Recverr, ipv6V6only, ipv6Recvpktinfo, ipv6Tclass),
			level(solSocket, soSndbuf, soRcvbuf, soKeepalive, soOobinline, soPriority, soLinger, soRcvlowat, soRcvtimeo, soSndtimeo),
			level(solTCP, tcpNodelay, tcpCork, tcpKeepidle, tcpKeepintvl, tcpKeepcnt, tcpQuickack, tcpUserTimeout),
			level(solIP, ipTOS),
			level(solIPv6, ipv6Tclass),
		},
	},
	"@fd-passing": {
		doc:   "sendmsg, to pass descriptors over a socket pair. On a datagram socket it reaches any address: for stream services only",
		calls: []string{"sendmsg", "recvmsg"},
		rules: [][]Rule{is("socketpair", 0, afUnix), level(solSocket, soPasscred)},
	},
	"@socket-accept": {
		doc:      "taking connections from a listening socket it was given; answering datagrams to any address",
		includes: []string{"@socket-io"},
		calls:    []string{"accept", "accept4", "sendto", "sendmsg", "sendmmsg", "recvmmsg"},
		rules: [][]Rule{
			level(solIP, ipPktinfo),
			level(solIPv6, ipv6Recvpktinfo),
		},
	},
	"@socket-unix": {
		doc: "making unix sockets",
		rules: [][]Rule{
			is("socketpair", 0, afUnix),
			socketOf(afUnix, sockStream, 0), socketOf(afUnix, sockDgram, 0), socketOf(afUnix, sockSeqpacket, 0),
			level(solSocket, soPasscred),
		},
	},
	"@socket-tcp": {
		doc:   "making TCP sockets; no MPTCP",
		rules: [][]Rule{socketOf(afInet, sockStream, 0, protoTCP), socketOf(afInet6, sockStream, 0, protoTCP), level(solSocket, soReuseaddr), level(solIPv6, ipv6V6only)},
	},
	"@socket-udp": {
		doc:   "making UDP sockets, and sending to addresses from them",
		calls: []string{"sendto", "sendmsg", "sendmmsg", "recvmmsg"},
		rules: [][]Rule{
			socketOf(afInet, sockDgram, 0, protoUDP), socketOf(afInet6, sockDgram, 0, protoUDP),
			level(solSocket, soReuseaddr, soBroadcast),
			level(solIP, ipPktinfo, ipMTUDiscover, ipRecverr),
			level(solIPv6, ipv6V6only, ipv6Recvpktinfo, ipv6MTUDiscover, ipv6Recverr),
		},
	},
	"@socket-client": {
		doc:      "sockets of its own, to connect: unix, TCP and UDP; no raw, packet, netlink, vsock, MPTCP",
		includes: []string{"@socket-io", "@socket-unix", "@socket-tcp", "@socket-udp"},
		calls:    []string{"connect"},
	},
	"@socket-server": {
		doc:      "sockets of its own, to listen on as well",
		includes: []string{"@socket-client", "@socket-accept"},
		calls:    []string{"bind", "listen"},
		rules:    [][]Rule{level(solTCP, tcpDeferAccept)},
	},
	"@netlink-route": {
		doc:      "asking the kernel for addresses and routes (getifaddrs, AI_ADDRCONFIG)",
		includes: []string{"@socket-io"},
		calls:    []string{"bind", "sendto", "sendmsg"},
		rules: [][]Rule{
			socketOf(afNetlink, sockRaw, 0),
			socketOf(afNetlink, sockDgram, 0),
		},
	},
}
