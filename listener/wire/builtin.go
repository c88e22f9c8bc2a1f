package wire

import (
	"encoding/json"
	"syscall"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
)

// Leave tells the built-in worker to give its sockets up, serve to the end who is
// there, and end. Said.Leave says the same.
const Leave = syscall.SIGUSR1

// KeptSize is the size in bytes of the file that comes as the second of the built-in worker's descriptors: what limits
// remember, from one worker of the service to the next (builtin.keeper). The broker makes it, full of zeros, and
// seals its size.
const KeptSize = 1 << 20

// Builtin is what the broker tells the built-in worker about its service:
// constants of the compiled policy, as JSON, in a file that comes as the
// first of its descriptors.
type Builtin struct {
	Service string `json:"service"`
	// Builtin is one of policy.Builtins.
	Builtin string `json:"builtin"`
	// Says and Amplify are policy.Service's.
	Says    []string `json:"says,omitempty"`
	Amplify bool     `json:"amplify,omitempty"`
	// Mux are all names that tcpmux knows (policy.Service.Mux): a byte that counts them, with a client's socket, goes over its last descriptor.
	Mux []string `json:"mux,omitempty"`
	// ACL is the service's host rules; null admits nobody.
	ACL *acl.List `json:"acl"`
	// Limit is enforced over all sockets of the service together. Its penalties
	// come from tcp sessions only.
	Limit limit.Spec `json:"limit"`
	// Idle ends a tcp client without a byte either way for so long, 0 = never.
	Idle time.Duration `json:"idle_ns,omitempty"`
	// Linger is how long the worker waits without a client before it exits, in
	// ns; less than a second counts as a second, so that a client whose wake-up
	// races with the end is not met by an endless row of workers.
	Linger time.Duration `json:"linger_ns"`
	// Log is the level of the records (journal.Omits).
	Log string `json:"log"`
	// Digest goes into the records.
	Digest string `json:"digest"`
	// Origins are the places of the ACL's rules ("file:line:column"), for the
	// records; a rule without one is named by its number.
	Origins []string `json:"origins,omitempty"`
}

// Encode makes the text, which far.DecodeBuiltin reads.
func (c *Builtin) Encode() ([]byte, error) { return json.Marshal(c) }
