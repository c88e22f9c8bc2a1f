package sandbox

import "casemate/sandbox/landlock"

// layer is a part of the sandbox that a host may be unable to give.
type layer struct {
	name string
	// abi and since are, for a part of Landlock, the first version of its
	// interface that has it, and the Linux that brought that.
	abi   int
	since string
}

// layers is every word of best_effort. A word with a dot is a part of a layer; the
// layer's own word stands for all of it.
var layers = []layer{
	{allOfLandlock, 1, "5.13"},
	{landlockNet, landlock.ABINet, "6.7"},
	{landlockScopes, landlock.ABIScopes, "6.12"},
	{filesLog, landlock.ABIScopes, "6.12"},
	{name: "cgroup"},
	{name: openFiles},
}

const (
	allOfLandlock  = "landlock"
	landlockNet    = "landlock.net"
	landlockScopes = "landlock.scopes"
	filesLog       = "files.log"
	openFiles      = "resources.open_files"
)

// Dispensable are the words that best_effort may use.
func Dispensable() (words []string) {
	for _, l := range layers {
		words = append(words, l.name)
	}
	return words
}
