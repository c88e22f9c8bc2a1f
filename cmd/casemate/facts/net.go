package facts

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

	"casemate/listener/endpoint"
)

// Socket is one that listens, or that datagrams come to.
type Socket struct {
	Network string         `json:"network"`
	Addr    netip.AddrPort `json:"addr,omitzero"`
	Path    string         `json:"path,omitempty"` // of a unix socket
	// Who has it, for people; Known says that nobody else does, Ours that it is casemated, which keeps it over a reload.
	Who   string `json:"who"`
	Known bool   `json:"known,omitempty"`
	Ours  bool   `json:"ours,omitempty"`
}

// Endpoint is what it is bound to.
func (s *Socket) Endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{Network: s.Network, Addr: s.Addr, Path: s.Path}
}

// Net is who has which addresses of a host, as proc_pid_net(5) tells it.
type Net struct {
	sockets []held
	holders map[string][]holder // by the inode of the socket; of processes that this user may look at
	own     []netip.Addr        // addresses of the host's interfaces; nil is not known
	root    bool                // who looked
	vsock   string              // as Facts has it
}

type held struct {
	endpoint.Endpoint
	uid, inode string
}

type holder struct {
	pid  int
	comm string
}

// ReadNet opens no socket but that of netlink which lists the host's addresses. It must run before Landlock hides the
// other processes.
func ReadNet() *Net {
	n := &Net{holders: map[string][]holder{}, root: os.Geteuid() == 0, vsock: Vsock()}
	for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		text, _ := os.ReadFile("/proc/thread-self/net/" + strings.TrimSuffix(network, "4"))
		n.inet(network, string(text))
	}
	text, _ := os.ReadFile("/proc/thread-self/net/unix")
	n.unix(string(text))
	n.processes()
	nonlocal, _ := os.ReadFile("/proc/sys/net/ipv4/ip_nonlocal_bind")
	if list, err := net.InterfaceAddrs(); err == nil && strings.TrimSpace(string(nonlocal)) != "1" {
		n.own = []netip.Addr{}
		for _, a := range list {
			if ip, ok := a.(*net.IPNet); ok {
				if addr, ok := netip.AddrFromSlice(ip.IP); ok {
					n.own = append(n.own, addr.Unmap())
				}
			}
		}
	}
	return n
}

// Sockets are all of them.
func (n *Net) Sockets() (out []Socket) {
	for i := range n.sockets {
		h := &n.sockets[i]
		s := Socket{Network: h.Network, Addr: h.Addr, Path: h.Path}
		s.Who, s.Known, s.Ours = n.who(h)
		out = append(out, s)
	}
	return out
}

// processes notes who has the sockets.
func (n *Net) processes() {
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
func (n *Net) inet(network, text string) {
	const local, state, uid, inode = 1, 3, 7, 9
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != "0A" && f[state] != "07" {
			continue
		}
		if at, ok := procAddr(f[local]); ok {
			n.sockets = append(n.sockets, held{endpoint.Endpoint{Network: network, Addr: at}, f[uid], f[inode]})
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
func (n *Net) unix(text string) {
	const flags, kind, inode, path = 3, 4, 6, 7
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > path && (f[flags] == "00010000" || f[kind] == "0002") {
			n.sockets = append(n.sockets, held{endpoint.Endpoint{Network: "unix", Path: f[path]}, "", f[inode]})
		}
	}
}

// who has a socket, and whether that is casemated, which keeps it over a reload.
func (n *Net) who(h *held) (who string, known, ours bool) {
	for _, p := range n.holders[h.inode] {
		if p.comm == "casemated" {
			return "", true, true
		}
	}
	if all := n.holders[h.inode]; len(all) > 0 {
		return fmt.Sprintf("%s (pid %d)", all[0].comm, all[0].pid), true, false
	}
	if h.uid == "" {
		return "another process", n.root, false
	}
	return "a process of uid " + h.uid, n.root, false
}
