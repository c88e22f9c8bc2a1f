package denied

import "casemate/sandbox"

// Service is what casemated tells casemate-worker of a service with denied calls: of its
// profile what says which calls are denied, and what would grant them. Profile is empty if the service
// is not in the policy in force any more.
type Service struct {
	Service string          `json:"service"`
	Digest  string          `json:"digest"`
	At      string          `json:"at"` // where the profile is written ("file:line:column")
	Profile sandbox.Profile `json:"profile"`
}
