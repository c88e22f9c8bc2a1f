package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"
)

// ground is what a document comes to on this host, worked out by the code that root does it with.
type ground struct {
	doc     *policy.Document
	sockets map[string]placed // by key
	keys    map[string]bool   // of the sandboxes
	boxes   map[string][]string
}

// placed is a socket that a policy wants.
type placed struct {
	granted.Socket
	service string
}

// groundOf looks at this host for doc. What cannot be found out, check's own code says in more words: such a service has no
// sandbox, and the listeners that it would have.
func groundOf(doc *policy.Document) *ground {
	g := &ground{doc: doc, sockets: map[string]placed{}, keys: map[string]bool{}, boxes: map[string][]string{}}
	of := canon.Granted(doc.Policy)
	site := warden.New(warden.Config{LibexecDir: libexec()}, nil, nil).Site(&granted.Document{Policy: of})
	defer site.Close()
	if site.Read() != nil {
		return g
	}
	for _, s := range of.All() {
		f, err := site.Find(s)
		for _, at := range f.Sockets {
			g.sockets[at.Spec.Key()] = placed{at, s.Command.Service}
		}
		if err == nil {
			g.keys[f.Key] = true
			g.boxes[s.Command.Service] = append(g.boxes[s.Command.Service], f.Key)
		}
	}
	return g
}

// libexec is where casemate-worker is expected: of two policies, in the same place.
func libexec() string {
	self, err := os.Executable()
	if err != nil {
		return "/"
	}
	return filepath.Dir(self)
}

// planListener is a listener in a plan.
type planListener struct {
	Key     string `json:"key"`
	Service string `json:"service"`
	// Was is the service that has it now, where that is another one.
	Was string `json:"was,omitempty"`
}

// planListeners are what a reload does with listeners.
type planListeners struct {
	Kept    []planListener `json:"kept"`
	Changed []planListener `json:"changed"` // kept, with other options
	Opened  []planListener `json:"opened"`
	Closed  []planListener `json:"closed"`
}

// The words of planService.
const (
	kept    = "kept"
	anew    = "anew"
	removed = "removed"
)

// planService is what a reload does with a service.
type planService struct {
	Name string `json:"name"`
	// Sandbox is kept, anew (prepared while the old one serves) or removed.
	Sandbox string `json:"sandbox"`
	// Live is how many sessions it has now. They go on under what they were started with.
	Live int `json:"live"`
	// Broken says that it is not served now; Retried, that it is as it was, so that a reload does not fail for it.
	Broken  bool `json:"broken,omitempty"`
	Retried bool `json:"retried,omitempty"`
}

// listeners compares what is open with what to wants.
func listeners(st *control.Status, from, to *ground) planListeners {
	l := planListeners{Kept: []planListener{}, Changed: []planListener{}, Opened: []planListener{}, Closed: []planListener{}}
	open := map[string]bool{}
	for _, s := range st.Services {
		for _, at := range s.Listeners {
			want, ok := to.sockets[at.Key]
			old, known := from.sockets[at.Key]
			if open[at.Key] = true; strings.HasPrefix(at.Key, muxed) {
				continue // no socket: its clients come by way of tcpmux
			}
			one := planListener{Key: at.Key, Service: want.service}
			if want.service != s.Name {
				one.Was = s.Name
			}
			switch {
			case !ok:
				l.Closed = append(l.Closed, planListener{Key: at.Key, Service: s.Name})
			case known && old.Spec != want.Spec:
				l.Changed = append(l.Changed, one)
			default:
				l.Kept = append(l.Kept, one)
			}
		}
	}
	for key, want := range to.sockets {
		_, before := from.sockets[key]
		if !open[key] && !(want.Optional && before) { // this host had no such family then
			l.Opened = append(l.Opened, planListener{Key: key, Service: want.service})
		}
	}
	for _, list := range [][]planListener{l.Kept, l.Changed, l.Opened, l.Closed} {
		slices.SortFunc(list, func(a, b planListener) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Key, b.Key))
		})
	}
	return l
}

// muxed is how a service behind tcpmux is among the listeners of its status.
const muxed = "tcpmux:"

// services compares sandboxes: the broker keeps one that is made from the same.
func services(st *control.Status, from, to *ground) (out []planService) {
	running := map[string]*control.ServiceStatus{}
	for i := range st.Services {
		running[st.Services[i].Name] = &st.Services[i]
	}
	for i := range to.doc.Policy.Services {
		s := &to.doc.Policy.Services[i]
		p := planService{Name: s.Name, Sandbox: kept}
		if len(to.boxes[s.Name]) == 0 || slices.ContainsFunc(to.boxes[s.Name], func(key string) bool { return !from.keys[key] }) {
			p.Sandbox = anew
		}
		if now := running[s.Name]; now != nil {
			p.Live, p.Broken = now.Live, now.Broken
			p.Retried = now.Broken && same(from.doc.Policy, to.doc.Policy, s)
		}
		out = append(out, p)
	}
	for i := range st.Services {
		if s := &st.Services[i]; to.doc.Policy.Service(s.Name) == nil {
			out = append(out, planService{Name: s.Name, Sandbox: removed, Live: s.Live, Broken: s.Broken})
		}
	}
	slices.SortFunc(out, func(a, b planService) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// same tells whether a service's block and profile are as they were, as the broker asks of one that is broken.
func same(was, is *policy.Policy, s *policy.Service) bool {
	old := was.Service(s.Name)
	return old != nil && reflect.DeepEqual(old, s) && reflect.DeepEqual(was.Profile(old.Profile), is.Profile(s.Profile))
}

// known adds what casemated found that it cannot enforce, of services whose profile is as it was: it knows more than the kernel's version.
func (h *hostReport) known(st *control.Status, was, is *policy.Policy) {
	for _, s := range st.Services {
		now := is.Service(s.Name)
		if now == nil || len(s.Losses) == 0 || !reflect.DeepEqual(was.Profile(s.Profile), is.Profile(now.Profile)) {
			continue
		}
		i := slices.IndexFunc(h.Services, func(of hostService) bool { return of.Name == s.Name })
		if i < 0 {
			i = len(h.Services)
			h.Services = append(h.Services, hostService{Name: s.Name})
		}
		for _, l := range s.Losses {
			if !slices.Contains(h.Services[i].Losses, l) {
				h.Services[i].Losses = append(h.Services[i].Losses, l)
			}
		}
	}
}

// blocked are the new listeners that a program of a wait service keeps casemated from opening.
func blocked(st *control.Status, from, to *ground, l planListeners) (out []string) {
	for _, s := range st.Services {
		for _, at := range s.Listeners {
			held, known := from.sockets[at.Key]
			if !known || at.State != "waiting" || s.Builtin != "" || to.sockets[at.Key].service != "" {
				continue
			}
			for _, n := range l.Opened {
				if address.Overlap(to.sockets[n.Key].Spec.Endpoint, held.Spec.Endpoint) {
					out = append(out, fmt.Sprintf("listen %s: %s is in the way, which the program of %s holds: reload when it has ended", n.Key, at.Key, s.Name))
				}
			}
		}
	}
	return out
}
