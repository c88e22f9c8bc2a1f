// Package netdb reads a host's /etc/services and /etc/protocols (services(5), protocols(5)),
// which say what the names of ports and protocols stand for there. It is pure.
package netdb

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bad is a line that says nothing, and why.
type Bad struct {
	Line    int
	Summary string
}

// Services are the ports of a file, by the names and aliases of its lines.
type Services struct {
	ports map[string]uint16 // "telnet/tcp"
	names []string
}

// Port is the port of a service by tcp or udp. Where several lines have a name, the first
// one counts, as for getservbyname(3).
func (s *Services) Port(name, protocol string) (uint16, bool) {
	port, ok := s.ports[name+"/"+protocol]
	return port, ok
}

// Names are all names and aliases, sorted.
func (s *Services) Names() []string { return s.names }

// fields are the words of each line that has some, without its comment.
func fields(text []byte, f func(line int, words []string)) {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			f(n, words)
		}
	}
}

// ParseServices reads a services(5).
func ParseServices(text []byte) (*Services, []Bad) {
	s, names := &Services{ports: map[string]uint16{}}, map[string]bool{}
	var bad []Bad
	fields(text, func(line int, words []string) {
		if len(words) < 2 {
			bad = append(bad, Bad{line, fmt.Sprintf("%q has no port", words[0])})
			return
		}
		number, protocol, ok := strings.Cut(words[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil || port == 0 || protocol == "" {
			bad = append(bad, Bad{line, fmt.Sprintf("%q is no port with its protocol, as 23/tcp", words[1])})
			return
		}
		for _, name := range append(words[2:], words[0]) {
			if key := name + "/" + protocol; s.ports[key] == 0 {
				s.ports[key], names[name] = uint16(port), true
			}
		}
	})
	s.names = slices.Sorted(maps.Keys(names))
	return s, bad
}

// Known are the numbers of the protocols that casemate serves.
var Known = map[string]uint8{"tcp": 6, "udp": 17}

// CheckProtocols holds a protocols(5) to Known: sockets of tcp and udp have the numbers of
// the kernel, whatever a file calls them.
func CheckProtocols(text []byte) (bad []Bad) {
	fields(text, func(line int, words []string) {
		if len(words) < 2 {
			bad = append(bad, Bad{line, fmt.Sprintf("%q has no number", words[0])})
			return
		}
		number, err := strconv.ParseUint(words[1], 10, 16) // Linux has some beyond IP's 8 bits: mptcp is 262
		if err != nil {
			bad = append(bad, Bad{line, fmt.Sprintf("%q is no number of a protocol", words[1])})
			return
		}
		for _, name := range append(words[2:], words[0]) {
			if want, ok := Known[name]; ok && number != uint64(want) {
				bad = append(bad, Bad{line, fmt.Sprintf("%s has number %d here, and is %d", name, number, want)})
			}
		}
	})
	return bad
}
