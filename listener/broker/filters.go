package broker

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/program"
)

// filters are those that casemate-filter has compiled, by their shapes: hundreds of services share a
// few profiles. They are memories of a pure function.
type filters struct {
	sync.Mutex
	known map[[sha256.Size]byte]program.Filter
}

// maxKnown bounds them between two times that some are asked for (about 5 KiB each), and
// maxShapes what one process is asked for: its answer is no longer than maxCompiled.
const (
	maxKnown  = 64
	maxShapes = 512
)

// fit gives each plan its filter. It blocks and never runs on the loop.
func (b *Broker) fit(plans ...*sandbox.Plan) error {
	f := &b.filters
	f.Lock()
	defer f.Unlock()
	if f.known == nil || len(f.known) > maxKnown {
		f.known = make(map[[sha256.Size]byte]program.Filter)
	}
	err := b.ask(plans, program.Shape.Form)
	if err == nil {
		plans = slices.DeleteFunc(slices.Clone(plans), func(pl *sandbox.Plan) bool { return !pl.Filter.Exact })
		err = b.ask(plans, func(s program.Shape) program.Shape { return s })
	}
	if err != nil {
		return fmt.Errorf("compile seccomp filters: %w", err)
	}
	return nil
}

func (b *Broker) ask(plans []*sandbox.Plan, form func(program.Shape) program.Shape) error {
	keys := make([][sha256.Size]byte, len(plans))
	asked := make(map[[sha256.Size]byte]bool)
	var shapes []program.Shape
	var whose [][sha256.Size]byte
	for i, pl := range plans {
		s := form(pl.Shape(sandbox.ABI()))
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		keys[i] = sha256.Sum256(text)
		if _, ok := b.filters.known[keys[i]]; !ok && !asked[keys[i]] {
			asked[keys[i]] = true
			shapes, whose = append(shapes, s), append(whose, keys[i])
		}
	}
	for len(shapes) > 0 {
		n := min(len(shapes), maxShapes)
		made, err := b.runFilter(shapes[:n])
		if err != nil {
			return err
		}
		for i := range made {
			b.filters.known[whose[i]] = made[i]
		}
		shapes, whose = shapes[n:], whose[n:]
	}
	for i, pl := range plans {
		pl.Filter = b.filters.known[keys[i]]
	}
	// There were no descriptors, or no memory: not for ever.
	maps.DeleteFunc(b.filters.known, func(_ [sha256.Size]byte, f program.Filter) bool { return f.Error != "" })
	return nil
}

// runFilter has casemate-filter compile, in a sandbox of its own. It sees nothing but rules.
func (b *Broker) runFilter(shapes []program.Shape) ([]program.Filter, error) {
	request, err := json.Marshal(program.Request{FormatVersion: program.Format, Shapes: shapes})
	if err != nil {
		return nil, err
	}
	plan, err := b.helperPlan(filterProfile(), "casemate-filter")
	if err != nil {
		return nil, err
	}
	plan.Filter = program.First()
	c, err := confined(plan)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	text, err := b.converse(c, request)
	if err != nil {
		return nil, err
	}
	var a program.Response
	if err := policy.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	if a.FormatVersion != program.Format || len(a.Filters) != len(shapes) {
		return nil, errors.New("the answer is of another version, or not to what was asked")
	}
	return a.Filters, nil
}
