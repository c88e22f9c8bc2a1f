package warden

import (
	"errors"

	"casemate/sandbox"
	"casemate/sandbox/zygote"
)

// sandboxes prepares them and starts their zygotes.
func (b *Broker) sandboxes(q Asked) (a Answer, give []int, err error) {
	b.mu.Lock()
	site, cell := b.sites[q.Number], b.cells[q.Number]
	b.mu.Unlock()
	switch {
	case q.Do == DoPlan && site != nil:
		site.Lock()
		defer site.Unlock()
		var list []*Job
		for _, n := range q.Services {
			if j := site.jobs[n]; j != nil {
				list = append(list, j)
			}
		}
		return a, nil, b.w.Plan(list...)
	case q.Do == DoPrepare && site != nil:
		site.RLock()
		defer site.RUnlock()
		return b.prepare(site.jobs[q.Service])
	case q.Do == DoRetire:
		if derr := b.w.loop.Do(func() { // of a zygote alone: the programs of sessions are watched
			if c := b.w.known[q.PID]; c == nil || c.timer.Owner != nil {
				err = errStrange
			}
		}); derr != nil || err != nil {
			return a, nil, errors.Join(derr, err)
		}
		_, _ = b.w.endChild(q.PID, graceTime)
		return a, nil, nil
	case cell == nil:
		return a, nil, errStrange
	case q.Do == DoSpawn:
		z, err := b.w.Spawn(cell)
		if err != nil {
			return a, nil, err
		}
		own := z.(*zygote.Zygote)
		a.PID, a.Log = z.PID(), own.Inits()
		for _, fd := range own.HandOver() {
			if a.Has = append(a.Has, fd >= 0); fd >= 0 {
				give = append(give, fd)
			}
		}
		return a, give, nil
	case q.Do == DoState && q.UID-sandbox.LeaseBase >= sandbox.LeaseCount && q.UID != cell.(prepared).User():
	case q.Do == DoState:
		fd, err := cell.State(q.UID, q.UID)
		if a.Has = []bool{fd >= 0}; fd >= 0 {
			give = []int{fd}
		}
		return a, give, err
	case q.Do == DoCloseCell:
		b.mu.Lock()
		delete(b.cells, q.Number)
		b.mu.Unlock()
		return a, nil, cell.Close()
	}
	return a, nil, errStrange
}

func (b *Broker) prepare(j *Job) (a Answer, give []int, err error) {
	if j == nil || j.plan == nil && j.fault == nil {
		return a, nil, errStrange
	}
	c, err := b.w.Prepare(j)
	if err != nil {
		return a, nil, err
	}
	a.Losses, a.Log, a.State = c.Losses(), c.Log(), j.Profile.Files.State
	if a.Proof, err = c.Proof(); err != nil {
		_ = c.Close()
		return a, nil, err
	}
	for _, fd := range c.(prepared).EventFiles() {
		if a.Has = append(a.Has, fd >= 0); fd >= 0 {
			give = append(give, fd)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.Number = b.number()
	b.cells[a.Number] = c
	return a, give, nil
}
