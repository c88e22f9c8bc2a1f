// Package far is the broker's end of warden's errands and tidings: Hands for a process
// without rights, whose work root's process does.
package far

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"casemate/listener/lease"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/sandbox/panics"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Hands are hands.Hands, by way of root's process.
type Hands struct {
	errand int
	loop   *loop.Loop
	leases *lease.Leases
	wire   *warden.Wire // of the loop, and so is what follows
	token  int64
	taken  map[int64]taking
	ended  map[int64]waiting
	pids   map[int]bool // of those
	told   func(warden.TidingKind)

	sending sync.Mutex
	mu      sync.Mutex // of what follows
	last    uint64
	asked   map[uint64]chan<- answer
	force   *policy.Document // in force
	lost    error            // root's process has gone
	jobs    map[*warden.Job]*job
}

type answer struct {
	warden.Answer
	fds []int
}

// taking is a child that root was asked to watch.
type taking struct {
	pid   int
	ended func(warden.Exit)
	done  func(bool)
}

// waiting is one that it watches.
type waiting struct {
	pid   int
	ended func(warden.Exit)
}

// errGone is the error of errands when root's process has gone: this one is about to end, too.
var errGone = errors.New("casemated has gone")

// New speaks with root over two SOCK_SEQPACKET sockets: errand for errands, and tidings, on
// the loop, for tidings. told hears TellReload and TellStop on the loop, and gone is called when root's process has gone.
func New(l *loop.Loop, errand, tidings int, told func(warden.TidingKind), gone func(error)) (*Hands, error) {
	h := &Hands{loop: l, errand: errand, taken: make(map[int64]taking), ended: make(map[int64]waiting), pids: make(map[int]bool), told: told,
		asked: make(map[uint64]chan<- answer), jobs: make(map[*warden.Job]*job)}
	h.leases = lease.New(func() (uint32, error) {
		a, err := h.ask(warden.Asked{Do: warden.DoLease})
		return uint32(a.Number), err
	})
	var err error
	if h.wire, err = warden.NewWire(l, tidings, h.heard, gone); err != nil {
		return nil, err
	}
	panics.Go(h.listen, func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lost = errGone
		for _, c := range h.asked {
			close(c)
		}
		_ = l.Post(func() { gone(err) })
	})
	return h, nil
}

