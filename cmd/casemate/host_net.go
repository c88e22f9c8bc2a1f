package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"casemate/listener"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/lang"
)

// hostNet is who has which addresses of this host, as proc_pid_net(5) tells it.
type hostNet struct {
	sockets []heldSocket
	holders map[string][]holder // by the inode of the socket; of processes that this user may look at
	own     map[netip.Addr]bool // addresses of the host's interfaces; nil is not known
}

type heldSocket struct {
	address.Endpoint
	uid, inode string
}

type holder struct {
	pid  int
	comm string
}

// readHostNet opens no socket but that of netlink which lists the host's addresses. It
// must run before Landlock hides the other processes.
func readHostNet() *hostNet {
	n := &hostNet{holders: map[string][]holder{}}
	for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		text, _ := os.ReadFile("/proc/thread-self/net/" + strings.TrimSuffix(network, "4"))
		n.inet(network, string(text))
	}
	text, _ := os.ReadFile("/proc/thread-self/net/unix")
	n.unix(string(text))
	n.processes()
	nonlocal, _ := os.ReadFile("/proc/sys/net/ipv4/ip_nonlocal_bind")
	if list, err := net.InterfaceAddrs(); err == nil && strings.TrimSpace(string(nonlocal)) != "1" {
		n.own = map[netip.Addr]bool{}
		for _, a := range list {
			if ip, ok := a.(*net.IPNet); ok {
				if addr, ok := netip.AddrFromSlice(ip.IP); ok {
					n.own[addr.Unmap()] = true
				}
			}
		}
	}
	return n
}

// processes notes who has the sockets.
func (n *hostNet) processes() {
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", d.Name())
		fds, _ := os.ReadDir(dir + "/fd") // none where this user may not look
		comm, _ := os.ReadFile(dir + "/comm")
		for _, fd := range fds {
			to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
				inode = strings.TrimSuffix(inode, "]")
				n.holders[inode] = append(n.holders[inode], holder{pid, strings.TrimSpace(string(comm))})
			}
		}
	}
}

// inet reads listening tcp sockets, and udp sockets without a peer.
func (n *hostNet) inet(network, text string) {
	const local, state, uid, inode = 1, 3, 7, 9
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != "0A" && f[state] != "07" {
			continue
		}
		if at, ok := procAddr(f[local]); ok {
			n.sockets = append(n.sockets, heldSocket{address.Endpoint{Network: network, Addr: at}, f[uid], f[inode]})
		}
	}
}

// procAddr reads "0100007F:0050": words in the byte order of this machine.
func procAddr(s string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(ip)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}

// unix reads listening sockets, and bound ones of datagrams.
func (n *hostNet) unix(text string) {
	const flags, kind, inode, path = 3, 4, 6, 7
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > path && (f[flags] == "00010000" || f[kind] == "0002") {
			n.sockets = append(n.sockets, heldSocket{address.Endpoint{Network: "unix", Path: f[path]}, "", f[inode]})
		}
	}
}

// addresses tells which of a service's addresses others have, or the host has not.
func (f *faults) addresses(s *policy.Service) {
	for k, l := range s.Listen {
		at := fmt.Sprintf("services.%s.listen.%d", s.Name, k)
		if l.File() {
			f.add(at, s.Name, listener.CheckDir(filepath.Dir(l.Path)))
		}
		for _, e := range s.Endpoints(l) {
			f.address(at, s, e)
		}
	}
}

func (f *faults) address(at string, s *policy.Service, e address.Endpoint) {
	a := e.Addr.Addr()
	if a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && f.net.own != nil && !f.net.own[a] && !s.Socket.Freebind && !s.Socket.Transparent {
		f.found = append(f.found, lang.Fault{Path: at, Unsure: s.Retry, Summary: fmt.Sprintf("casemated cannot open %s for service %q: this host does not have that address", e.Key(), s.Name),
			Next: "listen on an address that it has, or write retry = true if it comes later"})
		return
	}
	for i := range f.net.sockets {
		h := &f.net.sockets[i]
		overlaps, unsure := h.inTheWay(e)
		who, known, ours := f.net.who(h)
		if !overlaps || ours {
			continue
		}
		fault := lang.Fault{Path: at, Unsure: unsure || !known || s.Retry || e.Interface != "", Summary: fmt.Sprintf("casemated cannot open %s for service %q: it is in use by %s", e.Key(), s.Name, who),
			Next: "end that, or listen elsewhere"}
		if !known {
			fault.Next = "run casemate check --host as root, which tells whether that is casemated itself"
		}
		f.found = append(f.found, fault)
		return
	}
}

// inTheWay tells whether the kernel refuses e beside h. A wildcard of IPv6 may also be
// one of IPv4, which nothing tells.
func (h *heldSocket) inTheWay(e address.Endpoint) (yes, unsure bool) {
	switch {
	case !e.Addr.IsValid() || !h.Addr.IsValid():
		return e.Path == h.Path, false
	case e.Transport() != h.Transport() || e.Addr.Port() != h.Addr.Port():
		return false, false
	case e.Network == h.Network:
		return e.Overlaps(h.Endpoint), false
	}
	four, x, y := strings.HasSuffix(e.Network, "4"), h.Addr.Addr(), e.Addr.Addr()
	if x.Is4In6() {
		return four && (x.Unmap() == y || y.IsUnspecified()), false
	}
	return four && x.IsUnspecified(), true
}

// who has a socket, and whether that is casemated, which keeps it over a reload.
func (n *hostNet) who(h *heldSocket) (who string, known, ours bool) {
	for _, p := range n.holders[h.inode] {
		if p.comm == "casemated" {
			return "", true, true
		}
	}
	if all := n.holders[h.inode]; len(all) > 0 {
		return fmt.Sprintf("%s (pid %d)", all[0].comm, all[0].pid), true, false
	}
	if h.uid == "" {
		return "another process", os.Geteuid() == 0, false
	}
	return "a process of uid " + h.uid, os.Geteuid() == 0, false
}
