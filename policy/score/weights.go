package score

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"casemate/policy/granted"
	"casemate/policy/suggest"
)

// WeightsFormat is the format_version of Weights.
const WeightsFormat = 1

// MaxWeights is the size in bytes of the largest file of weights that is read.
const MaxWeights = 64 << 10

// Weights are the points of the items, by their ID, and how many are a score of 5.0.
type Weights struct {
	FormatVersion int                `json:"format_version"`
	Half          float64            `json:"half"`
	Weights       map[string]float64 `json:"weights"`
}

// half is the usual one: a builtin for everybody on the internet stays below it, and a root program on the host's network is
// four times as much.
const half = 16

// Default are the weights of Items.
func Default() *Weights {
	w := &Weights{WeightsFormat, half, map[string]float64{}}
	for i := range Items {
		w.Weights[Items[i].ID] = Items[i].Weight
	}
	return w
}

// ParseWeights reads weights as JSON. What the text leaves out is as in Default; a name that is no item,
// a number that is below 0 or above 1000, and a half that is not above 0 are errors.
func ParseWeights(text []byte) (*Weights, error) {
	if len(text) > MaxWeights {
		return nil, fmt.Errorf("weights: more than %d bytes", MaxWeights)
	}
	given := Weights{FormatVersion: WeightsFormat}
	if err := granted.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("weights: %w: write {\"weights\":{\"user\":20}}", err)
	}
	if given.FormatVersion != WeightsFormat {
		return nil, fmt.Errorf("weights: format_version %d is not known, expected %d", given.FormatVersion, WeightsFormat)
	}
	w := Default()
	if given.Half != 0 {
		w.Half = given.Half
	}
	if !(w.Half > 0 && w.Half <= 1e6) {
		return nil, errors.New("weights: half must be above 0: it is the points of a score of 5.0")
	}
	for id, v := range given.Weights {
		if _, ok := w.Weights[id]; !ok {
			var ids []string
			for i := range Items {
				ids = append(ids, Items[i].ID)
			}
			next := "casemate score --items lists them"
			if near := suggest.Word(id, ids); near != "" {
				next = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, fmt.Errorf("weights: there is no item %q; %s", id, next)
		}
		if !(v >= 0 && v <= 1000) || math.IsNaN(v) {
			return nil, fmt.Errorf("weights: %s must be from 0 to 1000", id)
		}
		w.Weights[id] = v
	}
	return w, nil
}

// Change is what became of a service's score.
type Change struct {
	Service string `json:"service"`
	// Old and New are scores, nil where the service is not served.
	Old *float64 `json:"old"`
	New *float64 `json:"new"`
	// Items are those that grew or shrank, reach among them.
	Items []ItemChange `json:"items"`
}

// ItemChange is an item with another value.
type ItemChange struct {
	ID  string  `json:"id"`
	Old float64 `json:"old"`
	New float64 `json:"new"`
	Was string  `json:"was"`
	Is  string  `json:"is"`
}

// By is how much the score grew; what is not served counts as 0.
func (c *Change) By() float64 {
	v := func(f *float64) float64 {
		if f == nil {
			return 0
		}
		return *f
	}
	return math.Round(10*(v(c.New)-v(c.Old))) / 10
}

// Compare gives what changed from old to new, what grew most first.
func Compare(old, new []Score) []Change {
	before, after := map[string]*Score{}, map[string]*Score{}
	var names []string
	for _, side := range []struct {
		list []Score
		to   map[string]*Score
	}{{old, before}, {new, after}} {
		for i := range side.list {
			side.to[side.list[i].Service] = &side.list[i]
			names = append(names, side.list[i].Service)
		}
	}
	slices.Sort(names)
	out := []Change{}
	for _, name := range slices.Compact(names) {
		a, b := before[name], after[name]
		c := Change{Service: name, Items: []ItemChange{}}
		if a != nil {
			c.Old = &a.Score
		}
		if b != nil {
			c.New = &b.Score
		}
		if a != nil && b != nil {
			if a.Reach.Value != b.Reach.Value {
				c.Items = append(c.Items, ItemChange{"reach", a.Reach.Value, b.Reach.Value, a.Reach.What, b.Reach.What})
			}
			for i := range a.Items {
				if x, y := &a.Items[i], &b.Items[i]; x.Value != y.Value {
					c.Items = append(c.Items, ItemChange{x.ID, x.Value, y.Value, x.What, y.What})
				}
			}
		}
		if a == nil || b == nil || len(c.Items) > 0 || a.Score != b.Score {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int {
		switch x, y := a.By(), b.By(); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return out
}
