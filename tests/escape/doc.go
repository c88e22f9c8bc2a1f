// Package escape attacks the sandbox from inside.
//
// A victim program (testdata/victim) runs as a service under a profile and
// tries what its client tells it to: leave the root tree, touch other
// processes, reach the network, raise its rights. Each attempt is made twice:
// under the profile, where one of the promised errors must stop it, and outside
// of any sandbox, where it must work, so that a denial is known to be the
// sandbox's. Canaries on the host watch that what was denied did not happen.
package escape
