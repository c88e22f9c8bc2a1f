package broker

import (
	"fmt"
	"maps"
	"slices"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/listener/journal"
	"casemate/policy"
)

// rules is an acl ready to decide. The zero rules admit nobody.
type rules struct {
	matcher *decide.Matcher
	list    *acl.List
	origins journal.Origins
}

// compileRules prepares the acl of that name; "" and a name that does not exist
// (which the policy's validation excludes) admit nobody.
func compileRules(doc *policy.Document, name string) (rules, error) {
	list := doc.Policy.ACL(name)
	if list == nil {
		return rules{}, nil
	}
	m, err := decide.Compile(list)
	if err != nil {
		return rules{}, fmt.Errorf("acls.%s: %w", name, err)
	}
	return rules{matcher: m, list: list, origins: doc.RuleOrigins(name)}, nil
}

// appendEnv adds what the client's rule sets. Facts and variables of a service come first for getenv(3); none has such a name (valid.Check).
func (r rules) appendEnv(env []string, rule int) []string {
	if rule >= 0 && r.list != nil {
		set := r.list.Rules[rule].Env
		for _, name := range slices.Sorted(maps.Keys(set)) {
			env = append(env, name+"="+set[name])
		}
	}
	return env
}
