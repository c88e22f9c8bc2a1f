package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/suggest"
)

// socketMode is that of a unix socket's file when the policy names none.
const socketMode = 0o600

// listen reads listen and socket { ... }.
func (b *block) listen(s *policy.Service) {
	items, _ := b.strs("listen", "listen")
	for _, v := range items {
		if l, bad := parseListen(v.s); bad != nil {
			b.c.report(codeValue, v.rng, bad.next, "listen: %s", bad.summary)
		} else {
			s.Listen = append(s.Listen, l)
		}
	}
	if slices.ContainsFunc(s.Listen, address.Listen.File) {
		s.Socket.Mode = socketMode
	}
	o := b.one("socket", "socket", []string{"mode", "owner", "group", "backlog"})
	if o == nil {
		return
	}
	if mode, ok := unit(o, "mode", "mode", "0660", parseMode); ok {
		s.Socket.Mode = mode
	}
	s.Socket.Owner, _ = o.account("owner", "owner")
	s.Socket.Group, _ = o.account("group", "group")
	if n, ok := o.number("backlog", "backlog"); ok {
		s.Socket.Backlog = int(min(n, 1<<31-1))
	}
}

// parseListen reads one listen address, with names of ports.
func parseListen(s string) (address.Listen, *badValue) {
	l, err := address.Parse(s, namedPort)
	var bad *address.Error
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
