package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
)

// tickEvery is how often the ledger looks for what is due while it holds anything.
const tickEvery = 250 * time.Millisecond

// closeGrace is how long an ending worker waits for a log that is not read.
const closeGrace = time.Second

// runLog sends the broker lines for its log, until the broker tells it to end or
// ends its side of their socket.
func runLog(ctx context.Context, _ []string) error {
	broker, err := brokerSocket()
	if err != nil {
		return err
	}
	defer broker.Close()
	priority := os.Getenv("JOURNAL_STREAM") != ""
	log := journal.New(lineSender{broker}, priority)
	defer log.Close(closeGrace)
	w := newLogWorker(broker, log.Put)
	w.ledger.priority, w.flush, w.behind = priority, log.Flush, log.Behind
	if err = w.run(ctx); err != nil { // nobody sees a worker's stderr
		log.Now(&journal.Note{At: time.Now(), Level: slog.LevelError, Msg: "log worker ends", Attrs: []slog.Attr{slog.String("error", err.Error())}})
	}
	return err
}

// caughtUp waits until what was logged is with the broker.
func caughtUp(behind func() bool) {
	for end := time.Now().Add(closeGrace); behind() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// lineSender sends whole lines to the broker.
type lineSender struct{ broker io.Writer }

func (s lineSender) Write(lines []byte) (int, error) {
	m := far.EncodeReport(wire.Report{Kind: wire.Lines, LogText: lines})
	n, err := s.broker.Write(m)
	return max(n-len(m)+len(lines), 0), err
}

// logWorker feeds one ledger from the broker's socket, the sessions' pipes and the
// audit socket. Goroutines wait for each of them; all the rest lives on run's.
type logWorker struct {
	broker *net.UnixConn
	ledger *ledger
	kills  *kills
	orders chan delivered
	pipes  *pipes
	flush  func()      // hands over what was said: a message for each line would cost the broker more than all lines
	behind func() bool // what was handed over is not with the broker yet
	pinged uint64      // by whom all is to be said before it is answered; 0 = nobody
	last   bool        // there is nothing more to come than what the pipes hold
	done   chan struct{}
}

type delivered struct {
	order wire.Order
	file  *os.File // the descriptor that came with it, or nil
	err   error
}

func newLogWorker(broker *net.UnixConn, out func(journal.Record)) *logWorker {
	w := &logWorker{broker: broker, orders: make(chan delivered), ledger: newLedger(out), kills: newKills(out), flush: func() {}, done: make(chan struct{})}
	return w
}

// tell sends a message. A broker that is gone is noticed by readOrders.
func (w *logWorker) tell(r wire.Report) { _, _ = w.broker.Write(far.EncodeReport(r)) }

func (w *logWorker) run(ctx context.Context) (err error) {
	if w.pipes, err = newPipes(w.tell, w.ledger); err != nil {
		return err
	}
	defer w.end()
	go w.readOrders()
	go w.pipes.wait(w.done)
	timer := time.NewTimer(tickEvery)
	ticking := true
	for !w.last || !w.pipes.rest(time.Now()) {
		select {
		case <-ctx.Done():
			return nil
		case d := <-w.orders:
			if errors.Is(d.err, io.EOF) {
				return nil
			}
			if d.err == nil {
				d.err = w.obey(d)
			}
			if d.err != nil {
				return d.err
			}
		case m := <-w.pipes.back:
			if err := w.pipes.returned(m, time.Now()); err != nil {
				return err
			}
		case <-w.pipes.some:
			w.pipes.read(time.Now())
			w.pipes.taken <- w.pipes.full
		case v := <-w.kills.heard:
			w.kills.call(v, time.Now())
		case <-timer.C:
			ticking = false
		}
		// Nothing held, nothing to do: an idle worker sleeps.
		if !ticking {
			now := time.Now()
			lines, kills := w.ledger.tick(now), w.kills.tick(now)
			if ticking = lines || kills; ticking {
				timer.Reset(tickEvery)
			}
		}
		w.flush()
		if w.pinged > 0 && w.pipes.away == 0 && len(w.kills.killed) == 0 { // else the kernel has not told which call it was
			caughtUp(w.behind)
			w.tell(wire.Report{Kind: wire.Pong, ID: w.pinged})
			w.pinged = 0
		}
	}
	return nil
}

func (w *logWorker) end() {
	close(w.done)
	w.pipes.rest(time.Now())
	w.ledger.finish(time.Now())
	w.kills.finish(time.Now())
	w.flush()
	w.pipes.close()
}

// obey does what one message says.
func (w *logWorker) obey(d delivered) error {
	switch o := d.order; o.Kind {
	case wire.Text, wire.Stdout, wire.Syslog, wire.Records:
		return w.pipes.add(o, d.file)
	case wire.Audit:
		return w.readAudit(d.file)
	case wire.Killed:
		w.kills.program(o, time.Now())
	case wire.Ping:
		if o.Token == 0 {
			w.tell(wire.Report{Kind: wire.Pong})
			break
		}
		w.pinged = o.Token
		w.pipes.rest(time.Now())
	case wire.Last:
		w.last = true
	}
	return nil
}

// readOrders hands the broker's messages on, until its socket ends.
func (w *logWorker) readOrders() {
	for r := newOrderReader(w.broker); ; {
		d := r.read()
		select {
		case w.orders <- d:
		case <-w.done:
			if d.file != nil {
				d.file.Close()
			}
			return
		}
		if d.err != nil {
			return
		}
	}
}
