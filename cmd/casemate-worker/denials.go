package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/policy/denied"
)

// runDenials answers what the filters of services deny, and tells the broker's log,
// until the broker tells it to end or ends its side of their socket.
func runDenials(ctx context.Context, _ []string) error {
	broker, err := brokerSocket()
	if err != nil {
		return err
	}
	defer broker.Close()
	log := journal.New(lineSender{broker}, os.Getenv("JOURNAL_STREAM") != "")
	defer log.Close(closeGrace)
	d := newDenials(broker, log.Now)
	d.behind = log.Behind
	err = d.run(ctx)
	if err != nil { // nobody sees a worker's stderr
		log.Now(&journal.Note{At: time.Now(), Level: slog.LevelError, Msg: "denials worker ends", Attrs: []slog.Attr{slog.String("error", err.Error())}})
	}
	return err
}

// denials is the worker: a goroutine for each filter waits for calls that it denies.
type denials struct {
	broker *net.UnixConn
	parent int32 // the broker's process
	ledger *denialLedger
	done   chan struct{}
	last   chan struct{}  // closed once no further call is taken
	busy   sync.WaitGroup // filters, and calls that were taken and are not answered
	behind func() bool    // what the ledger said is not with the broker yet

	mu      sync.Mutex
	filters map[*filter]bool
	token   uint64
	asked   map[uint64]chan uint64  // what the broker has not answered, by token
	members map[int32]member        // by process session (getsid), and by process that has children
	callers map[int32]chan struct{} // by their parent; closed when one has been asked about
}

// member is what the broker said of a process session, or of a process.
type member struct {
	id uint64
	at time.Time
}

// How long the broker's word on one counts: its number may be given again after its last process.
const memberFor = time.Second

func newDenials(broker *net.UnixConn, out func(journal.Record)) *denials {
	return &denials{broker: broker, parent: parent(int32(os.Getpid())), ledger: newDenialLedger(out), done: make(chan struct{}), last: make(chan struct{}),
		filters: make(map[*filter]bool), asked: make(map[uint64]chan uint64), members: make(map[int32]member), callers: make(map[int32]chan struct{})}
}

func (d *denials) run(ctx context.Context) error {
	defer d.ledger.finish()
	defer close(d.done)
	orders := make(chan delivered)
	go func() {
		for r := newOrderReader(d.broker); ; {
			got := r.read()
			select {
			case orders <- got:
			case <-d.done:
				return
			}
			if got.err != nil {
				return
			}
		}
	}()
	answered := make(chan struct{})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-answered:
			_, _ = d.broker.Write(far.EncodeReport(wire.Report{Kind: wire.Last}))
			return nil
		case got := <-orders:
			switch {
			case errors.Is(got.err, io.EOF):
				return nil
			case got.err != nil:
				return got.err
			case got.order.Kind == wire.Last:
				d.leave(answered)
				continue
			}
			if err := d.obey(got); err != nil {
				return err
			}
		}
	}
}

// leave takes no further call: those wait for the next worker. answered is closed when all that were taken
// have their answer.
func (d *denials) leave(answered chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leaving() {
		return
	}
	close(d.last)
	for f := range d.filters {
		_ = f.file.SetReadDeadline(time.Now()) // of a file that Go waits for it does not fail
	}
	go func() {
		d.busy.Wait()
		close(answered)
	}()
}

// leaving tells whether it is to end.
func (d *denials) leaving() bool {
	select {
	case <-d.last:
		return true
	default:
		return false
	}
}

// obey does what one message says.
func (d *denials) obey(got delivered) error {
	switch o := got.order; o.Kind {
	case wire.Filter:
		var f denied.Service
		if err := json.Unmarshal([]byte(o.Name), &f); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		return d.listen(f, got.file)
	case wire.Member:
		d.mu.Lock()
		if c := d.asked[o.Token]; c != nil {
			c <- o.ID // has room for it
		}
		d.mu.Unlock()
	case wire.Over:
		d.ledger.over(o.ID) // first, so that remember knows
		d.forget(o.ID)
	case wire.Ping:
		if o.Token > 0 {
			caughtUp(d.behind)
		}
		_, _ = d.broker.Write(far.EncodeReport(wire.Report{Kind: wire.Pong, ID: o.Token})) // a broker that is gone is noticed by reading
	}
	return nil
}

// askFor is how long one question waits for the broker.
const askFor = time.Second

// ask has the broker say whose process this is, by those it descends from; 0 is nobody's.
func (d *denials) ask(pids []int32) uint64 {
	answer := make(chan uint64, 1)
	d.mu.Lock()
	d.token++
	token := d.token
	d.asked[token] = answer
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.asked, token)
		d.mu.Unlock()
	}()
	if _, err := d.broker.Write(far.EncodeReport(wire.Report{Kind: wire.Whose, ID: token, PIDs: pids})); err != nil {
		return 0
	}
	late := time.NewTimer(askFor)
	defer late.Stop()
	select {
	case id := <-answer:
		return id
	case <-late.C:
	case <-d.done:
	}
	return 0
}

// whose is the session of a process with that lineage, and the parent by which it is of that, 0 where
// it is the session's own.
func (d *denials) whose(line []int32, pid int32) (id uint64, up int32) {
	above := line[1:]
	if len(above) > 0 && above[0] == pid {
		above = above[1:]
	}
	if len(above) > 0 {
		if id := d.ask(above); id != 0 {
			return id, parent(pid)
		}
	}
	return d.ask(line), 0
}

// sibling waits, once, for a process with the same parent that is asked about. What it returns ends one's own turn.
func (d *denials) sibling(parent int32) func() {
	if parent <= 1 || parent == d.parent { // children of the broker's are sessions of their own
		return func() {}
	}
	d.mu.Lock()
	if ahead := d.callers[parent]; ahead != nil {
		d.mu.Unlock()
		select {
		case <-ahead:
		case <-d.done:
		}
		return func() {}
	}
	turn := make(chan struct{})
	d.callers[parent] = turn
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		delete(d.callers, parent)
		d.mu.Unlock()
		close(turn)
	}
}

// maxMembers bounds what is remembered; beyond it all is forgotten, and asked again.
const maxMembers = 4096

func (d *denials) remember(pid int32, id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if pid <= 0 || d.ledger.ended(id) {
		return // it is nobody's, or the broker's answer is older than the session's end
	}
	if len(d.members) >= maxMembers {
		clear(d.members)
	}
	d.members[pid] = member{id, time.Now()}
}

func (d *denials) recall(pid int32) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.members[pid]; time.Since(m.at) < memberFor {
		return m.id
	}
	return 0
}

// forget what is known of a session that is over.
func (d *denials) forget(id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for pid, m := range d.members {
		if m.id == id {
			delete(d.members, pid)
		}
	}
}
