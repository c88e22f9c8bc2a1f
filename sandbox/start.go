package sandbox

import "casemate/sandbox/zygote"

// ZygotePlan is a copy of what Spawn hands to the zygote. The benchmark leaves
// parts of it out to price each layer; its descriptors stay the sandbox's.
func (s *Sandbox) ZygotePlan() zygote.Plan { return s.start }
