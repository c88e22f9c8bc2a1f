package broker

import (
	"log/slog"
	"net/netip"
	"strconv"

	"casemate/acl"
	"casemate/acl/limit"

	"golang.org/x/sys/unix"
)

// client is who connected. The zero client is nobody in particular: the
// clients of a wait service are known to its program alone.
type client struct {
	addr netip.AddrPort // unmapped and without zone; invalid for a unix peer
	unix bool
	uid  uint32 // of a unix peer
	gid  uint32
	host string // forward-confirmed name, "" if nobody asked or there is none
}

// source is whom limits count a client under: its address, or its uid on a unix socket.
func (c client) source() limit.Source {
	if c.unix {
		return limit.UID(c.uid)
	}
	return limit.Addr(c.addr.Addr())
}

// acl is the client as host rules see it.
func (c client) acl(local netip.Addr, name acl.Name) acl.Client {
	return acl.Client{Addr: c.addr.Addr(), Local: local, Name: name, Unix: c.unix, UID: c.uid}
}

// attrs are the client's part of a log record.
func (c client) attrs() []slog.Attr {
	switch {
	case c.unix:
		return []slog.Attr{slog.String("client", c.text())}
	case !c.addr.IsValid():
		return nil
	case c.host != "":
		return []slog.Attr{slog.String("client", c.addr.Addr().String()), slog.Int("client_port", int(c.addr.Port())), slog.String("name", c.host)}
	default:
		return []slog.Attr{slog.String("client", c.addr.Addr().String()), slog.Int("client_port", int(c.addr.Port()))}
	}
}

// text is the client in one word, "" for nobody in particular.
func (c client) text() string {
	switch {
	case c.unix:
		return "uid=" + strconv.FormatUint(uint64(c.uid), 10)
	case c.addr.IsValid():
		return c.addr.String()
	}
	return ""
}

// signalName is the name of signal(7), or the number when it has none.
func signalName(s unix.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return strconv.Itoa(int(s))
}
