package far

import (
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/cgroup/events"
	"casemate/sandbox/zygote"
	"errors"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// site is a hands.Ground of root's.
type site struct {
	h      *Hands
	doc    *policy.Document
	number uint64
	err    error // why there is none
	read   bool
	jobs   []*warden.Job
	all    []*policy.Service
	places map[*policy.Service]int
	wide   bool
	stamps map[int]string
	found  map[int]warden.Finding
}

// ahead is how many services root is asked about at once where all will be.
const ahead = 256

// Site is hands.Hands'.
func (h *Hands) Site(doc *policy.Document) hands.Ground {
	s := &site{h: h, doc: doc, all: doc.Policy.Programs(), places: make(map[*policy.Service]int), stamps: make(map[int]string), found: make(map[int]warden.Finding)}
	for i, p := range s.all {
		s.places[p] = i
	}
	return s
}

// place is the place of a program among all of the document; -1 is none.
func (s *site) place(of *policy.Service) int {
	if i, ok := s.places[of]; ok {
		return i
	}
	return slices.IndexFunc(s.all, func(p *policy.Service) bool {
		return p.Name == of.Name && p.Argv0 == of.Argv0 && slices.Equal(p.Command, of.Command)
	})
}

// from is the place n, and with All what comes behind it.
func (s *site) from(n int) (list []int) {
	for list = []int{n}; s.wide && n >= 0 && n+1 < len(s.all) && len(list) < ahead; list = append(list, n) {
		n++
	}
	return list
}

// ask asks about the site, which there is from the first question on.
func (s *site) ask(do warden.Errand, list []int) (answer, error) {
	if s.number == 0 && s.err == nil {
		var a answer
		a, s.err = s.h.ask(warden.Asked{Do: warden.DoSite, Digest: s.doc.Digest})
		s.number = a.Number
	}
	if s.err != nil {
		return answer{}, s.err
	}
	return s.h.ask(warden.Asked{Do: do, Number: s.number, Services: list})
}

func (s *site) All() { s.wide = true }

func (s *site) Read() (err error) {
	if !s.read {
		_, err = s.ask(warden.DoRead, nil)
		s.read = err == nil
	}
	return err
}

func (s *site) Stamp(of *policy.Service) string {
	n := s.place(of)
	if stamp, ok := s.stamps[n]; ok {
		return stamp
	}
	list := s.from(n)
	a, err := s.ask(warden.DoStamp, list)
	if err == nil && len(a.Stamps) != len(list) {
		err = errors.New("an answer without its stamps")
	}
	if err != nil {
		return err.Error() // which no stamp is
	}
	for i, at := range list {
		s.stamps[at] = a.Stamps[i]
	}
	return s.stamps[n]
}

func (s *site) Find(of *policy.Service) (warden.Found, error) {
	n := s.place(of)
	if _, ok := s.found[n]; !ok {
		list := s.from(n)
		a, err := s.ask(warden.DoFind, list)
		if err == nil && len(a.Found) != len(list) {
			err = errors.New("an answer without what was found")
		}
		if err != nil {
			return warden.Found{}, err
		}
		for i, at := range list {
			s.found[at] = a.Found[i]
		}
	}
	f := s.found[n]
	delete(s.found, n)
	f.Job = &warden.Job{Command: sandbox.Command{Service: of.Name}}
	s.jobs = append(s.jobs, f.Job)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.jobs[f.Job] = &job{site: s.number, service: n}
	return f.Found, asError(f.Fault)
}

func (s *site) Close() {
	if s.number != 0 {
		_, _ = s.ask(warden.DoLeaveSite, nil)
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	for _, j := range s.jobs {
		delete(s.h.jobs, j)
	}
}

// job is one of root's.
type job struct {
	site    uint64
	service int
	batch   *batch // of its Plan
	made    *cell
	err     error
}

// batch are jobs whose cells are made by one errand, when the first is asked for.
type batch struct {
	once sync.Once
	jobs []*job
}

// Cells are made by errands for so many each, of which so many go side by side: jobs that follow each other are in
// different ones, and most of the time goes by waiting for the kernel.
const (
	together = 8
	abreast  = 4
)

// Plan is hands.Hands'.
func (h *Hands) Plan(jobs ...*warden.Job) error {
	q := warden.Asked{Do: warden.DoPlan}
	h.mu.Lock()
	for i, j := range jobs {
		of := h.jobs[j]
		q.Number, q.Services = of.site, append(q.Services, of.service)
		if of.batch = new(batch); i%(together*abreast) >= abreast {
			of.batch = h.jobs[jobs[i-abreast]].batch
		}
		of.batch.jobs = append(of.batch.jobs, of)
	}
	h.mu.Unlock()
	_, err := h.ask(q)
	return err
}

// Prepare is hands.Hands'.
func (h *Hands) Prepare(j *warden.Job) (hands.Cell, error) {
	h.mu.Lock()
	of := h.jobs[j]
	h.mu.Unlock()
	of.batch.once.Do(func() { h.prepare(of.batch.jobs) })
	if of.err != nil {
		return nil, of.err
	}
	return of.made, nil
}

func (h *Hands) prepare(jobs []*job) {
	q := warden.Asked{Do: warden.DoPrepare, Number: jobs[0].site}
	for _, j := range jobs {
		q.Services = append(q.Services, j.service)
	}
	a, err := h.ask(q)
	if err == nil && len(a.Cells) != len(jobs) {
		warden.CloseAll(a.fds)
		err = errors.New("an answer without its cells")
	}
	for i, j := range jobs {
		if j.err = err; err != nil {
			continue
		}
		m := a.Cells[i]
		j.err = asError(m.Fault)
		j.made = &cell{h: h, number: m.Number, losses: m.Losses, log: m.Log, state: m.State, inits: m.Inits, proof: m.Proof, events: [2]int{-1, -1}}
		for k, has := range m.Events {
			if has && len(a.fds) > 0 {
				j.made.events[k], a.fds = a.fds[0], a.fds[1:]
			}
		}
	}
}

// cell is a sandbox of root's.
type cell struct {
	h      *Hands
	number uint64
	losses []string
	log    bool
	state  bool
	inits  bool
	proof  string
	events [2]int
}

func (c *cell) Proof() (string, error) { return c.proof, nil }
func (c *cell) Losses() []string       { return c.losses }
func (c *cell) Log() bool              { return c.log }
func (c *cell) Events() events.Events  { return events.Read(c.events) }

func (c *cell) State(uid, _ uint32) (int, error) {
	if !c.state {
		return -1, nil
	}
	a, err := c.h.ask(warden.Asked{Do: warden.DoState, Number: c.number, UID: uid})
	var fd [1]int
	if err == nil {
		err = spread(a, fd[:])
	}
	if err != nil {
		return -1, err
	}
	return fd[0], nil
}

func (c *cell) Close() error {
	for _, fd := range c.events {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	_, err := c.h.ask(warden.Asked{Do: warden.DoCloseCell, Number: c.number})
	return err
}

func (c *cell) Spawn() (hands.Starter, error) {
	a, err := c.h.ask(warden.Asked{Do: warden.DoSpawn, Number: c.number})
	if err != nil {
		return nil, err
	}
	var fds [3]int
	if err := spread(a, fds[:]); err != nil {
		return nil, err
	}
	marks, err := unix.Mmap(fds[1], 0, zygote.MarksSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	unix.Close(fds[1])
	return &starter{zygote.Taken(a.PID, fds), c, marks}, nil
}

// starter is a zygote of root's.
type starter struct {
	*zygote.Zygote
	cell  *cell
	marks []byte // shared with the zygote
}

// Marks are what the zygote's threads are starting or have started last: each
// start's process, as soon as there is one, and the step it is at.
func (s *starter) Marks() (out []zygote.Reply) {
	for at := 0; at < zygote.MaxWorkers*zygote.ReplySize && at < len(s.marks); at += zygote.ReplySize {
		r, _ := zygote.DecodeReply(s.marks[at : at+zygote.ReplySize]) // an error is one of length
		out = append(out, r)
	}
	return out
}

// Close is the zygote's.
func (s *starter) Close() error {
	err := errors.Join(s.Zygote.Close(), unix.Munmap(s.marks))
	s.marks = nil
	return err
}

// Abandon is Close for a zygote that hangs: it is killed. One with inits is let go
// on instead if it was stopped, and ends after the last of them: its sessions would
// die with it. A start that hangs in it is the caller's to kill.
func (s *starter) Abandon() error {
	sig := unix.SIGKILL
	if s.cell.inits {
		sig = unix.SIGCONT
	}
	s.cell.h.Kill(s.PID(), sig)
	return s.Close()
}

// Spawn is hands.Hands'.
func (h *Hands) Spawn(c hands.Cell) (hands.Starter, error) { return c.Spawn() }

// Retire is hands.Hands'.
func (h *Hands) Retire(z hands.Starter) {
	_ = z.Close()
	_, _ = h.ask(warden.Asked{Do: warden.DoRetire, PID: z.PID()})
}

// role is a hands.Role of root's.
type role struct {
	h    *Hands
	name string
	made string
}

// Helper is hands.Hands'.
func (h *Hands) Helper(name string) hands.Role { return &role{h: h, name: name} }

func (r *role) Stamp() string {
	a, _ := r.h.ask(warden.Asked{Do: warden.DoHelperStamp, Name: r.name})
	return a.Stamp
}

func (r *role) Made() string { return r.made }

func (r *role) Start() (pid, fd int, losses []string, err error) {
	a, err := r.h.ask(warden.Asked{Do: warden.DoHelper, Name: r.name})
	if fd, err = one(a, err); err != nil {
		return 0, -1, nil, err
	}
	r.made = a.Stamp
	return a.PID, fd, a.Losses, nil
}
