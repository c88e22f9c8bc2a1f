package score

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
)

// Host is what a host can enforce: tcp ports (its kernel's Landlock knows them), and what the controllers of its cgroup v2 count.
type Host struct {
	Ports       bool
	Controllers []string
}

// On has the scorer count what the policy grants on a host: what best_effort lets start without a layer that the host has not has
// nothing of what only that layer holds. A service that casemated refuses there is scored as it would be served elsewhere.
func (r *Scorer) On(h *Host) *Scorer {
	r.host = h
	return r
}

// counted are the limits that a controller holds.
var counted = []struct {
	controller string
	resource   sandbox.Resource
}{{"memory", sandbox.Memory}, {"pids", sandbox.Processes}, {"cpu", sandbox.CPU}}

// enforced is a profile as the host enforces it, and what is lost, in words. It depends on the profile by what that grants alone: a narrower
// one has no best_effort that a wider one has not, and loses no more.
func (h *Host) enforced(f *sandbox.Profile, rules []seccomp.Rule) (*sandbox.Profile, []string) {
	if h == nil {
		return f, nil
	}
	got, lost := *f, []string{}
	if slices.Contains(f.BestEffort, "cgroup") {
		for _, c := range counted {
			if f.Resources[c.resource] != 0 && !slices.Contains(h.Controllers, c.controller) {
				got.Resources[c.resource] = 0
				lost = append(lost, "cgroup "+c.controller)
			}
		}
	}
	if !h.Ports && f.Network.Mode == sandbox.NetworkHost && (slices.Contains(f.BestEffort, "landlock.net") || slices.Contains(f.BestEffort, "landlock")) {
		for _, p := range []struct {
			call string
			list *[]uint16
		}{{"connect", &got.Network.Connect}, {"bind", &got.Network.Bind}} {
			if seccomp.Allows(rules, seccomp.Rule{Name: p.call}) && !slices.Equal(*p.list, []uint16{0}) {
				*p.list = []uint16{0}
				lost = append(lost, fmt.Sprintf("landlock.net of %s", p.call))
			}
		}
	}
	return &got, lost
}

// lostOn is what an item says that measures the host.
func lostOn(h *Host, lost []string) string {
	switch {
	case h == nil:
		return ""
	case len(lost) == 0:
		return "; this host has what its limits and ports need"
	}
	return "; this host does without: " + strings.Join(lost, ", ")
}
