package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
)

// tickEvery is how often the ledger looks for what is due while it holds anything.
const tickEvery = 250 * time.Millisecond

// closeGrace is how long an ending worker waits for a log that is not read.
const closeGrace = time.Second

// runLog sends the broker lines for its log, until the broker ends its side of
// their socket.
func runLog(ctx context.Context) error {
	broker, err := brokerSocket()
	if err != nil {
		return err
	}
	defer broker.Close()
	log := journal.New(lineSender{broker}, os.Getenv("JOURNAL_STREAM") != "")
	defer log.Close(closeGrace)
	err = newLogWorker(broker, log.Now).run(ctx)
	if err != nil { // nobody sees a worker's stderr
		log.Now(&journal.Note{At: time.Now(), Level: slog.LevelError, Msg: "log worker ends", Error: err.Error()})
	}
	return err
}

// lineSender sends whole lines to the broker.
type lineSender struct{ broker io.Writer }

func (s lineSender) Write(lines []byte) (int, error) {
	n, err := s.broker.Write(wire.Report{Kind: wire.Lines, LogText: lines}.Encode())
	return max(n-1, 0), err
}

// logWorker feeds one ledger from the broker's socket, the services' stderr and
// the audit socket. Each of them has a goroutine that reads; the ledger lives on run's.
type logWorker struct {
	broker  *net.UnixConn
	ledger  *ledger
	orders  chan delivered
	written chan written
	sources map[uint32]*reading
	done    chan struct{}
}

type delivered struct {
	order wire.Order
	file  *os.File // the descriptor that came with it, or nil
	err   error
}

// written is one write of a service.
type written struct {
	slot, pid, uid uint32
	data           []byte
}

func newLogWorker(broker *net.UnixConn, out func(journal.Record)) *logWorker {
	w := &logWorker{broker: broker, orders: make(chan delivered), written: make(chan written),
		sources: make(map[uint32]*reading), done: make(chan struct{})}
	w.ledger = newLedger(out, func(pid, uid uint32) { w.tell(wire.Report{Kind: wire.Whose, PID: pid, UID: uid}) })
	return w
}

// tell sends a message. A broker that is gone is noticed by readOrders.
func (w *logWorker) tell(r wire.Report) { _, _ = w.broker.Write(r.Encode()) }

func (w *logWorker) run(ctx context.Context) error {
	defer w.end()
	go w.readOrders()
	timer := time.NewTimer(tickEvery)
	ticking := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-w.orders:
			if errors.Is(d.err, io.EOF) {
				for slot, s := range w.sources {
					w.rest(slot, s, time.Now())
				}
				return nil
			}
			if d.err == nil {
				d.err = w.obey(d)
			}
			if d.err != nil {
				return d.err
			}
		case x := <-w.written:
			w.ledger.write(x.slot, x.pid, x.uid, x.data, time.Now())
			if !ticking {
				timer.Reset(tickEvery)
				ticking = true
			}
		case <-timer.C:
			// Nothing held, nothing to do: an idle worker sleeps.
			if ticking = w.ledger.tick(time.Now()); ticking {
				timer.Reset(tickEvery)
			}
		}
	}
}

func (w *logWorker) end() {
	close(w.done)
	w.ledger.finish(time.Now())
	for _, s := range w.sources {
		_ = s.conn.Close()
	}
}

// obey does what one message says.
func (w *logWorker) obey(d delivered) error {
	now := time.Now()
	switch o := d.order; o.Kind {
	case wire.Attach, wire.Records:
		return w.attach(o, d.file, now)
	case wire.Detach:
		if s := w.sources[o.Slot]; s != nil {
			w.rest(o.Slot, s, now)
			_ = s.conn.Close()
			delete(w.sources, o.Slot)
		}
		w.ledger.detach(o.Slot, now)
	case wire.Audit:
		return w.readAudit(d.file)
	case wire.Belongs:
		w.ledger.answer(o.PID, o.ID, now)
	}
	return nil
}

func (w *logWorker) attach(o wire.Order, f *os.File, now time.Time) error {
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("stderr of %s: %w", o.Name, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok || w.sources[o.Slot] != nil {
		c.Close()
		return fmt.Errorf("stderr of %s: no new unix socket", o.Name)
	}
	s := &reading{u, make(chan struct{})}
	w.sources[o.Slot] = s
	w.ledger.attach(o.Slot, o.Name, o.Kind == wire.Records, now)
	go w.readSource(o.Slot, s)
	return nil
}
