package observe

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe/parole"
	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// often is how many calls that may be alike others a thread makes before it is let go.
const often = 256

// minor are the errors that calls without end get in good order: they are alike as those without an error are.
var minor = []syscall.Errno{0, unix.EAGAIN, unix.EINTR, unix.ETIMEDOUT, unix.EINPROGRESS, unix.ECHILD}

// free is what a task knows of being let go: then it stops only for calls that are unlike all before.
type free struct {
	on      bool
	never   bool   // it blocks what would stop it
	back    bool   // it was interrupted, to stop at each call again
	often   int    // calls that may be alike
	counted uint64 // of its calls that were known, as far as its process has them
	signals uint64 // the set of those that may stop it
}

// parole is a shape as the kernel's side has it.
func (c *shape) parole() (s parole.Shape) {
	switch c.name {
	case "", "connect", "bind", "getdents", "getdents64", "prctl": // what they name, or compare, depends
		return s
	case "clone", "clone3", "fork", "vfork":
		s.Mode = parole.Event
		return s
	case "sendto":
		s.Mode = parole.NoAddr
	case "write", "writev":
		s.Mode = parole.NotErr
	case "mmap":
		s.Mode = parole.NotExec
	case "rt_sigaction":
		s.Mode = parole.NotStop
	}
	if c.path >= 0 || c.to >= 0 {
		return parole.Shape{}
	}
	s.Mode |= parole.Alike
	for _, i := range learn.Compared(c.name) {
		s.Masks[i] = 0xffffffff
	}
	return s
}

// openOffice has the kernel's side made ready, which takes a while: until then nothing is let go. Where the
// kernel cannot, nothing ever is.
func (t *Tracer) openOffice() {
	if t.opening {
		return
	}
	t.opening = true
	go func() {
		var list []parole.Shape
		for _, c := range shapes() {
			list = append(list, c.parole())
		}
		o, err := parole.Open(list, func() { t.do(t.unstopped) })
		if err != nil {
			return
		}
		kept := false
		t.do(func() { t.office, kept = o, true })
		if !kept { // the tracer has ended
			o.Close()
		}
	}()
}

// recallAll ends all that is let go. What was counted of it is told to the sessions.
func (t *Tracer) recallAll() {
	for _, k := range t.tasks {
		if k.on {
			t.consume(k)
			t.recall(k)
		}
		if t.office != nil {
			k.proc.fold(t.office)
		}
	}
}

// alike looks at a call that a stopped thread has made, and lets the thread go once it has made many of
// the kind.
func (t *Tracer) alike(k *task) {
	s := shapeOf(uint64(k.call.nr)).parole()
	if k.never || s.Mode&parole.Alike == 0 {
		return
	}
	if k.often++; k.often < often {
		return
	}
	k.often = 0
	if t.office == nil {
		t.openOffice()
		return
	}
	handled, err1 := signalSet(k.tid, "SigCgt")
	blocked, err2 := signalSet(k.tid, "SigBlk")
	set := parole.Signals(handled)
	if errors.Join(err1, err2) != nil || set&^blocked == 0 {
		return
	}
	if k.proc.number == 0 {
		t.numbered++
		k.proc.number, k.proc.known = t.numbered, map[parole.Key]int{}
	}
	for c, place := range k.proc.sess.facts {
		if c.proc == k.proc {
			k.proc.know(t.office, &c, place)
		}
	}
	if _, err := ptrace(unix.PTRACE_SETOPTIONS, k.tid, 0, freeOptions); err != nil {
		return
	}
	k.counted, k.signals = 0, set
	k.on = t.office.Let(k.tid, &parole.Thread{Signals: set, Process: k.proc.number}) == nil
}

// know has calls that are alike one that was recorded counted, and not stopped for.
func (p *process) know(o *parole.Office, c *key, place int) {
	s := shapeOf(uint64(c.nr)).parole()
	if s.Mode&parole.Alike == 0 || c.path != "" || c.to != "" || c.addr != "" || c.killed || !slices.Contains(minor, c.err) {
		return
	}
	k := s.KeyOf(p.number, uint64(c.nr), uint64(c.err), &c.args)
	if _, ok := p.known[k]; !ok && o.Know(&k) {
		p.known[k] = place
	}
}

// fold adds what was counted to the facts.
func (p *process) fold(o *parole.Office) {
	for k, place := range p.known {
		if n := o.Forget(&k); n > 0 {
			f := &p.sess.Facts[place]
			f.Count += int(n)
			f.Last = p.calls
		}
	}
	p.known, p.number = nil, 0
}

