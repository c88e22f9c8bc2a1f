// Package granted is what a compiled policy grants to root: for each service the sockets that casemated
// opens, and the program that it has started, with what its sandbox is made from. It is all that root reads of a
// policy. Who is admitted, and how often, the broker decides by the rest, a process without rights.
//
// It follows from the rest: package canon makes it, and holds a document to it in every process that reads one
// whole. Both are the same bytes, of one digest.
package granted

import (
	"casemate/listener"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/program"
)

// Policy is what is granted to root. Profiles and Services are sorted by name.
type Policy struct {
	Machine  string            `json:"machine,omitempty"` // machine.Compiled of the compiler: Filters are numbers of calls there
	Profiles []sandbox.Profile `json:"profiles"`          // of the services, without the words that are for people
	Filters  Filters           `json:"filters"`
	Services []Service         `json:"services"`
	// Commands are services once more, each with the command of a rule in place of its own, and without sockets.
	Commands []Service `json:"commands,omitempty"`
}

// Filters are resolved rules of system calls by name.
type Filters map[string]program.Words

// Service is a service, or one with another command.
type Service struct {
	// Command names the service and is what its sandbox runs, but for the ids: those are looked up on each host. Without
	// a Path it is casemate-worker.
	Command sandbox.Command `json:"command"`
	// User and Group are names or decimal numbers; Group is "" for the user's own.
	User   string   `json:"user"`
	Group  string   `json:"group,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// PassEnv are variables that it has as casemated has them, in place of what Command says of these.
	PassEnv []string `json:"pass_env,omitempty"`
	Profile string   `json:"profile"`
	Sockets []Socket `json:"sockets,omitempty"`
}

// Dynamic is a User leased for every connection.
const Dynamic = "dynamic"

// Socket is one socket that a service asks for.
type Socket struct {
	// Spec has the ids of its file once Owner and Group are looked up, "" being root's.
	Spec     listener.Spec `json:"spec"`
	Owner    string        `json:"owner,omitempty"`
	Group    string        `json:"group,omitempty"`
	Optional bool          `json:"optional,omitempty"` // the second family of "tcp" or "udp" without an address
	Retry    bool          `json:"retry,omitempty"`    // where it is busy or missing, which else is an error
	Listen   int           `json:"listen"`             // which of the service's addresses it is
}

// All are the Services, and behind them the Commands.
func (p *Policy) All() []*Service {
	all := make([]*Service, 0, len(p.Services)+len(p.Commands))
	for _, list := range [][]Service{p.Services, p.Commands} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// Of is the profile of s, or nil.
func (p *Policy) Of(s *Service) *sandbox.Profile {
	return Find(p.Profiles, s.Profile, profileName)
}
