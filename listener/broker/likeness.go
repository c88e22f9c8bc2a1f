package broker

import (
	"maps"
	"reflect"

	"casemate/policy"
)

// likeness tells which services of a policy are as another one has them, all that root makes their sandboxes and sockets
// from included. What it cannot tell of is none.
type likeness struct {
	old, new *policy.Policy
	places   map[string]int // of the services of old
	none     bool           // what all have in common is another
	profiles map[string]bool
	filters  map[string]bool
}

func newLikeness(old, new *policy.Policy) *likeness {
	l := &likeness{old: old, new: new, places: make(map[string]int, len(old.Services)), profiles: make(map[string]bool), filters: make(map[string]bool)}
	for i := range old.Services {
		l.places[old.Services[i].Name] = i
	}
	// A sandbox knows how many tasks all services of its user may have (sandbox.Command). Users are told apart by their names: of the
	// same names and sums the ids have the same, in whatever way these share them.
	tasks := func(p *policy.Policy) map[policy.Account]int64 {
		return policy.UserTasks(p, func(s *policy.Service) (policy.Account, bool) { return s.User, s.User != policy.Dynamic })
	}
	l.none = old.Machine != new.Machine || old.OnStop != new.OnStop || !maps.Equal(tasks(old), tasks(new))
	return l
}

// place is where the old policy has s, the i-th of the new one, whatever clients it admits; -1 is nowhere: programs of rules, and built-ins, whose workers are told
// their rules and more, are looked up in any case.
func (l *likeness) place(i int, s *policy.Service) int {
	if l == nil { // nothing is in force
		return -1
	}
	at, ok := l.places[s.Name]
	if !ok || l.none || i >= len(l.new.Services) || s.Builtin != "" {
		return -1
	}
	was, is := l.old.Services[at], *s
	was.ACL, is.ACL = "", ""
	if !reflect.DeepEqual(was, is) || !reflect.DeepEqual(l.old.Limit(s.Limit), l.new.Limit(s.Limit)) || !l.profile(s.Profile) {
		return -1
	}
	return at
}

// profile tells whether the profile of that name is the same, with its filter, which many share.
func (l *likeness) profile(name string) bool {
	return once(l.profiles, name, func() bool {
		a, b := *l.old.Profile(name), *l.new.Profile(name)
		a.Syscalls.Rules, b.Syscalls.Rules = nil, nil
		filter := a.Syscalls.Filter
		return reflect.DeepEqual(a, b) && once(l.filters, filter, func() bool { return reflect.DeepEqual(l.old.Filters[filter], l.new.Filters[filter]) })
	})
}

// once is what ask says of a name, which is known from then on.
func once(known map[string]bool, name string, ask func() bool) bool {
	is, ok := known[name]
	if !ok {
		is = ask()
		known[name] = is
	}
	return is
}
