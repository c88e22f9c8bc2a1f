package foresee

import (
	"path"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"
)

// View is what of the host a tree shows, under the host's own names or those of Map. One of nothing but a Host shows nothing.
type View struct {
	Host  Host
	Map   hostpath.Map
	kinds map[string]rootfs.Kind // of binds, by real path
	links map[string]string
}

// Add shows a file of the host, with the links on the way to it.
func (v *View) Add(kind rootfs.Kind, f *hostpath.File) {
	if v.kinds == nil {
		v.kinds, v.links = map[string]rootfs.Kind{}, map[string]string{}
	}
	v.kinds[f.Real] = max(v.kinds[f.Real], kind) // of two at one place the one that is not read alone counts
	for _, k := range f.Links {
		v.links[k.Path] = k.Text
	}
}

// Find follows a path on the host, or in Map, and tells where the host has the file, and as
// what it is shown inside under that name, 0 for not at all. An error is that of the host: there is no such file, or somebody
// else than root chooses which.
func (v *View) Find(name string) (real string, kind rootfs.Kind, err error) {
	f, err := v.Host.Find(v.Map, name)
	if err != nil {
		return "", 0, err
	}
	for _, k := range f.Links {
		// A link is made where it leads to what is shown, and shown where its directory is.
		if text, made := v.links[k.Path]; v.around(k.Path) == 0 && (!made || text != k.Text) {
			return f.Host, 0, nil
		}
	}
	return f.Host, v.around(f.Real), nil
}

// around is the innermost bind that shows a path without links, 0 for none.
func (v *View) around(p string) rootfs.Kind {
	for ; p != "/" && p != "."; p = path.Dir(p) {
		if kind := v.kinds[p]; kind != 0 {
			return kind
		}
	}
	return 0
}
