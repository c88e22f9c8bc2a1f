package builtin

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// protocol is one built-in service in its two forms.
type protocol struct {
	// A stream protocol is prompt if it waits for nothing but its client: opening is all that a client gets, at once and put behind
	// out, which has room for chunk bytes; or reply is what goes back of what came, at once, nil for nothing.
	opening func(out []byte, now time.Time) []byte
	reply   func(b []byte) []byte
	// stream serves one connection of any other until it is over.
	stream func(c *conn) error
	// datagram answers one datagram, from out, which has room for maxReply bytes, or with what was asked, or
	// says that there is no answer. nil is a protocol without udp.
	datagram func(req, out []byte, now time.Time) (answer []byte, ok bool)
	// fixed is how long an answer may be whatever was asked: that of a protocol whose clients ask with nothing. No
	// other is longer than its question.
	fixed int
}

// answer is that to a datagram, which is never longer than the protocol lets it be: a forged source would get it.
func (p *protocol) answer(req, out []byte, now time.Time) ([]byte, bool) {
	answer, ok := p.datagram(req, out, now)
	return answer, ok && len(answer) <= max(len(req), p.fixed)
}

// protocols make each of them for what the policy says of it.
var protocols = map[string]func(*Config) protocol{
	"auth":    auth,
	"echo":    protocol{reply: func(b []byte) []byte { return b }, datagram: datagramEcho}.always, // RFC 862
	"discard": protocol{reply: func([]byte) []byte { return nil }, datagram: datagramDiscard}.always,
	"chargen": protocol{stream: streamChargen, datagram: datagramChargen}.always,
	"daytime": protocol{opening: appendDaytime, datagram: datagramDaytime, fixed: len(daytimeLayout)}.always,
	"qotd":    qotd,
	"tcpmux":  protocol{}.always, // server.multiplex
	"time":    protocol{opening: appendTime, datagram: datagramTime, fixed: 4}.always,
}

// prompt tells whether a goroutine for each client would be too much: see reactor.
func (p *protocol) prompt() bool { return p.opening != nil || p.reply != nil }

// always is a protocol of which a policy says nothing.
func (p protocol) always(*Config) protocol { return p }

// Names lists the built-in protocols in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(protocols))
	for name := range protocols {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// chunk is all the memory a connection has for data.
const chunk = 4096

// streamChargen sends the pattern until the client is gone (RFC 864). What the
// client sends is thrown away as it comes, since a reset is how it says it has
// enough, and that is seen only by reading up to it.
func streamChargen(c *conn) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_ = c.drain(make([]byte, 512))
	}()
	var err error
	for err == nil {
		_, err = c.Write(pattern)
	}
	c.interrupt()
	<-drained
	return err
}

func datagramEcho(req, _ []byte, _ time.Time) ([]byte, bool) { return req, true }

func datagramDiscard([]byte, []byte, time.Time) ([]byte, bool) { return nil, false }

// datagramChargen sends at most as much as came: RFC 864's 0 to 512 random
// bytes would let a forged source multiply traffic.
func datagramChargen(req, _ []byte, _ time.Time) ([]byte, bool) {
	const longest = 512
	return pattern[:min(len(req), longest)], true
}

// datagramDaytime and datagramTime answer even an empty datagram, as RFC 867 and
// 868 clients send it, but never what could itself be an answer: two servers would
// keep each other busy for ever (CVE-2024-2169).
func datagramDaytime(req, out []byte, now time.Time) ([]byte, bool) {
	if len(req) == len(daytimeLayout) && req[len(req)-1] == '\n' {
		if _, err := time.Parse(daytimeLayout, string(req)); err == nil {
			return nil, false
		}
	}
	return appendDaytime(out[:0], now), true
}

func datagramTime(req, out []byte, now time.Time) ([]byte, bool) {
	if len(req) == 4 {
		// Any time within some years is somebody's clock. Text such as "time" is not.
		const years = 20 * 365 * 24 * 3600
		if diff := int32(binary.BigEndian.Uint32(req) - seconds1900(now)); diff > -years && diff < years {
			return nil, false
		}
	}
	return appendTime(out[:0], now), true
}

// daytimeLayout is ctime(3)'s form, which every inetd sends.
const daytimeLayout = time.ANSIC + "\r\n"

func appendDaytime(b []byte, now time.Time) []byte { return now.AppendFormat(b, daytimeLayout) }

// appendTime is the time protocol's answer: 4 bytes in network order.
func appendTime(b []byte, now time.Time) []byte {
	return binary.BigEndian.AppendUint32(b, seconds1900(now))
}

// seconds1900 is seconds since 1900 modulo 2^32, which wraps in 2036 as the
// protocol does (RFC 868).
func seconds1900(now time.Time) uint32 {
	const to1970 = 2208988800
	return uint32(now.Unix() + to1970)
}

// pattern is chargen's whole cycle: 95 lines, each of 72 of the 95 printable
// characters and starting one further than the one before.
var pattern = func() []byte {
	const width, first, count = 72, int(' '), int('~' - ' ' + 1)
	b := make([]byte, 0, count*(width+2))
	for line := range count {
		for col := range width {
			b = append(b, byte(first+(line+col)%count))
		}
		b = append(b, '\r', '\n')
	}
	return b
}()

// end turns the client's regular end into nil.
func end(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
