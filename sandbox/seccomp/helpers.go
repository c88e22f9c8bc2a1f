package seccomp

import (
	"strings"

	"casemate/sandbox/seccomp/filter"
)

//go:generate go run ./internal/genhelpers -out filter/helpers.go

// HelperGroups are what casemated's own helpers may do: each of them the first
// line, the names worker the second as well, the log worker the third.
var HelperGroups = []string{"@go @landlock @socket-io", "connect newfstatat @socket-tcp @socket-udp", "@fd-passing"}

// HelperWords is what filter.Helpers holds for some of HelperGroups.
func HelperWords(groups string) (filter.Words, error) {
	rules, err := Resolve(strings.Fields(groups), nil)
	if err != nil {
		return nil, err
	}
	numbered, err := Numbered(rules)
	return filter.Encode(numbered), err
}
