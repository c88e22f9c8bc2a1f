package main

import (
	"encoding/json"
	"time"

	"casemate/listener/journal"
	"casemate/listener/said"
	"casemate/listener/wire"
	"casemate/policy/denied"
	"casemate/sandbox/machine"
	"casemate/sandbox/seccomp/spoken"
)

const (
	// killsFor is how long the broker's word that a filter has killed a program and the kernel's
	// word on the call wait for one another.
	killsFor = time.Second
	// maxKills is how many of each may wait: the kernel tells of every process of the host.
	maxKills = 1024
)

// kills brings the two together.
type kills struct {
	out    func(journal.Record)
	heard  chan violation // the kernel's
	calls  map[uint32]kill
	killed map[uint32]kill
}

// kill is one of the two.
type kill struct {
	at    time.Time
	call  violation
	order wire.Order
}

func newKills(out func(journal.Record)) *kills {
	return &kills{out: out, heard: make(chan violation), calls: make(map[uint32]kill), killed: make(map[uint32]kill)}
}

// call takes the kernel's word.
func (k *kills) call(v violation, now time.Time) {
	if other, ok := k.killed[v.pid]; ok {
		delete(k.killed, v.pid)
		k.say(other.order, &v, now)
	} else if len(k.calls) < maxKills {
		k.calls[v.pid] = kill{at: now, call: v}
	}
}

// program takes the broker's.
func (k *kills) program(o wire.Order, now time.Time) {
	pid := uint32(o.Token)
	if other, ok := k.calls[pid]; ok && now.Sub(other.at) < killsFor {
		delete(k.calls, pid)
		k.say(o, &other.call, now)
	} else if len(k.killed) < maxKills {
		k.killed[pid] = kill{at: now, order: o}
	} else {
		k.say(o, nil, now)
	}
}

// tick lets go of what has waited long enough, and reports whether anything still waits.
func (k *kills) tick(now time.Time) bool {
	for pid, one := range k.calls {
		if now.Sub(one.at) >= killsFor {
			delete(k.calls, pid)
		}
	}
	for pid, one := range k.killed {
		if now.Sub(one.at) >= killsFor {
			delete(k.killed, pid)
			k.say(one.order, nil, now)
		}
	}
	return len(k.calls)+len(k.killed) > 0
}

// finish says what is left to say.
func (k *kills) finish(now time.Time) { k.tick(now.Add(killsFor)) }

// say writes the record; without v the kernel has not told of the call.
func (k *kills) say(o wire.Order, v *violation, now time.Time) {
	var of denied.Service
	if json.Unmarshal([]byte(o.Name), &of) != nil {
		return // both ends are of one build
	}
	d := said.Denial{PID: int(o.Token), Signal: "SIGSYS", Count: 1, Digest: of.Digest}
	if v != nil && v.arch != machine.Audit {
		d.Call, d.Args = "another architecture's", ""
	} else if v != nil {
		c := spoken.Call{Nr: int(v.nr), Blind: true}
		d.Call, d.Grant = c.Name(), denied.Grant(&of, c)
	}
	k.out(said.Denied(now, of.Service, o.ID, d))
}
