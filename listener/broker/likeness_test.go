package broker

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
)

// TestChangedReload: of a policy in which one service is another, that one alone is looked up and prepared, and none where only whom one
// admits has changed, which holds. Where they all run as a user with more tasks in sum, all are looked up.
func TestChangedReload(t *testing.T) {
	g, made := newRig(t), 0
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		g.mu.Lock()
		delete(g.fakes, j.Service) // each sandbox gets a fake of its own
		made++
		g.mu.Unlock()
		return cells(j)
	}
	ports := []uint16{freePort(t), freePort(t), freePort(t)}
	services := func() (list []policy.Service) {
		for i, port := range ports {
			list = append(list, svc(fmt.Sprintf("s%d", i), "tcp", port, "/bin/cat"))
		}
		return list
	}
	load := func(what string, finds int64, cells int, change func(p *policy.Policy)) {
		t.Helper()
		p := testPolicy(services()...)
		change(p)
		var err error
		if g.doc, err = newDocument(p, policy.Origins{}); err != nil {
			t.Fatal(what, err)
		}
		g.finds.Store(0)
		made = 0
		if _, _, err := g.Load(); err != nil {
			t.Fatal(what, err)
		}
		if got := g.finds.Load(); got != finds || made != cells {
			t.Errorf("%s: %d services were looked up and %d prepared, want %d and %d", what, got, made, finds, cells)
		}
	}
	load("first", 3, 3, func(*policy.Policy) {})
	load("one command", 1, 1, func(p *policy.Policy) { p.Services[1].Command = []string{"/bin/cat", "-u"} })
	load("and back", 1, 1, func(*policy.Policy) {})
	load("one's clients", 0, 0, func(p *policy.Policy) {
		p.Services[2].ACL = "nobody"
	})
	if g.gen.services[2].rules.list.Name != "nobody" || g.gen.services[1].rules.list.Name != "anyone" {
		t.Error("who is admitted is as it was")
	}
	if !refusedAt(t, ports[2]) {
		t.Error("who is not admitted is served")
	}
	echoes(t, dial(t, ports[1]))
	load("all stay", 3, 3, func(p *policy.Policy) { p.OnStop = policy.StopLeave })
	for _, port := range ports {
		echoes(t, dial(t, port))
	}
}

// TestLikenessOfEverything: whatever is another one of what root makes of a service, likeness does not take the service for the same.
func TestLikenessOfEverything(t *testing.T) {
	fresh := func() *policy.Policy {
		p := testPolicy(svc("a", "tcp", 7001, "/bin/cat"), svc("b", "tcp", 7002, "/bin/cat"))
		p.Filters = granted.Filters{}
		for i := range p.Profiles {
			p.Filters[p.Profiles[i].Syscalls.Filter] = [][]uint32{{uint32(i)}}
		}
		p.Services[0].Env, p.Services[0].PassEnv = map[string]string{"A": "b"}, []string{"B"}
		return p
	}
	// What root has of the first service.
	of := func(p *policy.Policy) string {
		g := canon.Granted(p)
		var s *granted.Service
		for _, one := range g.All() {
			if s == nil && one.Command.Service == "a" { // the programs of rules come behind
				s = one
			}
		}
		if s == nil || g.Of(s) == nil {
			return "none"
		}
		f := *g.Of(s)
		text, err := json.Marshal([]any{s, f, g.Machine, g.Filters[f.Syscalls.Filter], policy.UserTasks(p, func(s *policy.Service) (policy.Account, bool) { return s.User, s.User != policy.Dynamic })})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	mutants, differ := 0, 0
	old := fresh()
	for n := 0; ; n++ {
		p, left := fresh(), n
		if !mutate(reflect.ValueOf(p).Elem(), &left) {
			break
		}
		mutants++
		func() {
			defer func() { // a name that leads nowhere is refused before anybody compares
				if recover() != nil {
					mutants--
				}
			}()
			if of(p) == of(old) {
				return
			}
			differ++
			if p.Services[0].Name == "a" && newLikeness(old, p).place(0, &p.Services[0]) >= 0 {
				t.Errorf("mutant %d is taken for the same:\n%s\n%s", n, of(old), of(p))
			}
		}()
	}
	if same := newLikeness(old, fresh()); same.place(0, &old.Services[0]) != 0 {
		t.Error("the same is taken for another")
	}
	if mutants < 100 || differ < 50 {
		t.Errorf("%d mutants, of which %d make a difference to root", mutants, differ)
	}
	t.Log(mutants, "mutants,", differ, "differ")
}

// mutate changes the n-th value in v, and tells whether there is one.
func mutate(v reflect.Value, n *int) bool {
	if !v.CanSet() && v.Kind() != reflect.Pointer && v.Kind() != reflect.Map {
		return false
	}
	here := func(change func()) bool {
		if *n--; *n >= 0 {
			return false
		}
		change()
		return true
	}
	switch v.Kind() {
	case reflect.Bool:
		return here(func() { v.SetBool(!v.Bool()) })
	case reflect.String:
		return here(func() { v.SetString(v.String() + "x") })
	case reflect.Int, reflect.Int64, reflect.Int32:
		return here(func() { v.SetInt(v.Int() + 1) })
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return here(func() { v.SetUint(v.Uint() + 1) })
	case reflect.Struct:
		for i := range v.NumField() {
			if mutate(v.Field(i), n) {
				return true
			}
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			if mutate(v.Index(i), n) {
				return true
			}
		}
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String {
			return here(func() { v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem())) })
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			one := reflect.New(v.Type().Elem()).Elem()
			one.Set(v.MapIndex(k))
			if mutate(one, n) {
				v.SetMapIndex(k, one)
				return true
			}
		}
	}
	return false
}
