package chaos

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// promptly is how long what an operator has said may take to hold where the kernel holds it, or to end what it ends, on
// a busy machine.
const promptly = 10 * time.Second

// operators are what people say while all of it goes on.
var operators = []*fault{
	{name: "ban strangers", alone: "ban", do: func(w *world, f *fault, rnd *rand.Rand) {
		from := netip.MustParsePrefix(fmt.Sprintf("127.%d.0.0/16", 1+rnd.IntN(60)))
		w.bans(f, rnd, from, w.open(rnd), rnd.IntN(2) == 0)
	}},
	{name: "ban a good client", cost: anyNumber, after: promptly, alone: "ban", do: func(w *world, f *fault, rnd *rand.Rand) {
		x := w.open(rnd)
		w.bans(f, rnd, netip.MustParsePrefix(x.source+"/32"), x, false)
	}},
	{name: "drain", cost: anyNumber, after: moment, alone: "drain", do: func(w *world, f *fault, rnd *rand.Rand) {
		x := w.open(rnd)
		h := w.ledger.begin(f, x.name)
		w.says(control.Request{Verb: control.VerbDrain, Service: x.name})
		pause(rnd, 500)
		w.says(control.Request{Verb: control.VerbUndrain, Service: x.name})
		w.ledger.end(h)
	}},
}

// open is a service that decides itself about its clients' connections, and admits them.
func (w *world) open(rnd *rand.Rand) *target {
	for {
		if x := w.site.targets[rnd.IntN(len(w.site.targets))]; !x.closed && !x.wait && x.network == "tcp" {
			return x
		}
	}
}

// bans shuts somebody out of one service for a while. From the answer on nobody who comes from there is served, whatever else
// happens.
func (w *world) bans(f *fault, rnd *rand.Rand, from netip.Prefix, x *target, ends bool) {
	good := from.IsSingleIP()
	h := w.ledger.begin(f, x.name)
	w.says(control.Request{Verb: control.VerbBan, Prefix: from, Services: []string{x.name}, Ends: ends})
	address := from.Addr().String()
	if !good {
		address = from.Addr().Next().String()
	}
	for range 3 {
		if w.served(x, address) {
			w.t.Errorf("%s serves %s, which is banned from it", x.name, address)
		}
		pause(rnd, 300)
	}
	w.says(control.Request{Verb: control.VerbUnban, Prefix: from, Services: []string{x.name}})
	w.ledger.end(h)
}

// served tells whether a service answers to a client at an address within a moment.
func (w *world) served(x *target, address string) bool {
	c, err := (&net.Dialer{Timeout: retry, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial(x.network, x.address)
	if err != nil {
		return false
	}
	defer c.Close()
	for _, g := range w.goods {
		if g.target == x {
			g.mu.Lock()
			g.tried[c.LocalAddr().String()]++ // the good client comes from there, too
			g.mu.Unlock()
		}
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.WriteString(c, "say there\n")
	n, _ := c.Read(make([]byte, 1))
	return n > 0
}

// says makes a request until it is answered: a broker that is killed meanwhile has the next one answer.
func (w *world) says(r control.Request) *control.Response {
	var a *control.Response
	if err := rig.Until(deadline, func() (err error) {
		if a, err = w.broker.Request(r); err == nil && !a.OK && a.Unmet == "" && a.Diagnostics == nil {
			err = errors.New(a.Error)
		}
		return err
	}); err != nil {
		w.t.Errorf("%s: %v", r.Verb, err)
		return &control.Response{}
	}
	return a
}

// narrow loads a policy that shuts some strangers out and ends their sessions, and then another one.
func narrow(w *world, f *fault, rnd *rand.Rand) {
	h := w.ledger.begin(f, "")
	defer w.ledger.end(h)
	w.write(w.site.text(narrows))
	a, err := w.broker.Request(control.Request{Verb: control.VerbReload, Ends: true})
	if err != nil || !a.OK {
		return // no descriptors, no pids, no broker
	}
	asked := time.Now()
	if err := rig.Until(promptly, func() error {
		s, err := w.broker.Status()
		if err != nil || s.Digest != a.Digest {
			return nil // another broker, or somebody's HUP beside
		}
		for _, x := range s.Sessions {
			if from, err := netip.ParseAddrPort(x.Client); err == nil && narrowed.Contains(from.Addr()) && x.Started.Before(asked) && ruled(w, x.Service) {
				return fmt.Errorf("session %d of %s from %s goes on", x.ID, x.Service, x.Client)
			}
		}
		return nil
	}); err != nil {
		w.t.Errorf("after a reload that ends who is not admitted: %v", err)
	}
	w.write(w.site.text(0))
	_, _ = w.broker.Request(control.Request{Verb: control.VerbReload})
}

// ruled tells whether a service has the rules that one variant narrows.
func ruled(w *world, name string) bool {
	for _, x := range w.site.targets {
		if x.name == name {
			return !x.closed && !x.wait
		}
	}
	return false
}

// killBroker kills the process that accepts. What it has accepted and not handed on goes with it. The workers of built-ins, which
// talk through it, are ended by the next one, and the clients with them that they have then. Nobody else is lost who comes after
// its end, and programs go on.
func killBroker(w *world, f *fault, rnd *rand.Rand) {
	pid, err := w.broker.Acceptor()
	if err != nil {
		return
	}
	workers := *f
	workers.after = promptly
	defer w.builtins(&workers)()
	w.hit(f, rnd, func(*world) []prey { return []prey{{pid: pid}} }, func(pidfd int) {
		w.mu.Lock()
		w.brokers++
		w.since = time.Now()
		w.mu.Unlock()
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		if err := rig.Until(deadline, func() error {
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 10); n != 1 {
				return fmt.Errorf("the broker runs after it was killed: %v", err)
			}
			return nil
		}); err != nil {
			w.t.Error(err)
		}
	})
	if err := rig.Until(deadline, func() error {
		if now, err := w.broker.Acceptor(); err != nil || now == pid {
			return fmt.Errorf("no broker follows %d: %v", pid, err)
		}
		s, err := w.broker.Status()
		if err == nil && s.Generation == 0 {
			err = errors.New("it has loaded nothing yet")
		}
		return err
	}); err != nil {
		w.t.Error(err)
	}
	pause(rnd, 100)
}
