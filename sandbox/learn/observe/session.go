package observe

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe/parole"
	"casemate/sandbox/machine"

	"golang.org/x/sys/unix"
)

// Bounds of what is kept of one session, which may make calls without end.
const (
	maxFacts      = 20000
	maxComplaints = 100
	maxEnds       = 1000
	maxText       = 200 // bytes of a complaint
)

// task is one thread of a session.
type task struct {
	tid    int
	proc   *process
	active bool // its process runs the service's program
	new    bool // its first stop is still to come
	inside bool // of a call: the next stop is its exit
	mem    *memory
	call   pending
	free
}

// pending is a call between its entry and its exit.
type pending struct {
	key
	raw [6]uint64
}

// key is what facts are told apart by.
type key struct {
	proc           *process
	nr             int64
	args           [6]uint64
	path, to, addr string
	err            syscall.Errno
	killed         bool
}

// process is one process of a session.
type process struct {
	pid     int
	sess    *session
	program string
	root    string
	calls   int
	threads int
	number  uint64             // among all that were let go, 0 before
	known   map[parole.Key]int // place in Facts, of what is counted elsewhere
	// recent are the last facts of some calls: a loop makes the same ones again.
	recent [8]struct {
		key
		place int
	}
}

// session is one session that is followed.
type session struct {
	learn.Session
	first *process
	facts map[key]int // place in Facts
	procs int         // that live
	ran   bool        // its program was executed
}

func newSession(pid int) *session {
	s := &session{facts: map[key]int{}, procs: 1}
	s.Session = learn.Session{PID: pid, Started: time.Now(), Processes: 1}
	s.first = &process{pid: pid, sess: s}
	return s
}

func (p *process) fork(pid int) *process {
	p.sess.procs++
	p.sess.Processes++
	return &process{pid: pid, sess: p.sess, program: p.program, root: p.root}
}

// result is what is known of the session.
func (s *session) result() *learn.Session {
	out := s.Session // without what else is known of it
	out.Took = time.Since(s.Started)
	return &out
}

