package valid

import (
	"slices"
	"strings"
	"unicode/utf8"

	"casemate/listener/address"
	"casemate/policy"
)

// banners checks what s has clients sent.
func (c *checker) banners(at string, s *policy.Service) {
	stream := len(s.Mux) > 0 || slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Datagram() })
	answers := slices.IndexFunc(s.Mux, func(name string) bool { return !strings.HasPrefix(name, "+") })
	for _, b := range []struct{ name, text string }{{"banner", s.Banner}, {"banner_accept", s.BannerAccept}, {"banner_success", s.BannerSuccess}} {
		at := at + "." + b.name
		switch {
		case b.text == "":
		case s.Wait || !stream:
			c.add(at, "remove "+b.name, "a banner is for connections, and the worker of a builtin and a program with wait take their clients themselves")
		case answers >= 0 && b.name != "banner":
			c.add(at, `write "tcpmux:+`+s.Mux[answers]+`" in listen, or remove `+b.name, "a client of tcpmux reads the program's answer to the name first, which begins with + or -")
		case s.Socket.SendBuffer > 0 && s.Socket.SendBuffer < BannerBuffer:
			c.add(at, `write send_buffer = "16KiB" or more in socket, or remove one of them`, "a send_buffer of %d bytes may not take what is sent at once", s.Socket.SendBuffer)
		case len(b.text) > policy.MaxBanner:
			c.add(at, "shorten it", "%d bytes are more than the %d that are sent at once", len(b.text), policy.MaxBanner)
		case !utf8.ValidString(b.text):
			c.add(at, "write it in UTF-8", "the text is not UTF-8")
		}
	}
}
