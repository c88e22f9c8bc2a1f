package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/policy/suggest"
)

// parseListen reads one listen address, with names of ports.
func parseListen(s string) (address.Listen, *badValue) {
	l, err := spell.Parse(s, namedPort)
	var bad *spell.Error
	if !errors.As(err, &bad) {
		return l, nil
	}
	next := bad.Next
	if word, _, ok := strings.Cut(s, ":"); ok && !slices.Contains(address.Networks(), word) {
		next = didYouMean(word, address.Networks(), "")
	} else if i := strings.LastIndexByte(s, ':'); strings.HasPrefix(bad.Summary, "port ") {
		next = portHint(s[i+1:], next)
	}
	return l, &badValue{clip(bad.Summary), next}
}

func namedPort(s string) (uint16, bool) {
	port, ok := ports[s]
	return port, ok
}

// portHint is the next step for a port that is not known: the nearest name.
func portHint(s, next string) string {
	if w := suggest.Word(s, sortedKeys(ports)); w != "" && strings.Trim(s, "0123456789") != "" {
		return fmt.Sprintf("did you mean %q, or write its number", w)
	}
	return next
}