// consume takes what a thread that was let go has done since.
func (t *Tracer) consume(k *task) {
	t.unstopped()
	done, ok := t.office.Take(k.tid)
	if !ok {
		return
	}
	t.made(k, &done)
}

// made records the call that a thread has stopped for, if it has.
func (t *Tracer) made(k *task, done *parole.Thread) {
	p := k.proc
	if done.Counted > k.counted { // what comes by another way may be older
		p.calls += int(done.Counted - k.counted)
		k.counted = done.Counted
	}
	if done.Pending == 0 {
		return
	}
	now := k.call // of a thread that stops at each call again, and may be in another
	inside := k.inside
	defer func() { k.call, k.inside = now, inside }()
	k.enter(&syscallInfo{arch: machine.Audit, nr: done.Call, args: done.Args})
	if done.Call == unix.SYS_CHDIR && done.Result == 0 { // it was named from where the process is no more
		k.call.path = k.absolute(".", -1)
	}
	if place := k.returned(done.Result); place >= 0 && p.known != nil {
		p.know(t.office, &k.call.key, place)
	}
	t.heeds(k)
}

// heeds looks at a call that has been made: where it is to handle a signal that stops threads of the process, these stop at
// each call again from now on.
func (t *Tracer) heeds(k *task) {
	if k.call.nr != unix.SYS_RT_SIGACTION || k.call.raw[0] > 64 || k.call.raw[1] == 0 {
		return
	}
	for _, o := range t.tasks {
		if o.on && o.proc == k.proc && o.signals&parole.Bit(unix.Signal(k.call.raw[0])) != 0 {
			o.back = true
			if o != k {
				_, _ = ptrace(unix.PTRACE_INTERRUPT, o.tid, 0, 0)
			}
		}
	}
	if k.on && k.back {
		t.recall(k)
	}
}

// unstopped takes the calls that no signal could stop a thread for. What one does until it is
// interrupted comes here too, and from then on it stops at each call.
func (t *Tracer) unstopped() {
	for t.office != nil {
		done, ok := t.office.Unstopped()
		if !ok {
			return
		}
		k := t.tasks[int(done.TID)]
		if k == nil {
			continue
		}
		done.Pending = 1
		t.mem.given = &done
		t.made(k, &done)
		t.mem.given = nil
		if k.on && !k.never {
			k.never, k.back = true, true
			_, _ = ptrace(unix.PTRACE_INTERRUPT, k.tid, 0, 0)
		}
	}
}

// recall has a thread stop at every call again, once it is resumed.
func (t *Tracer) recall(k *task) {
	if k.on {
		t.office.Revoke(k.tid)
		k.on, k.back, k.often = false, false, 0
	}
}

// answers takes a stop of a thread that was let go, and tells whether the signal that it
// stops for is none but the tracer's.
func (t *Tracer) answers(k *task, event int, sig unix.Signal) (ours bool) {
	set := k.signals
	t.consume(k)
	switch event {
	case 0:
		return sig <= 64 && set&parole.Bit(sig) != 0 && signalCode(k.tid) == siKernel
	case unix.PTRACE_EVENT_CLONE, unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK:
		if k.on {
			t.within(k)
		}
	case unix.PTRACE_EVENT_STOP:
		if k.back {
			t.recall(k)
		}
	case unix.PTRACE_EVENT_EXIT:
		info, ok := inCall(k.tid)
		if status, err := eventMessage(k.tid); err == nil && unix.Signal(status&0x7f) == unix.SIGSYS {
			t.within(k)
		} else if ok && (info.nr == unix.SYS_EXIT || info.nr == unix.SYS_EXIT_GROUP) {
			k.proc.calls++
		}
	}
	return false
}

// within notes the call that a thread is in, which it was let go for; its exit comes next.
func (t *Tracer) within(k *task) {
	t.recall(k)
	if info, ok := inCall(k.tid); ok {
		k.enter(&info)
		k.inside = true
	}
}

// siKernel is the code of a signal that the kernel has sent.
const siKernel = 0x80

// signalCode is that of the signal that a thread has stopped for.
func signalCode(tid int) int32 {
	var info unix.Siginfo
	if _, err := ptrace(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(&info))); err != nil {
		return 0
	}
	return info.Code
}

// signalSet is a set of signals of /proc/TID/status.
func signalSet(tid int, name string) (uint64, error) {
	return strconv.ParseUint(statusField(tid, name), 16, 64)
}
