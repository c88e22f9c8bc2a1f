package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"casemate/acl/decide"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
)

// The bounds of the names worker.
const (
	namesDeadline = 2 * time.Second // from a question's arrival to its answer
	namesInFlight = 64              // addresses asked at the same time
	namesQueued   = 256             // addresses that wait for their turn
	namesWaiters  = 64              // questions that wait for one address
)

// runNames answers the broker's questions until it closes its socket.
func runNames(ctx context.Context, _ []string) error {
	broker, err := brokerSocket()
	if err != nil {
		return err
	}
	defer broker.Close()
	defer context.AfterFunc(ctx, func() { broker.Close() })()
	a := newAsker(&net.Resolver{PreferGo: true}, func(id uint64, r decide.Name) {
		// A broker that is gone needs no answers, and the loop below notices it.
		_, _ = broker.Write(far.EncodeReport(wire.Report{Kind: wire.Named, ID: id, Name: r}))
	})
	for orders := newOrderReader(broker); ; {
		d := orders.read()
		if errors.Is(d.err, io.EOF) || errors.Is(d.err, net.ErrClosed) || d.order.Kind == wire.Last {
			return nil
		}
		if d.err != nil {
			return d.err
		}
		addr, err := asked(d.order)
		if err != nil {
			return err
		}
		a.ask(ctx, d.order.ID, addr)
	}
}

// asked is the address that the broker asks about.
func asked(o wire.Order) (netip.Addr, error) {
	addr, ok := netip.AddrFromSlice([]byte(o.Name))
	if o.Kind != wire.Ask || !ok || addr.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%q about %x is no question", string(o.Kind), o.Name)
	}
	return addr, nil
}

// resolver is the part of net.Resolver that is used. Its errors tell "there is
// no such name" (DNSError.IsNotFound) from everything else.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// maxPTR is how many names of one address are tried.
const maxPTR = 8

// lookup finds the forward-confirmed name of addr: one of its PTR names that has
// addr among its own addresses. Anything the resolver could not tell counts as no
// answer, never as "there is none", because rules treat these differently
// (CVE-2000-0536 was a name check that a silent resolver passed).
func lookup(ctx context.Context, r resolver, addr netip.Addr) decide.Name {
	names, err := r.LookupAddr(ctx, addr.String())
	if len(names) == 0 {
		if err != nil && !notFound(err) {
			return decide.Name{State: decide.NoAnswer}
		}
		return decide.Name{State: decide.Unknown}
	}
	network := "ip6"
	if addr.Is4() {
		network = "ip4"
	}
	status := decide.Paranoid
	for _, name := range names[:min(len(names), maxPTR)] {
		host, ok := canonical(name)
		if !ok {
			continue
		}
		back, err := r.LookupNetIP(ctx, network, spelling(name, host))
		for _, b := range back {
			if b.Unmap().WithZone("") == addr {
				return decide.Name{State: decide.Known, Host: host}
			}
		}
		if err != nil && !notFound(err) {
			status = decide.NoAnswer
		}
	}
	return decide.Name{State: status}
}

// spelling is host as the resolver is asked for it. The final dot keeps
// resolv.conf's search list out of it; DNS names have one. A name without any
// dot is from hosts(5), where the resolver finds it in just that spelling.
func spelling(name, host string) string {
	if !strings.Contains(name, ".") {
		return host
	}
	return host + "."
}

func notFound(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// canonical is a DNS name in lower case and without its final dot, if it is one
// that may stand in environments and records: at most 253 bytes of [a-z0-9._-],
// no empty label, no dash at either end. An address is no name.
func canonical(name string) (string, bool) {
	if len(name) > 0 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if len(name) == 0 || len(name) > 253 || name[0] == '-' || name[len(name)-1] == '-' {
		return "", false
	}
	b := []byte(name)
	label := 0
	for i, c := range b {
		switch {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = -1
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
		label++
	}
	if _, err := netip.ParseAddr(name); err == nil || label == 0 || label > 63 {
		return "", false
	}
	return string(b), true
}
