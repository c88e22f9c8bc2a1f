package trace

import (
	"fmt"
	"strings"

	"casemate/acl/decide"
	"casemate/acl/pattern"
)

// ParseName reads the name a person asks about: "" (not asked), "unknown",
// "paranoid", "no-answer", or a host name, which is taken as forward-confirmed.
func ParseName(s string) (decide.Name, error) {
	switch s {
	case "":
		return decide.Name{}, nil
	case "unknown":
		return decide.Name{State: decide.Unknown}, nil
	case "paranoid":
		return decide.Name{State: decide.Paranoid}, nil
	case "no-answer":
		return decide.Name{State: decide.NoAnswer}, nil
	}
	host := pattern.Lower(strings.TrimSuffix(s, "."))
	if err := pattern.CheckHost(host); err != nil {
		return decide.Name{}, fmt.Errorf("client name %q: %w", strings.TrimSuffix(s, "."), err)
	}
	return decide.Name{State: decide.Known, Host: host}, nil
}

// stateWords are what is known of a name, in a word.
var stateWords = [...]string{decide.NotAsked: "not-asked", decide.Known: "known", decide.Unknown: "unknown", decide.Paranoid: "paranoid", decide.NoAnswer: "no-answer"}
