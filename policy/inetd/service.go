package inetd

import (
	"net/netip"
	"strconv"
	"strings"
)

// service reads the first word: address, name or number, path of a unix socket.
func (p *parser) service(e *Entry, w *raw) {
	s := w.service
	e.Service = s
	switch {
	case strings.HasPrefix(s.Text, ":") && strings.Contains(s.Text, ":/"):
		p.uses(&unixOwner, s.At)
		parts := s.pieces(':')
		if len(parts) < 5 || !strings.HasPrefix(parts[4].Text, "/") {
			p.add(Error, s.At, "write :user:group:mode:/path", "%q is no unix socket with an owner", s.Text)
			return
		}
		if parts[1].Text != "" {
			e.Unix.Owner = parts[1]
		}
		if parts[2].Text != "" {
			e.Unix.Group = parts[2]
		}
		e.Service = s.part(len(parts[1].Text)+len(parts[2].Text)+len(parts[3].Text)+4, len(s.Text)) // a path may have colons
		mode, err := strconv.ParseUint(parts[3].Text, 8, 32)
		if err != nil || mode > 0o777 {
			p.add(Error, parts[3].At, "write it as 0660", "%q is no mode of a file", parts[3].Text)
		}
		e.Unix.Mode, e.Unix.ModeAt = uint32(mode), parts[3].At
		return
	case strings.HasPrefix(s.Text, "/"):
		e.Service = s
		return
	}
	hosts := w.hosts
	if i := lastColon(s.Text); i >= 0 {
		p.uses(&address, s.At)
		hosts, s = p.hosts(s.part(0, i)), s.part(i+1, len(s.Text))
	} else if hosts == nil {
		hosts = p.addresses
	}
	e.Addresses = hosts
	if mux, ok := strings.CutPrefix(s.Text, "tcpmux/"); ok {
		p.uses(&muxes, s.At)
		e.Mux, e.Plus = true, strings.HasPrefix(mux, "+")
		s = s.part(len(s.Text)-len(strings.TrimPrefix(mux, "+")), len(s.Text))
	}
	if s.Text == "" {
		p.add(Error, w.service.At, "write the name or the number of its port", "the entry has no service")
	} else if strings.Trim(s.Text, "0123456789") == "" {
		p.uses(&portNumber, s.At)
	}
	e.Service = s
}

// lastColon is the offset of the last colon that is not within brackets, or -1.
func lastColon(s string) int {
	bracket := strings.LastIndexByte(s, ']')
	i := strings.LastIndexByte(s[bracket+1:], ':')
	if i < 0 {
		return -1
	}
	return bracket + 1 + i
}

// hosts reads a list of addresses.
func (p *parser) hosts(w Text) []Text {
	list := w.pieces(',')
	if len(list) > 1 {
		p.uses(&addresses, w.At)
	}
	for _, h := range list {
		inner, bracketed := strings.CutPrefix(h.Text, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		switch {
		case h.Text == "":
			p.add(Error, w.At, "write an address, or * for all", "an address is missing")
		case strings.Contains(h.Text, ":") && !(bracketed && closed):
			p.add(Error, h.At, "write ["+inner+"]", "an IPv6 address stands in brackets")
		case bracketed != closed, bracketed && (err != nil || !a.Is6()):
			p.add(Error, h.At, "write it as [2001:db8::1]", "%q is no IPv6 address", h.Text)
		}
	}
	if len(list) == 1 && list[0].Text == "*" {
		return nil
	}
	return list
}
