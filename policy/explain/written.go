package explain

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"casemate/policy"
	"casemate/policy/input"
	"casemate/sandbox"
)

// Written is a value of a service and where it was written.
type Written struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // file:line:column, or default
}

// Origins tells where the values of a service come from: its block, an entry of
// inetd.conf, the inetd block, or nobody.
func Origins(doc *policy.Document, s *policy.Service) (out []Written) {
	add := func(name, value, at string) {
		out = append(out, Written{name, value, doc.Origins.Lookup("services." + s.Name + "." + at)})
	}
	for i, l := range s.Listen {
		add("listen", l.String(), "listen."+strconv.Itoa(i))
	}
	for i, name := range s.Mux {
		add("listen", "tcpmux:"+name, "mux."+strconv.Itoa(i))
	}
	if s.Builtin != "" {
		add("builtin", s.Builtin, "builtin")
		for i, text := range s.Says {
			add("says", strings.TrimSuffix(text, "\r\n"), "says."+strconv.Itoa(i))
		}
	} else if s.Redirects() {
		add("redirect", Target(s), "redirect")
		if s.ProxyProtocol != "" {
			add("proxy_protocol", s.ProxyProtocol, "proxy_protocol")
		}
	} else {
		add("command", strings.Join(s.Command, " "), "command")
		add("wait", strconv.FormatBool(s.Wait), "wait")
		if s.Stdio == sandbox.StdioRelay {
			add("stdio", string(s.Stdio), "stdio")
		}
		if s.Stdout != "" {
			add("stdout", s.Stdout, "stdout")
		}
	}
	add("user", string(s.User), "user")
	if s.Group != "" {
		add("group", string(s.Group), "group")
	}
	add("acl", s.ACL, "acl")
	add("limit", s.Limit, "limit")
	out = append(out, entryLimits(doc, s)...)
	add("profile", s.Profile, "profile")
	for _, b := range []struct{ name, text string }{{"banner_accept", s.BannerAccept}, {"banner_success", s.BannerSuccess}, {"banner", s.Banner}} {
		if b.text != "" {
			add(b.name, strconv.Quote(b.text), b.name)
		}
	}
	if s.Refuse != "" {
		add("refuse", string(s.Refuse), "refuse")
	}
	return out
}

// Target is where a service with redirect carries its connections, as the policy language
// has it; "" for others.
func Target(s *policy.Service) string {
	if !s.Redirects() {
		return ""
	}
	return strings.TrimPrefix(s.Redirect.String(), "tcp://")
}

// entryLimits are the numbers of a service's limit that its entry has.
func entryLimits(doc *policy.Document, s *policy.Service) (out []Written) {
	l := doc.Policy.Limit(s.Limit)
	if l == nil {
		return nil
	}
	for _, n := range []struct{ name, value string }{
		{"concurrent", strconv.Itoa(l.Concurrent)}, {"rate", FormatRate(l.Rate)},
		{"per_source.concurrent", strconv.Itoa(l.PerSource.Concurrent)}, {"per_source.rate", FormatRate(l.PerSource.Rate)},
	} {
		if at := doc.Origins["limits."+l.Name+"."+n.name]; FromEntry(at) {
			out = append(out, Written{"limit." + n.name, n.value, at})
		}
	}
	return out
}

// FromEntry tells whether an origin is a place in an inetd.conf.
func FromEntry(origin string) bool { return input.IsTable(File(origin)) }

// File is the file of an origin, "file:line:column".
func File(origin string) string {
	for range 2 {
		origin = origin[:max(0, strings.LastIndexByte(origin, ':'))]
	}
	return origin
}

// Line is an origin without its column, for people.
func Line(origin string) string {
	file := File(origin)
	if file == "" {
		return origin
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(origin, file+":"), ":")
	return fmt.Sprintf("%s:%s", path.Clean(file), line)
}
