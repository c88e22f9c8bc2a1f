package warden

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"casemate/listener"
	"casemate/policy/granted"
	"casemate/sandbox/panics"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Broker is the broker's process, as root sees it. What it asks for is no more than what the
// documents that the compiler gave say: it names their services, and what was made of these, by name and number.
type Broker struct {
	w      *Warden
	conf   BrokerConfig
	final  atomic.Bool // no broker follows it
	pid    int
	errand int // the socket
	wire   *Wire

	sending sync.Mutex
	mu      sync.Mutex // of what follows
	last    uint64
	docs    map[string]*granted.Document // by digest: in force, and the newest
	newest  string
	force   *granted.Document // in force
	resume  *granted.Document // what was in force with the broker before, which is loaded first
	sites   map[uint64]*surveyed
	cells   map[uint64]*lent
	sockets map[uint64]*listener.Socket
	specs   map[string]map[listener.Spec]bool // what the documents list, by digest
	left    map[string]*listener.Socket       // by key: what the broker before had
	roles   map[string]*Helper
	lent    []uint32   // the first uids of the blocks that brokers lease from, on the loop
	again   []uint32   // those among them that this one has not asked for yet
	files   sync.Mutex // held by who opens or changes a listener
}

// lent is a cell that the broker has a number for.
type lent struct {
	sync.RWMutex
	Cell
}

// surveyed is a site with its jobs, which Find and Plan make.
type surveyed struct {
	sync.RWMutex
	*Site
	programs []*granted.Service
	jobs     map[int]*Job // by their place there
}

// BrokerConfig is what root does for the broker beside a Warden's work.
type BrokerConfig struct {
	// OpenLog opens the log again; nil where it stays.
	OpenLog func() (*os.File, error)
	// Tell tells a service manager.
	Tell func(state string)
	// Ready is called when the first policy is in force.
	Ready func()
	// Ended is called when it has ended, with why.
	Ended func(error)
}

// serve answers errands until the socket ends. Each has a goroutine of its own, none of which is left when it returns:
// what they make is the broker's, and who comes after it takes that over.
func (b *Broker) serve() error {
	buf := make([]byte, MaxErrand+1)
	places := make(chan struct{}, maxErrands)
	defer func() {
		b.Kill() // if it has not ended: nobody answers it
		for range maxErrands {
			if b.final.Load() {
				return // nobody comes after it, and a compiler may take its time
			}
			places <- struct{}{}
		}
	}()
	for {
		var q Asked
		fds, err := Receive(b.errand, buf, &q)
		if err != nil {
			return err
		}
		places <- struct{}{}
		panics.Go(func() error {
			var a Answer
			var give []int
			err := panics.Try(func() (err error) { a, give, err = b.do(q, fds); return err })
			if a.ID, a.Fault = q.ID, NewFault(err); err != nil {
				give = nil // -1 among them, with which there would be no answer
			}
			b.sending.Lock()
			defer b.sending.Unlock()
			err = Send(b.errand, a, give...)
			if !slices.Contains(stay, q.Do) {
				CloseAll(give)
			}
			return err
		}, func(error) { <-places })
	}
}

// stay are the errands whose descriptors are root's as well.
var stay = []Errand{DoPrepare, DoOpen, DoSibling}

// maxErrands is how many are done at a time.
const maxErrands = 64

// errStrange is the answer to what no document and no errand before has named.
var errStrange = errors.New("the broker asked for what there is not")

// do does one errand. fds are closed.
func (b *Broker) do(q Asked, fds []int) (a Answer, give []int, err error) {
	if q.Do != DoUndertake {
		defer CloseAll(fds)
	}
	switch q.Do {
	case DoCompile, DoPast, DoRecall, DoForget, DoForce, DoSite:
		return b.document(q)
	case DoRead, DoFind, DoStamp, DoLeaveSite:
		a, err = b.survey(q)
	case DoPlan, DoPrepare, DoSpawn, DoRetire, DoState, DoCloseCell:
		return b.sandboxes(q)
	case DoOpen, DoSibling, DoReconfigure, DoRestore, DoClose, DoSpent:
		return b.socket(q)
	case DoHelperStamp, DoHelper:
		return b.helper(q)
	case DoAudit:
		fd, err := b.w.Audit()
		return a, []int{fd}, err
	case DoLease:
		derr := b.w.loop.Do(func() { a.Number, err = b.lease() })
		err = errors.Join(derr, err)
	case DoLeft:
		err = b.w.loop.Do(func() {
			for pid, c := range b.w.known {
				if c.text != nil {
					a.Left = append(a.Left, Survivor{pid, c.text})
				}
			}
		})
	case DoLeave:
		derr := b.w.loop.Do(func() { err = b.w.blocks.Leave() })
		err = errors.Join(derr, err)
	case DoLog:
		if b.conf.OpenLog == nil {
			return a, nil, errStrange
		}
		f, err := b.conf.OpenLog()
		if err != nil {
			return a, nil, err
		}
		defer f.Close()
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		return a, []int{fd}, err
	case DoTell:
		var of, all int
		_, _ = fmt.Sscanf(q.Name, servingText, &of, &all)
		if q.Name == "READY=1" || q.Name == "WATCHDOG=1" || q.Name == fmt.Sprintf(servingText, of, all) {
			b.conf.Tell(q.Name)
		}
	case DoUndertake:
		err = zygote.Undertake(fds)
	default:
		err = errStrange
	}
	return a, give, err
}

// helper starts a role of casemate-worker.
func (b *Broker) helper(q Asked) (a Answer, give []int, err error) {
	r := b.roles[q.Name]
	switch {
	case r == nil:
		err = errStrange
	case q.Do == DoHelperStamp:
		a.Stamp = r.Stamp()
	default:
		var fd int
		if a.PID, fd, a.Losses, err = r.Start(); err == nil {
			a.Stamp, give = r.Made(), []int{fd}
		}
	}
	return a, give, err
}

// lease gives a block of uids to lease from, one that the broker before had if there is any.
func (b *Broker) lease() (uint64, error) {
	if len(b.again) > 0 {
		first := b.again[0]
		b.again = b.again[1:]
		return uint64(first), nil
	}
	first, err := b.w.blocks.Take()
	if err == nil {
		b.lent = append(b.lent, first)
	}
	return uint64(first), err
}

// servingText is what a service manager may be told beside READY=1.
const servingText = "STATUS=serving %d of %d services"

func (b *Broker) number() uint64 { b.last++; return b.last }

// heard does what the broker tells, on the loop.
func (b *Broker) heard(t Tiding) {
	switch pid := int(t.N[0]); t.Kind {
	case TellTake, TellAdopt:
		c := b.w.known[int(t.N[1])]
		ok := t.Kind == TellAdopt && c != nil && c.text != nil || t.Kind == TellTake && b.w.Take(int(t.N[1]), t.Text, nil)
		if !ok || t.N[2] != 0 {
			b.wire.Send(Tiding{Kind: TellTaken, N: [5]int64{t.N[0], map[bool]int64{true: 1}[ok]}})
		}
		if ok {
			c = b.w.known[int(t.N[1])]
			c.by, c.ended = b.wire, func(e Exit) { b.wire.Send(e.Tiding(t.N[0])) }
			if t.Kind == TellAdopt {
				c.Ready(0) // it may have ended in between
			}
		}
	case TellKill:
		b.w.Kill(pid, unix.Signal(t.N[1]))
	case TellBury:
		b.w.Bury(pid)
	case TellEnd:
		b.w.End(pid)
	case TellSweep:
		b.w.Sweep()
	case TellReady:
		b.conf.Ready()
	}
}
