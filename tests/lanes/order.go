package main

import "slices"

// first are the tests that take longest: begun last they would be waited for alone.
var first = []string{
	"TestSlowClients", "TestRandomSessions", "TestSoak", "TestEveryStepFails", "TestMakerFails",
}

// host are the tests that are not what they are in namespaces of their own, with why.
var host = map[string]string{
	"TestChallengeHost": "what the kernel audits it tells the first network namespace alone",
	"TestTasksAreNamed": "the kernel counts the processes of a user in all namespaces together",
	"TestNoTasksLeft":   "the same",
}

// order is the order in which tests begin that run beside others, and then those that run alone.
func order(all []test) (beside, alone []test) {
	for _, x := range all {
		if host[x.name] != "" {
			alone = append(alone, x)
		} else {
			beside = append(beside, x)
		}
	}
	place := func(x test) int {
		if n := slices.Index(first, x.name); n >= 0 {
			return n
		}
		return len(first)
	}
	slices.SortStableFunc(beside, func(a, b test) int { return place(a) - place(b) })
	return beside, alone
}