// executed is called when a process has become another program. Its thread is the
// only one left, under the number of the process.
func (t *Tracer) executed(k *task) {
	if k == nil {
		return
	}
	unseen := k.on
	if former, err := eventMessage(k.tid); err == nil && former != k.tid {
		if o := t.tasks[former]; o != nil { // a thread that was not the first
			unseen = o.on
			t.recall(o)
			delete(t.tasks, former)
			k.call, k.inside = o.call, o.inside
		}
	}
	t.recall(k)
	p := k.proc
	p.threads = 1
	if unseen { // its execve had no stop, and what that named is in the new program's memory
		if info, ok := inCall(k.tid); ok {
			k.call, k.inside = pending{key: key{proc: p, nr: int64(info.nr)}}, true
			if name := k.mem.executed(k.tid); name != "" {
				k.call.path = k.absolute(name, -1)
			}
			p.calls++
		}
	}
	if k.active {
		p.end(learn.End{Exec: true})
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", k.tid))
	if err != nil {
		exe = "?"
	}
	p.program = exe
	if !p.sess.ran {
		p.sess.ran, p.sess.Program = true, exe
	}
	if !k.active { // the service's own, of which the launch's calls are no part
		k.active, k.inside = true, true // the exit of execve comes next
		k.call = pending{}
	}
}

// end keeps how a process ended. Of those that ended in order, or became another program, all there is to
// know is what they ran: one of each program is kept. The first process's own end is kept whatever came before.
func (p *process) end(e learn.End) {
	s := p.sess
	e.PID, e.Program, e.Calls = p.pid, p.program, p.calls
	if last := p == s.first && !e.Exec; !last {
		if !e.Bad() && slices.ContainsFunc(s.Ends, func(o learn.End) bool { return !o.Bad() && o.Program == e.Program }) {
			return
		}
		if len(s.Ends) >= maxEnds {
			s.LeftOut++
			return
		}
	}
	s.Ends = append(s.Ends, e)
}

// gone is called when a thread has ended; with the first of a process the process has.
func (t *Tracer) gone(k *task, status unix.WaitStatus) {
	delete(t.tasks, k.tid)
	p, s := k.proc, k.proc.sess
	if k.on {
		t.consume(k)
		t.recall(k)
	}
	if k.inside && status.Signaled() && status.Signal() == unix.SIGSYS {
		k.call.killed = true
		p.record(k)
	}
	if k.tid != p.pid {
		p.threads--
		return
	}
	if t.office != nil {
		p.fold(t.office)
	}
	if k.active {
		e := learn.End{}
		if status.Exited() {
			e.Status = status.ExitStatus()
		} else {
			e.Signal = status.Signal()
		}
		p.end(e)
	}
	if s.procs--; s.procs == 0 {
		delete(t.live, s)
		if s.ran {
			t.finished(s.result())
		}
	}
}

// call takes the entry or the exit of a call.
func (t *Tracer) call(k *task) {
	info, err := t.info(k.tid)
	if err != nil {
		return // it was killed
	}
	switch info.op {
	case infoEntry:
		k.inside = true
		k.enter(info)
	case infoExit:
		if k.inside && k.call.proc != nil && k.returned(int64(info.nr)) >= 0 {
			t.heeds(k)
			t.alike(k)
		}
		k.inside = false
	}
}

// returned records a call with its result, and gives its place in Facts, or -1.
func (k *task) returned(result int64) (place int) {
	if result < 0 && result > -4096 {
		k.call.err = syscall.Errno(-result)
	}
	switch k.call.err {
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		k.written(shapeOf(uint64(k.call.nr)).name)
	}
	if k.call.err >= 512 { // these are the kernel's, to begin again after a signal
		return -1
	}
	return k.proc.record(k)
}

// enter notes a call at its entry, where what it points to is what the kernel will see.
func (k *task) enter(info *syscallInfo) {
	p := k.proc
	p.calls++
	k.call = pending{key: key{proc: p, nr: int64(info.nr)}, raw: info.args}
	if info.arch != machine.Audit {
		k.call.nr = -1
		return
	}
	c := shapeOf(info.nr)
	if c.compares {
		k.call.args = learn.Alike(c.name, info.args)
	}
	if c.path >= 0 {
		k.call.path = k.path(c.path, c.dir)
	}
	if c.to >= 0 {
		k.call.to = k.path(c.to, c.toDir)
	}
	switch c.name {
	case "mmap": // of a file, to execute it: a library
		if fd := int32(info.args[4]); info.args[2]&unix.PROT_EXEC != 0 && fd >= 0 {
			k.call.path = k.linked(fmt.Sprintf("fd/%d", fd))
		}
	case "getdents", "getdents64":
		k.call.path = k.linked(fmt.Sprintf("fd/%d", int32(info.args[0])))
	case "connect", "bind":
		k.call.addr, k.call.path = k.address(info.args[1], info.args[2])
	case "sendto":
		k.call.addr, k.call.path = k.address(info.args[4], info.args[5])
	case "write", "writev":
		if int32(info.args[0]) == 2 {
			p.complain(k, c.name, info.args)
		}
	}
}

// written notes what file a call that failed was to write into.
func (k *task) written(call string) {
	at, ok := map[string]int{"write": 0, "writev": 0, "pwrite64": 0, "pwritev": 0, "pwritev2": 0, "ftruncate": 0, "fallocate": 0, "sendfile": 0, "splice": 2, "copy_file_range": 2}[call]
	if ok {
		k.call.path = k.linked(fmt.Sprintf("fd/%d", int32(k.call.raw[at])))
	}
}

// path is what a path argument names, absolute, "" where there is none.
func (k *task) path(at, dir int) string {
	if k.call.raw[at] == 0 {
		return ""
	}
	text, ok := k.mem.text(k.tid, k.call.raw[at])
	if !ok || text == "" { // none, or the descriptor alone is meant
		return ""
	}
	return k.absolute(text, dir)
}

// absolute makes a path absolute, as the program sees it.
func (k *task) absolute(text string, dir int) string {
	if text[0] == '/' {
		return clean(text)
	}
	base := "cwd"
	if dir >= 0 && int32(k.call.raw[dir]) != unix.AT_FDCWD {
		base = fmt.Sprintf("fd/%d", int32(k.call.raw[dir]))
	}
	from := k.linked(base)
	if from == "" {
		return text
	}
	if r := k.proc.root; r != "" && r != "/" {
		from = "/" + strings.TrimPrefix(strings.TrimPrefix(from, r), "/")
	}
	return clean(from + "/" + text)
}

// linked is what a link of the thread's folder in /proc leads to, "" where that has no path.
func (k *task) linked(name string) string {
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", k.tid, name))
	if err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "/memfd:") || strings.HasPrefix(to, "/dev/zero") {
		return ""
	}
	return strings.TrimSuffix(to, " (deleted)")
}

