package warden

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/program"
)

// maxShapes is what one casemate-filter is asked for: about a second's work, and an answer within maxCompiled.
const maxShapes = 256

// fit gives each plan its filter. Hundreds of services share a few profiles, and so a shape that is
// asked for once. It blocks and never runs on the loop.
func (w *Warden) fit(plans ...*sandbox.Plan) error {
	alike := make(map[string][]*sandbox.Plan) // by their shapes
	for _, pl := range plans {
		text, err := json.Marshal(pl.Shape(sandbox.ABI()))
		if err != nil {
			return err
		}
		alike[string(text)] = append(alike[string(text)], pl)
	}
	for shapes := range slices.Chunk(slices.Collect(maps.Keys(alike)), maxShapes) {
		made, err := w.runFilter(shapes)
		if err != nil {
			return fmt.Errorf("compile seccomp filters: %w", err)
		}
		for i, s := range shapes {
			for _, pl := range alike[s] {
				pl.Filter = made[i]
			}
		}
	}
	return nil
}

// runFilter has casemate-filter compile, in a sandbox of its own. It sees nothing but rules.
func (w *Warden) runFilter(shapes []string) ([]program.Filter, error) {
	plan, err := w.helperPlan(filterProfile(), "casemate-filter")
	if err != nil {
		return nil, err
	}
	plan.Filter = program.First()
	c, err := confined(plan)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	text, err := w.converse(c, fmt.Appendf(nil, `{"format_version":%d,"shapes":[%s]}`, program.Format, strings.Join(shapes, ",")))
	if err != nil {
		return nil, err
	}
	var a program.Response
	if err := granted.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	if a.FormatVersion != program.Format || len(a.Filters) != len(shapes) {
		return nil, errors.New("the answer is of another version, or not to what was asked")
	}
	return a.Filters, nil
}

// helperCell prepares the sandbox of one of casemated's helpers.
func (w *Warden) helperCell(p sandbox.Profile, argv ...string) (Cell, error) {
	plan, err := w.helperPlan(p, argv...)
	if err == nil {
		err = w.fit(plan)
	}
	if err != nil {
		return nil, err
	}
	return confined(plan)
}
