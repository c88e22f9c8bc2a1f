package sandbox

import "casemate/sandbox/landlock"

// Layer is a part of the sandbox that a host may be unable to give.
type Layer struct {
	Name string
	// abi and since are, for a part of Landlock, the first version of its
	// interface that has it, and the Linux that brought that.
	abi   int
	since string
}

// Layers is every word of best_effort. A word with a dot is a part of a layer; the
// layer's own word stands for all of it.
var Layers = []Layer{
	{allOfLandlock, 1, "5.13"},
	{landlockNet, landlock.ABINet, "6.7"},
	{landlockScopes, landlock.ABIScopes, "6.12"},
	{filesLog, landlock.ABIScopes, "6.12"},
	{Name: "cgroup"},
	{Name: openFiles},
}

const (
	allOfLandlock  = "landlock"
	landlockNet    = "landlock.net"
	landlockScopes = "landlock.scopes"
	filesLog       = "files.log"
	openFiles      = "resources.open_files"
)