// listen takes answers.
func (h *Hands) listen() error {
	buf := make([]byte, warden.MaxErrand+1)
	for {
		var a answer
		var err error
		if a.fds, err = warden.Receive(h.errand, buf, &a.Answer); err != nil {
			return err
		}
		h.mu.Lock()
		c := h.asked[a.ID]
		delete(h.asked, a.ID)
		h.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
}

// ask sends root on an errand and waits.
func (h *Hands) ask(q warden.Asked, fds ...int) (answer, error) {
	c := make(chan answer, 1)
	h.mu.Lock()
	h.last++
	q.ID = h.last
	h.asked[q.ID] = c
	err := h.lost
	h.mu.Unlock()
	if err == nil {
		h.sending.Lock()
		err = warden.Send(h.errand, q, fds...)
		h.sending.Unlock()
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", q.Do, err)
	}
	a, ok := <-c
	if !ok {
		return a, errGone
	}
	return a, asError(a.Fault)
}

// one is the only descriptor of an answer, which has one.
func one(a answer, err error) (int, error) {
	if err == nil && len(a.fds) != 1 {
		warden.CloseAll(a.fds)
		err = errors.New("an answer without its descriptor")
	}
	if err != nil {
		return -1, err
	}
	return a.fds[0], nil
}

// spread puts an answer's descriptors where they belong; -1 is none.
func spread(a answer, into []int) error {
	n := 0
	for i := range into {
		if into[i] = -1; i < len(a.Has) && a.Has[i] && n < len(a.fds) {
			into[i] = a.fds[n]
			n++
		}
	}
	if len(a.Has) != len(into) || n != len(a.fds) {
		warden.CloseAll(a.fds)
		return errors.New("an answer without its descriptors")
	}
	return nil
}

// Compile is hands.Hands'.
func (h *Hands) Compile(ran string) (*policy.Document, []policy.Diagnostic, error) {
	a, err := h.ask(warden.Asked{Do: warden.DoCompile, Digest: ran})
	var said []policy.Diagnostic
	if len(a.Diagnostics) > 0 {
		err = cmp.Or(err, granted.Unmarshal(a.Diagnostics, &said))
	}
	if err != nil {
		warden.CloseAll(a.fds)
		return nil, said, err
	}
	h.mu.Lock()
	doc := h.force
	h.mu.Unlock()
	if a.Same && doc != nil {
		return doc, said, nil
	}
	fd, err := one(a, nil)
	if err != nil {
		return nil, said, err
	}
	defer unix.Close(fd)
	text, err := warden.Slurp(fd, granted.MaxDocument)
	if err == nil {
		doc, err = canon.DecodeDocument(text)
	}
	if err == nil && policy.HasErrors(said) {
		err = errors.New("the policy has errors, and the compiler gave one all the same")
	}
	if err != nil {
		return nil, said, fmt.Errorf("compile: %w", err)
	}
	return doc, said, nil
}

// Forget is hands.Hands'.
func (h *Hands) Forget() { _, _ = h.ask(warden.Asked{Do: warden.DoForget}) }

// InForce is hands.Hands'.
func (h *Hands) InForce(doc *policy.Document, c warden.Cause) {
	_, _ = h.ask(warden.Asked{Do: warden.DoForce, Digest: doc.Digest, Name: c.How, UID: c.UID})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.force = doc
}

// Past is hands.Hands'.
func (h *Hands) Past() ([]warden.Kept, error) {
	a, err := h.ask(warden.Asked{Do: warden.DoPast})
	return a.Past, err
}

// Recall is hands.Hands'.
func (h *Hands) Recall(digest string) ([]input.File, error) {
	fd, err := one(h.ask(warden.Asked{Do: warden.DoRecall, Digest: digest}))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text, err := warden.Slurp(fd, granted.MaxDocument+1)
	return []input.File{{Data: text}}, err
}

// Leases is hands.Hands'.
func (h *Hands) Leases() *lease.Leases { return h.leases }

// Leave is hands.Hands'.
func (h *Hands) Leave() error {
	_, err := h.ask(warden.Asked{Do: warden.DoLeave})
	return err
}

// Audit is hands.Hands'.
func (h *Hands) Audit() (int, error) { return one(h.ask(warden.Asked{Do: warden.DoAudit})) }

// OpenLog opens the log again.
func (h *Hands) OpenLog() (int, error) { return one(h.ask(warden.Asked{Do: warden.DoLog})) }

// Tell has root tell the service manager. It does not wait.
func (h *Hands) Tell(state string) {
	panics.Go(func() error { _, err := h.ask(warden.Asked{Do: warden.DoTell, Name: state}); return err }, func(error) {})
}

// Undertake is listener.Undertake.
func (h *Hands) Undertake(fds []int) error {
	_, err := h.ask(warden.Asked{Do: warden.DoUndertake}, fds...)
	if err == nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return err
}

// Ready tells root, off the loop, that the first policy is in force.
func (h *Hands) Ready() { _ = h.loop.Post(func() { h.tell(warden.TellReady) }) }

// heard takes what root tells.
func (h *Hands) heard(t warden.Tiding) {
	token := t.N[0]
	switch t.Kind {
	case warden.TellTaken:
		if k, ok := h.taken[token]; ok {
			if delete(h.taken, token); t.N[1] == 1 && k.ended != nil {
				h.watched(token, k.pid, k.ended)
			}
			k.done(t.N[1] == 1)
		} else if k, ok := h.ended[token]; ok && t.N[1] == 0 {
			delete(h.ended, token)
			delete(h.pids, k.pid)
			k.ended(warden.Exit{PID: k.pid, Forged: true})
		}
	case warden.TellExit:
		if k, ok := h.ended[token]; ok {
			delete(h.ended, token)
			delete(h.pids, k.pid)
			k.ended(exit(t, k.pid))
		}
	default:
		h.told(t.Kind)
	}
}

// exit is the Exit of pid that a tiding tells.
func exit(t warden.Tiding, pid int) warden.Exit {
	return warden.Exit{PID: pid, Status: syscall.WaitStatus(t.N[1]),
		Usage: unix.Rusage{Utime: unix.NsecToTimeval(t.N[2]), Stime: unix.NsecToTimeval(t.N[3]), Maxrss: t.N[4]}}
}

// Settle is hands.Hands'.
func (h *Hands) Settle(r zygote.Reply, text func(int) []byte, ended func(warden.Exit), done func(bool, error)) {
	runs := r.Err() == nil
	if !runs {
		ended = nil
	}
	if !runs && r.PID == 0 {
		done(false, nil)
		return
	}
	t := warden.Tiding{Kind: warden.TellTake}
	if runs {
		if t.Text = text(r.PID); len(t.Text) > warden.MaxText {
			t.Text = nil
		}
	}
	if runs && !h.pids[r.PID] { // most are what they say: nobody waits for root's word
		h.token++
		h.watched(h.token, r.PID, ended)
		t.N = [5]int64{h.token, int64(r.PID)}
		h.wire.Send(t)
		done(true, nil)
		return
	}
	h.take(t, r.PID, ended, func(ok bool) {
		if ok {
			done(runs, nil)
		} else {
			done(false, warden.ErrForged)
		}
	})
}

// take has root watch a child.
func (h *Hands) take(t warden.Tiding, pid int, ended func(warden.Exit), done func(bool)) {
	h.token++
	h.taken[h.token] = taking{pid, ended, done}
	t.N = [5]int64{h.token, int64(pid), 1}
	h.wire.Send(t)
}

// watched notes that root watches a child, whose number may be another's that has just ended.
func (h *Hands) watched(token int64, pid int, ended func(warden.Exit)) {
	h.ended[token], h.pids[pid] = waiting{pid, ended}, true
}

// Left is hands.Hands'.
func (h *Hands) Left() ([]warden.Survivor, error) {
	a, err := h.ask(warden.Asked{Do: warden.DoLeft})
	return a.Left, err
}

// Adopt is hands.Hands'.
func (h *Hands) Adopt(pid int, ended func(warden.Exit), done func(bool)) {
	h.take(warden.Tiding{Kind: warden.TellAdopt}, pid, ended, done)
}

func (h *Hands) tell(k warden.TidingKind, n ...int64) {
	t := warden.Tiding{Kind: k}
	copy(t.N[:], n)
	h.wire.Send(t)
}

// Kill is hands.Hands'. Whether there was such a child it does not say.
func (h *Hands) Kill(pid int, sig unix.Signal) bool {
	h.tell(warden.TellKill, int64(pid), int64(sig))
	return true
}

// Bury is hands.Hands'.
func (h *Hands) Bury(pid int) { h.tell(warden.TellBury, int64(pid)) }

// End is hands.Hands'.
func (h *Hands) End(pid int) { h.tell(warden.TellEnd, int64(pid)) }

// Sweep is hands.Hands'.
func (h *Hands) Sweep() { h.tell(warden.TellSweep) }
