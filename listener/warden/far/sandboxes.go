package far

import (
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/zygote"
	"slices"

	"golang.org/x/sys/unix"
)

// site is a warden.Ground of root's.
type site struct {
	h      *Hands
	doc    *policy.Document
	number uint64
	err    error // why there is none
	jobs   []*warden.Job
	all    []*policy.Service
}

// Site is warden.Hands'.
func (h *Hands) Site(doc *policy.Document) warden.Ground {
	return &site{h: h, doc: doc, all: doc.Policy.Programs()}
}

// place is the place of a program among all of the document; -1 is none.
func (s *site) place(of *policy.Service) int {
	return slices.IndexFunc(s.all, func(p *policy.Service) bool {
		return p == of || p.Name == of.Name && p.Argv0 == of.Argv0 && slices.Equal(p.Command, of.Command)
	})
}

// ask asks about the site, which there is from the first question on.
func (s *site) ask(do warden.Errand, of *policy.Service) (answer, error) {
	if s.number == 0 && s.err == nil {
		var a answer
		a, s.err = s.h.ask(warden.Asked{Do: warden.DoSite, Digest: s.doc.Digest})
		s.number = a.Number
	}
	if s.err != nil {
		return answer{}, s.err
	}
	q := warden.Asked{Do: do, Number: s.number}
	if of != nil {
		q.Service = s.place(of)
	}
	return s.h.ask(q)
}

func (s *site) Read() error {
	_, err := s.ask(warden.DoRead, nil)
	return err
}

func (s *site) Stamp(of *policy.Service) string {
	a, err := s.ask(warden.DoStamp, of)
	if err != nil {
		return err.Error() // which no stamp is
	}
	return a.Stamp
}

func (s *site) Find(of *policy.Service) (f warden.Found, err error) {
	a, err := s.ask(warden.DoFind, of)
	if a.Found != nil {
		f = *a.Found
	}
	f.Job = &warden.Job{Command: sandbox.Command{Service: of.Name}}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.jobs[f.Job] = job{s.number, s.place(of)}
	s.jobs = append(s.jobs, f.Job)
	return f, err
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

func (h *Hands) job(j *warden.Job) job {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.jobs[j]
}

// Plan is warden.Hands'.
func (h *Hands) Plan(jobs ...*warden.Job) error {
	q := warden.Asked{Do: warden.DoPlan}
	for _, j := range jobs {
		of := h.job(j)
		q.Number, q.Services = of.site, append(q.Services, of.service)
	}
	_, err := h.ask(q)
	return err
}

// Prepare is warden.Hands'.
func (h *Hands) Prepare(j *warden.Job) (warden.Cell, error) {
	of := h.job(j)
	a, err := h.ask(warden.Asked{Do: warden.DoPrepare, Number: of.site, Service: of.service})
	if err != nil {
		return nil, err
	}
	c := &cell{h: h, number: a.Number, losses: a.Losses, log: a.Log, state: a.State, proof: a.Proof}
	if err := spread(a, c.events[:]); err != nil {
		return nil, err
	}
	return c, nil
}

// cell is a sandbox of root's.
type cell struct {
	h      *Hands
	number uint64
	losses []string
	log    bool
	state  bool
	proof  string
	events [2]int
}

func (c *cell) Proof() (string, error) { return c.proof, nil }
func (c *cell) Losses() []string       { return c.losses }
func (c *cell) Log() bool              { return c.log }
func (c *cell) Events() sandbox.Events { return sandbox.ReadEvents(c.events) }

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

func (c *cell) Spawn() (warden.Starter, error) {
	a, err := c.h.ask(warden.Asked{Do: warden.DoSpawn, Number: c.number})
	if err != nil {
		return nil, err
	}
	var fds [3]int
	if err := spread(a, fds[:]); err != nil {
		return nil, err
	}
	z, err := zygote.TakeOver(a.PID, fds)
	if err != nil {
		return nil, err
	}
	return &starter{z, c.h, a.Log}, nil
}

// starter is a zygote of root's.
type starter struct {
	*zygote.Zygote
	h     *Hands
	inits bool
}

// Abandon is Zygote's, which kills it itself.
func (s *starter) Abandon() error {
	sig := unix.SIGKILL
	if s.inits {
		sig = unix.SIGCONT
	}
	s.h.Kill(s.PID(), sig)
	return s.Close()
}

// Spawn is warden.Hands'.
func (h *Hands) Spawn(c warden.Cell) (warden.Starter, error) { return c.Spawn() }

// Retire is warden.Hands'.
func (h *Hands) Retire(z warden.Starter) {
	_ = z.Close()
	_, _ = h.ask(warden.Asked{Do: warden.DoRetire, PID: z.PID()})
}

// role is a warden.Role of root's.
type role struct {
	h    *Hands
	name string
	made string
}

// Helper is warden.Hands'.
func (h *Hands) Helper(name string) warden.Role { return &role{h: h, name: name} }

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
