package score

import (
	"math"
	"path"
	"slices"
	"strings"

	"casemate/sandbox"
)

// Trees are what a path is worth, 0 to 1: by what it is, and else by how deep it lies.
type trees struct {
	named map[string]float64
	depth []float64 // of a path with that many names, the last for all deeper ones
}

// What reading, executing and writing are worth. What is below a path is never worth more than it.
var (
	toRead = trees{map[string]float64{"/etc": 1, "/root": 1, "/home": 1, "/var": 0.8, "/srv": 0.6, "/etc/shadow": 1, "/etc/ssl/private": 0.9,
		"/usr": 0.1, "/usr/lib": 0.02, "/usr/share": 0.02, "/usr/bin": 0.05, "/bin": 0.05, "/sbin": 0.05, "/usr/sbin": 0.05, "/lib": 0.02, "/lib64": 0.02, "/etc/ld.so.cache": 0.01},
		[]float64{1, 0.6, 0.2, 0.15}}
	toExec = trees{map[string]float64{"/usr": 1, "/bin": 0.8, "/sbin": 0.8, "/usr/bin": 0.8, "/usr/sbin": 0.8, "/lib": 0.1, "/lib64": 0.1, "/usr/lib": 0.3, "/usr/lib64": 0.1},
		[]float64{1, 0.8, 0.3, 0.1}}
	toWrite = trees{map[string]float64{"/etc": 1, "/usr": 1, "/bin": 1, "/sbin": 1, "/lib": 1, "/lib64": 1, "/boot": 1, "/root": 1, "/var": 1, "/home": 1, "/opt": 1, "/usr/bin": 1, "/usr/sbin": 1, "/usr/lib": 1, "/usr/local": 1},
		[]float64{1, 0.8, 0.5, 0.35}}
	toDevices = trees{nil, []float64{1, 1, 0.5, 0.5}}
)

// worth is what one path is worth by itself, held below what leads to it.
func (t *trees) worth(name string) float64 {
	v := 1.0
	for depth := 0; ; {
		end := strings.IndexByte(name[min(depth+1, len(name)):], '/')
		at := name
		if end >= 0 {
			at = name[:depth+1+end]
		}
		own, ok := t.named[at]
		if !ok {
			own = t.depth[min(strings.Count(at, "/"), len(t.depth)-1)]
		}
		v = math.Min(v, own)
		if end < 0 {
			return v
		}
		depth = len(at)
	}
}

// of is what paths are worth together: of those below one directory at most what that would be, so that many of its
// parts are never worth more than the whole.
func (t *trees) of(paths []string) float64 {
	type node struct {
		granted bool
		below   map[string]bool
	}
	all := map[string]*node{"/": {below: map[string]bool{}}}
	for _, name := range paths {
		for at, child := name, ""; ; at, child = path.Dir(at), at {
			n := all[at]
			if n == nil {
				n = &node{below: map[string]bool{}}
				all[at] = n
			}
			if child == "" {
				n.granted = true
			} else {
				n.below[child] = true
			}
			if at == "/" {
				break
			}
		}
	}
	var sum func(at string) float64
	sum = func(at string) float64 {
		n, most := all[at], 1.0
		if at != "/" {
			most = t.worth(at)
		}
		if n.granted {
			return most
		}
		left := 1.0
		for child := range n.below {
			left *= 1 - sum(child)
		}
		return math.Min(most, 1-left)
	}
	return sum("/")
}

// onHost are paths as the host has them.
func onHost(f *sandbox.Files, lists ...[]string) (out []string) {
	for _, list := range lists {
		for _, name := range list {
			out = append(out, f.Map.Source(name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
