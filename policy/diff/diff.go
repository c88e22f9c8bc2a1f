// Package diff tells what one profile grants more and less than another, layer by layer. It
// compares meanings, not words: two profiles that are written differently and grant the same
// are the same. What it cannot decide it says differs.
package diff

import (
	"fmt"
	"slices"

	"casemate/policy/calls"
	"casemate/policy/explain"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/resource"
)

// Layer is what two profiles differ in of one layer.
type Layer struct {
	Name string `json:"layer"`
	// More is what the second grants and the first does not, Less the other way round.
	More []string `json:"more"`
	Less []string `json:"less"`
	// Differs is what is not the same and neither more nor less, or what nobody could decide.
	Differs []string `json:"differs"`
}

// Report is the difference of two profiles: the layers in which there is one, in a fixed order.
type Report struct {
	A      string  `json:"a"`
	B      string  `json:"b"`
	Layers []Layer `json:"layers"`
}

// Same tells whether the profiles grant the same.
func (r *Report) Same() bool { return len(r.Layers) == 0 }

// Widened are the layers in which the second grants anything more than the first, or may.
func (r *Report) Widened() (layers []string) {
	for _, l := range r.Layers {
		if len(l.More)+len(l.Differs) > 0 {
			layers = append(layers, l.Name)
		}
	}
	return layers
}

// Profiles compares a, the one before, with b. An error is that of system calls which mean nothing.
func Profiles(a, b *sandbox.Profile) (*Report, error) {
	r := &Report{A: a.Name, B: b.Name, Layers: []Layer{}}
	was, err := calls.Resolve(&a.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", a.Name, err)
	}
	is, err := calls.Resolve(&b.Syscalls)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", b.Name, err)
	}
	r.layer("syscalls", func(l *Layer) {
		l.rules(was, is)
		l.rank("a call that is not allowed fails, and the program goes on (errno)", "a call that is not allowed kills", a.Syscalls.OnViolation == "errno", b.Syscalls.OnViolation == "errno")
		l.truth("the launch calls stay in its filter (seal = false)", !a.Syscalls.Seal, !b.Syscalls.Seal)
	})
	r.others(a, b)
	return r, nil
}

// layer adds a layer in which there is a difference.
func (r *Report) layer(name string, compare func(*Layer)) {
	l := Layer{Name: name, More: []string{}, Less: []string{}, Differs: []string{}}
	if compare(&l); len(l.More)+len(l.Less)+len(l.Differs) > 0 {
		r.Layers = append(r.Layers, l)
	}
}

// others compares all layers but that of system calls.
func (r *Report) others(a, b *sandbox.Profile) {
	layer := r.layer
	layer("files", func(l *Layer) { l.files(&a.Files, &b.Files) })
	layer("network", func(l *Layer) { l.network(&a.Network, &b.Network) })
	layer("capabilities", func(l *Layer) { l.words("", a.Capabilities, b.Capabilities) })
	layer("resources", func(l *Layer) { l.resources(&a.Resources, &b.Resources) })
	layer("namespaces", func(l *Layer) {
		l.truth("the host's user namespace", !a.UserNamespace, !b.UserNamespace)
		l.truth("the host's network namespace", a.Network.Mode == sandbox.NetworkHost, b.Network.Mode == sandbox.NetworkHost)
		if a.Init != b.Init {
			l.Differs = append(l.Differs, fmt.Sprintf("init: %v, was %v", b.Init, a.Init))
		}
	})
	layer("processor", func(l *Layer) { l.processor(&a.Processor, &b.Processor) })
	layer("best effort", func(l *Layer) { l.words("may start without ", a.BestEffort, b.BestEffort) })
}

// truth compares something that a profile grants or does not.
func (l *Layer) truth(what string, was, is bool) {
	switch {
	case is && !was:
		l.More = append(l.More, what)
	case was && !is:
		l.Less = append(l.Less, what)
	}
}

// rank compares two ways, of which the wide one grants more.
func (l *Layer) rank(wide, narrow string, was, is bool) {
	switch {
	case is && !was:
		l.More = append(l.More, wide)
	case was && !is:
		l.Less = append(l.Less, narrow)
	}
}

// words compares two sets.
func (l *Layer) words(prefix string, was, is []string) {
	for _, w := range is {
		if !slices.Contains(was, w) {
			l.More = append(l.More, prefix+w)
		}
	}
	for _, w := range was {
		if !slices.Contains(is, w) {
			l.Less = append(l.Less, prefix+w)
		}
	}
}

// amount compares two numbers, of which the larger grants more and 0 is as zero says.
func (l *Layer) amount(name, zero string, was, is int64, show func(int64) string) {
	if was == is {
		return
	}
	text := func(n int64) string {
		if n == 0 {
			return zero
		}
		return show(n)
	}
	line := fmt.Sprintf("%s %s, was %s", name, text(is), text(was))
	unlimited := zero != none
	if more := is > was; unlimited && is == 0 || more && !(unlimited && was == 0) {
		l.More = append(l.More, line)
	} else {
		l.Less = append(l.Less, line)
	}
}

const none = "none"

func (l *Layer) resources(was, is *sandbox.Resources) {
	for i, row := range sandbox.ResourceRows {
		l.amount(row.Name, "unlimited", was[i], is[i], func(n int64) string { return explain.Amount(resource.Rows[i].Unit, n) })
	}
}

// processor compares what each keeps to itself.
func (l *Layer) processor(was, is *sandbox.Processor) {
	for i, v := range [][2]string{{was.StoreBypass, is.StoreBypass}, {was.IndirectBranch, is.IndirectBranch}, {was.Core, is.Core}} {
		k := &valid.Kept[i]
		a, b := max(slices.Index(k.Words, v[0]), 0), max(slices.Index(k.Words, v[1]), 0)
		line := fmt.Sprintf("%s %s, was %s", k.Name, k.Words[b], k.Words[a])
		switch {
		case b < a:
			l.More = append(l.More, line)
		case b > a:
			l.Less = append(l.Less, line)
		}
	}
}

// network compares modes by their order, and the ports of the host's network.
func (l *Layer) network(was, is *sandbox.Network) {
	a, b := slices.Index(sandbox.NetworkModes, was.Mode), slices.Index(sandbox.NetworkModes, is.Mode)
	line := fmt.Sprintf("mode %s, was %s", is.Mode, was.Mode)
	switch {
	case b > a:
		l.More = append(l.More, line)
	case a > b:
		l.Less = append(l.Less, line)
	}
	l.ports("tcp connect to port ", was.Connect, is.Connect)
	l.ports("tcp bind to port ", was.Bind, is.Bind)
}

// ports compares sorted lists, in which 0 alone is any port.
func (l *Layer) ports(prefix string, was, is []uint16) {
	gone := func(from, without []uint16) (out []string) {
		switch {
		case slices.Contains(without, 0):
		case slices.Contains(from, 0):
			return []string{prefix + "any"}
		}
		for _, span := range explain.Ports(slices.DeleteFunc(slices.Clone(from), func(p uint16) bool { return slices.Contains(without, 0) || slices.Contains(without, p) })) {
			out = append(out, prefix+span)
		}
		return out
	}
	l.More = append(l.More, gone(is, was)...)
	l.Less = append(l.Less, gone(was, is)...)
}
