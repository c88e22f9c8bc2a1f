package sandbox

import "casemate/sandbox/landlock"

// layer is a part of the sandbox that a profile can name.
type layer struct {
	name string
	// widens: a profile may grant more in it than its base does.
	widens bool
	// bestEffort: it may be missing on a host that cannot give it.
	bestEffort bool
	// abi and since are, for a part of Landlock, the first version of its
	// interface that has it, and the Linux that brought that.
	abi   int
	since string
}

// layers is every word of widens and best_effort. A word with a dot is a part
// of a layer; the layer's own word stands for all of it.
var layers = []layer{
	{name: "network", widens: true},
	{name: "files", widens: true},
	{name: "capabilities", widens: true},
	{name: "syscalls", widens: true},
	{name: "resources", widens: true},
	{name: "user_namespace", widens: true},
	{name: allOfLandlock, bestEffort: true, abi: 1, since: "5.13"},
	{name: landlockNet, bestEffort: true, abi: landlock.ABINet, since: "6.7"},
	{name: landlockScopes, bestEffort: true, abi: landlock.ABIScopes, since: "6.12"},
	{name: "cgroup", bestEffort: true},
	{name: openFiles, bestEffort: true},
}

const (
	allOfLandlock  = "landlock"
	landlockNet    = "landlock.net"
	landlockScopes = "landlock.scopes"
	openFiles      = "resources.open_files"
)

// Widenable are the words that widens may use.
func Widenable() []string { return layerNames(func(l layer) bool { return l.widens }) }

// Dispensable are the words that best_effort may use.
func Dispensable() []string { return layerNames(func(l layer) bool { return l.bestEffort }) }

func layerNames(which func(layer) bool) []string {
	var out []string
	for _, l := range layers {
		if which(l) {
			out = append(out, l.name)
		}
	}
	return out
}
