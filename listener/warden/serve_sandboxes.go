package warden

import (
	"errors"
	"slices"

	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/zygote"
)

// sandboxes prepares them and starts their zygotes.
func (b *Broker) sandboxes(q Asked) (a Answer, give []int, err error) {
	b.mu.Lock()
	site, cell := b.sites[q.Number], b.cells[q.Number]
	if q.Do == DoCloseCell {
		delete(b.cells, q.Number)
	} else if cell != nil { // nobody closes it meanwhile: its descriptors would be others'
		cell.RLock()
		defer cell.RUnlock()
	}
	b.mu.Unlock()
	switch {
	case q.Do == DoPlan && site != nil:
		site.Lock()
		defer site.Unlock()
		var list []*Job
		for _, n := range q.Services {
			if j := site.jobs[n]; j != nil && !slices.Contains(list, j) {
				list = append(list, j)
			}
		}
		return a, nil, b.w.Plan(list...)
	case q.Do == DoPrepare && site != nil:
		site.RLock()
		defer site.RUnlock()
		give = b.prepareAll(site, q.Services, &a)
		return a, give, nil
	case q.Do == DoRetire:
		return a, nil, b.retire(q.PID)
	case cell == nil:
		return a, nil, errStrange
	case q.Do == DoSpawn:
		z, err := b.w.Spawn(cell.Cell)
		if err != nil {
			return a, nil, err
		}
		a.PID = z.PID()
		for _, fd := range z.(*zygote.Zygote).HandOver() {
			if a.Has = append(a.Has, fd >= 0); fd >= 0 {
				give = append(give, fd)
			}
		}
		return a, give, nil
	case q.Do == DoState && q.UID-sandbox.LeaseBase >= sandbox.LeaseCount && q.UID != cell.Cell.(prepared).Start.UID:
	case q.Do == DoState:
		fd, err := cell.Cell.(prepared).State(q.UID, q.UID)
		if a.Has = []bool{fd >= 0}; fd >= 0 {
			give = []int{fd}
		}
		return a, give, err
	case q.Do == DoCloseCell:
		cell.Lock()
		return a, nil, cell.Close()
	}
	return a, nil, errStrange
}

// retire ends a zygote, and nothing else: the programs of sessions are watched.
func (b *Broker) retire(pid int) (err error) {
	if derr := b.w.loop.Do(func() {
		if c := b.w.known[pid]; c == nil || c.timer.Owner != nil {
			err = errStrange
		}
	}); derr != nil || err != nil {
		return errors.Join(derr, err)
	}
	_, _ = b.w.endChild(pid, graceTime)
	return nil
}

// prepareAll makes cells one after another; who wants more at a time sends more errands.
func (b *Broker) prepareAll(site *surveyed, list []int, a *Answer) (give []int) {
	for _, n := range list {
		var m Made
		var events []int
		if err := panics.Try(func() (err error) { m, events, err = b.prepare(site.jobs[n]); return err }); err != nil {
			m = Made{Fault: NewFault(err)}
		}
		a.Cells, give = append(a.Cells, m), append(give, events...)
	}
	return give
}

func (b *Broker) prepare(j *Job) (m Made, events []int, err error) {
	if j == nil || j.plan == nil && j.fault == nil {
		return m, events, errStrange
	}
	c, err := b.w.Prepare(j)
	if err != nil {
		return m, events, err
	}
	box := c.(prepared)
	m = Made{Losses: c.Losses(), Log: box.Start.Log, State: j.Profile.Files.State, Inits: j.Profile.Init}
	if m.Proof, err = box.Proof(); err != nil {
		_ = c.Close()
		return m, events, err
	}
	for k, fd := range box.Events {
		if m.Events[k] = fd >= 0; m.Events[k] {
			events = append(events, fd)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m.Number = b.number()
	b.cells[m.Number] = &lent{Cell: c}
	return m, events, nil
}
