package main

import "strings"

// losses gathers what is not enforced on a host, each said once with the services it is said of.
type losses struct {
	said     []string // in the order of their first service
	services map[string][]string
}

func (l *losses) add(service string, said ...string) {
	if l.services == nil {
		l.services = map[string][]string{}
	}
	for _, s := range said {
		if l.services[s] == nil {
			l.said = append(l.said, s)
		}
		l.services[s] = append(l.services[s], service)
	}
}

// losses prints one line for each, of "this host" or another; -o json has them service by service.
func (a *app) losses(l *losses, host string) {
	const named = 6
	for _, s := range l.said {
		names := l.services[s]
		if more := len(names) - named; more > 0 {
			a.printf("%s and %d more: not enforced on %s: %s\n", strings.Join(names[:named], ", "), more, host, s)
			continue
		}
		a.printf("%s: not enforced on %s: %s\n", strings.Join(names, ", "), host, s)
	}
}
