package root

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server (RFC 1035) on UDP whose zones are below.
type nameServer struct {
	conn  net.PacketConn
	asked atomic.Int64
}

// The zones: reverse and forward. 127.3/16 has names of its own, confirmed, and
// 127.2/16 a server that never answers. What is not there does not exist.
var (
	reverseZone = map[string][]string{
		"127.1.0.1": {"Good.Example.ORG."},
		"127.1.0.2": {"forged.example.org."},
		"127.1.0.5": {"mute.example.org."},
		"127.1.0.6": {"host.evil.example."},
		"127.1.0.8": {"forged.example.org.", "second.example.org."},
		"127.1.0.9": {"good9."}, // good9.example.org is what a search list would make of it
		"::1":       {"six.example.org."},
	}
	forwardZone = map[string]string{
		"good.example.org.":   "127.1.0.1",
		"forged.example.org.": "192.0.2.1",
		"host.evil.example.":  "127.1.0.6",
		"second.example.org.": "127.1.0.8",
		"good9.example.org.":  "127.1.0.9",
		"six.example.org.":    "::1",
	}
)

func startDNS(t *testing.T, addr string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{conn: conn}
	done := make(chan struct{})
	go func() { defer close(done); n.serve(t) }()
	t.Cleanup(func() { conn.Close(); <-done })
	return n
}

// count is how many questions came so far.
func (n *nameServer) count() int64 { return n.asked.Load() }

func (n *nameServer) serve(t *testing.T) {
	buf := make([]byte, 1500)
	for {
		size, peer, err := n.conn.ReadFrom(buf)
		if err != nil {
			return // closed at the end of the test
		}
		n.asked.Add(1)
		answer, err := reply(buf[:size])
		if err != nil {
			t.Errorf("question %x: %v", buf[:size], err)
			return
		}
		if answer != nil {
			_, _ = n.conn.WriteTo(answer, peer) // a client that is gone asks no more
		}
	}
}

// reply makes the answer to one question; nil is silence.
func reply(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, Authoritative: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	name := strings.ToLower(q.Name.String())
	if q.Type == dnsmessage.TypePTR {
		return reverse(&m, q, name)
	}
	return forward(&m, q, name)
}

func reverse(m *dnsmessage.Message, q dnsmessage.Question, name string) ([]byte, error) {
	addr, err := reverseAddr(name)
	if err != nil {
		return nil, err
	}
	text := addr.String()
	names := reverseZone[text]
	switch {
	case strings.HasPrefix(text, "127.2."):
		return nil, nil
	case strings.HasPrefix(text, "127.3."):
		names = []string{"h" + strings.ReplaceAll(text, ".", "-") + ".example.org."}
	case text == "127.1.0.7":
		m.RCode = dnsmessage.RCodeServerFailure
	case names == nil:
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, n := range names {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(n)},
		})
	}
	return m.Pack()
}

func forward(m *dnsmessage.Message, q dnsmessage.Question, name string) ([]byte, error) {
	text, ok := forwardZone[name]
	if own, is := strings.CutPrefix(name, "h127-3-"); is {
		host, _, _ := strings.Cut(own, ".")
		text, ok = "127.3."+strings.ReplaceAll(host, "-", "."), true
	}
	switch {
	case name == "mute.example.org.":
		return nil, nil
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return nil, err
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case q.Type == dnsmessage.TypeA && addr.Is4():
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && addr.Is6():
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	return m.Pack()
}

// reverseAddr is the address that a name of in-addr.arpa or ip6.arpa stands for.
func reverseAddr(name string) (netip.Addr, error) {
	if v4, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		b := strings.Split(v4, ".")
		if len(b) != 4 {
			return netip.Addr{}, fmt.Errorf("%q is no reverse name", name)
		}
		return netip.ParseAddr(b[3] + "." + b[2] + "." + b[1] + "." + b[0])
	}
	nibbles := strings.Split(strings.TrimSuffix(name, ".ip6.arpa."), ".")
	var a [16]byte
	for i, n := range nibbles {
		v, err := strconv.ParseUint(n, 16, 4)
		if err != nil || len(nibbles) != 32 {
			return netip.Addr{}, fmt.Errorf("%q is no reverse name", name)
		}
		a[15-i/2] |= byte(v) << (i % 2 * 4)
	}
	return netip.AddrFrom16(a), nil
}