// clean drops empty and "." elements; ".." stays, for a link may stand before it.
func clean(path string) string {
	out := make([]byte, 0, len(path))
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			out = append(append(out, '/'), part...)
		}
	}
	if len(out) == 0 {
		return "/"
	}
	return string(out)
}

// record counts a call that has ended, and gives its place in Facts, or -1.
func (p *process) record(k *task) (place int) {
	s, c := p.sess, &k.call
	last := &p.recent[uint(c.nr)%uint(len(p.recent))]
	i, ok := last.place, last.key == c.key
	if !ok {
		i, ok = s.facts[c.key]
	}
	if !ok {
		if len(s.Facts) == maxFacts {
			s.LeftOut++
			return -1
		}
		name := shapeOf(uint64(c.nr)).name
		f := learn.Fact{Call: name, Path: c.path, To: c.to, Addr: c.addr, Err: c.err, Killed: c.killed, Root: p.root,
			PID: p.pid, Program: p.program, First: p.calls, At: time.Now()}
		if name == "" {
			f.Call = fmt.Sprint(c.nr)
		}
		if c.nr == -1 {
			f.Call = "call of another architecture"
		}
		f.Args = learn.Args(name, c.args)
		i = len(s.Facts)
		s.Facts, s.facts[c.key] = append(s.Facts, f), i
	}
	last.key, last.place = c.key, i
	s.Facts[i].Count++
	s.Facts[i].Last = p.calls
	if c.err == 0 && !c.killed && c.nr == unix.SYS_CHROOT {
		if to := k.linked("root"); to != "" {
			p.root = to
		}
	}
	return i
}

// complain notes what a process writes to descriptor 2. What it writes piece by piece is
// one complaint, up to the end of a line.
func (p *process) complain(k *task, call string, args [6]uint64) {
	var text []byte
	at, n := args[1], args[2]
	if call == "write" {
		text = k.mem.bytes(k.tid, at, int(min(n, maxText)))
	} else {
		v := slices.Clone(k.mem.bytes(k.tid, at, 16*int(min(n, 8))))
		for ; len(v) >= 16 && len(text) < maxText; v = v[16:] {
			text = append(text, k.mem.bytes(k.tid, word(v), int(min(word(v[8:]), maxText)))...)
		}
	}
	list := p.sess.Complaints
	if last := len(list) - 1; last >= 0 && list[last].PID == p.pid && !strings.HasSuffix(list[last].Text, "\n") {
		list[last].Text += string(text[:min(len(text), maxText-min(maxText, len(list[last].Text)))])
	} else if len(list) < maxComplaints && len(text) > 0 {
		p.sess.Complaints = append(list, learn.Complaint{PID: p.pid, Call: p.calls, Text: string(text[:min(len(text), maxText)])})
	}
}
