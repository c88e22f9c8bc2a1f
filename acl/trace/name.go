package trace

import (
	"fmt"
	"strings"

	"casemate/acl"
	"casemate/acl/pattern"
)

// ParseName reads the name a person asks about: "" (not asked), "unknown",
// "paranoid", "no-answer", or a host name, which is taken as forward-confirmed.
func ParseName(s string) (acl.Name, error) {
	switch s {
	case "":
		return acl.Name{}, nil
	case "unknown":
		return acl.Name{State: acl.Unknown}, nil
	case "paranoid":
		return acl.Name{State: acl.Paranoid}, nil
	case "no-answer":
		return acl.Name{State: acl.NoAnswer}, nil
	}
	host := pattern.Lower(strings.TrimSuffix(s, "."))
	if err := pattern.CheckHost(host); err != nil {
		return acl.Name{}, fmt.Errorf("client name %q: %w", strings.TrimSuffix(s, "."), err)
	}
	return acl.Name{State: acl.Known, Host: host}, nil
}

// stateWords are what is known of a name, in a word.
var stateWords = [...]string{acl.NotAsked: "not-asked", acl.Known: "known", acl.Unknown: "unknown", acl.Paranoid: "paranoid", acl.NoAnswer: "no-answer"}
