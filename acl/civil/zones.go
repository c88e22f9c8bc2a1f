// Package civil reads and writes what rules say of time: the spans of a week as people
// write them, and zones by their names. What runs as root does not link it.
//
// The offsets of all zones are a table of this package, made of the tz database by
// generate.go: the same policy has the same digest on every machine, and nobody reads the
// time zones of a host. It reaches to the end of 2059; what holds then goes on.
package civil

import (
	_ "embed"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"casemate/acl"
)

//go:generate go run generate.go

//go:embed zones.txt
var zonesText string

// zones are the changes of all zones by name, as zones.txt writes them.
var zones = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(zonesText) {
		changes, names, ok := strings.Cut(line, " = ")
		for _, name := range strings.Fields(names) {
			if ok && !strings.HasPrefix(line, "#") {
				out[name] = changes
			}
		}
	}
	return out
})

// Names are the names of all zones.
func Names() []string { return slices.Sorted(maps.Keys(zones())) }

// Zone is the zone of a name of the tz database, nil for UTC, or false.
func Zone(name string) (*acl.Zone, bool) {
	changes, ok := zones()[name]
	if !ok || name == "UTC" {
		return nil, ok
	}
	z := &acl.Zone{Name: name}
	for i, w := range strings.Fields(changes) {
		at, offset, _ := strings.Cut(w, ":")
		if i == 0 {
			z.Offset = whole(w)
		} else {
			z.Changes = append(z.Changes, acl.Change{whole(at), whole(offset)})
		}
	}
	return z, true
}

func whole(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("acl/civil: zones.txt: " + err.Error())
	}
	return n
}
