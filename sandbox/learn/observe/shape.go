package observe

import (
	"sync"

	"casemate/sandbox/learn"
	"casemate/sandbox/seccomp"
)

// shape is what is looked at of a call. It is asked for at every stop.
type shape struct {
	name      string // "" of no call
	compares  bool   // rules compare some of its arguments
	path, dir int    // arguments, -1 is none; of dir the working directory
	to, toDir int    // of its second path
}

var shapes = sync.OnceValue(func() []shape {
	list := make([]shape, 1024)
	for nr := range list {
		c := shape{name: seccomp.Name(nr), path: -1, to: -1}
		c.compares = len(learn.Compared(c.name)) > 0
		if path, dir, ok := learn.PathAt(c.name, false); ok {
			c.path, c.dir = path, dir
		}
		if to, dir, ok := learn.PathAt(c.name, true); ok {
			c.to, c.toDir = to, dir
		}
		list[nr] = c
	}
	return list
})

// none is the shape of what is no call.
var none = shape{path: -1, to: -1}

func shapeOf(nr uint64) *shape {
	if list := shapes(); nr < uint64(len(list)) {
		return &list[nr]
	}
	return &none
}
