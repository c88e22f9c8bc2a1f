package lang

import "casemate/policy"

// ShippedOrigins tells of every value of the shipped profiles where it was written, as
// Document.Origins does for a policy's.
func ShippedOrigins() policy.Origins {
	return shipped().origins(&policy.Policy{Profiles: ShippedProfiles()})
}
