package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
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
