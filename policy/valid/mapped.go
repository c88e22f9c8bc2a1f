package valid

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"casemate/sandbox"
)

// mapped checks where the host has what a profile names under other paths. Each place has to be
// of use, and to be what its name shows: of a list that names a directory above it alone, the
// sandbox would show what the host has there.
func (c *checker) mapped(at string, f *sandbox.Files) {
	between(c, at+".map", len(f.Map), 0, maxItems)
	named := slices.Concat(f.Read, f.Exec, f.Write)
	for _, name := range slices.Sorted(maps.Keys(f.Map)) {
		here := at + ".map." + name
		if !c.source(here, f.Map[name]) || name != "/" && !c.hostPath(here, name) {
			continue
		}
		below := func(p string) bool { return within(p, name) }
		above := slices.IndexFunc(named, func(p string) bool { return p != name && within(name, p) })
		switch {
		case f.State && within(name, sandbox.StateInside):
			c.add(here, "leave it out, or write state = false", "%q belongs to the service's own state directory", name)
		case above >= 0 && !slices.Contains(named, name):
			c.add(here, fmt.Sprintf("name %s in read, exec or write as well", name), "%q lies in %q, which is shown as it is", name, named[above])
		case !slices.ContainsFunc(named, below):
			c.add(here, fmt.Sprintf("name it, or what is needed of it, in read, exec or write, as exec = [%q]", path.Join(name, "lib")), "nothing of %q is shown", name)
		}
	}
	if len(f.Map) == 0 {
		return
	}
	for kind, paths := range f.Paths {
		for k, p := range paths {
			if i := slices.IndexFunc(f.Write, func(w string) bool { return p != w && within(p, w) }); i >= 0 {
				c.add(fmt.Sprintf("%s.%s.%d", at, kind, k), "put it elsewhere inside", "%q lies in %q, which the service may write, and so take its place away", p, f.Write[i])
			}
		}
	}
}

// source checks a place of the host.
func (c *checker) source(at, name string) bool {
	if !c.text(at, name, 4095) {
		return false
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	switch {
	case !path.IsAbs(name) || path.Clean(name) != name:
		c.add(at, fmt.Sprintf("write it in full, as %q", path.Join("/", name)), "%q is not an absolute, clean path", name)
	case name == "/":
		c.add(at, "name the directories it needs", "the whole host cannot be shown")
	case within(name, sandbox.StateDir):
		c.add(at, "write state = true for the service's own, or move what several services share elsewhere", "%q belongs to the state directories of services", name)
	case top == "proc" || top == "dev":
		c.add(at, `write proc, dev, devices, pty or shm`, "%q is the kernel's, and none of a root tree", name)
	default:
		return true
	}
	return false
}

// within tells whether a path is another one or below it.
func within(p, dir string) bool { return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/") }
