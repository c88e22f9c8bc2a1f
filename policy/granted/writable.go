package granted

import (
	"cmp"
	"fmt"
	"slices"

	"casemate/sandbox/hostpath"
)

// Writable are the directories of this host that the services of p may write, in order. One
// that cannot be opened is missing here, and refused where its own service is prepared.
func (p *Policy) Writable() []hostpath.ID {
	var ids []hostpath.ID
	seen := make(map[string]bool)
	for i := range p.Services {
		files := &p.Of(&p.Services[i]).Files
		for _, name := range files.Write {
			key := fmt.Sprint(name, files.Map)
			if seen[key] {
				continue
			}
			seen[key] = true
			if f, err := files.Map.Open(name); err == nil {
				ids = append(ids, f.ID())
				f.Close()
			}
		}
	}
	slices.SortFunc(ids, func(a, b hostpath.ID) int { return cmp.Or(cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Ino, b.Ino)) })
	return ids
}
