// Package dynlink tells which shared library a service's program would miss, because its
// profile does not show it. It reads files of the host and is for casemate alone. It
// follows ld.so(8) of glibc, and where it is not sure it finds nothing: only a library
// that the host has, at a place that the profile leaves out, is missing.
package dynlink

import (
	"debug/elf"
	"errors"
	"path"
	"slices"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/foresee"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/machine"
)

// Reads are what Missing may have to read, beside programs that lie elsewhere: those it
// knows nothing about.
var Reads = []string{"/bin", "/sbin", "/lib", "/lib64", "/usr", "/opt", cacheFile}

// Lack is one library that a program does not get.
type Lack struct {
	Library string // as it is asked for: libcrypt.so.1
	By      string // the file that asks for it
	Path    string // where the host has it
	// Shown says that it is shown under read or write, where nothing can be mapped executable.
	Shown bool
	// Uncached says that it is shown, and only found through /etc/ld.so.cache, which is not.
	Uncached bool
}

// defaultDirs are where a loader of glibc looks at last, of all distributions.
var defaultDirs = []string{"/lib/" + tuple, "/usr/lib/" + tuple, "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// maxObjects bounds a program's libraries.
const maxObjects = 1024

// Host answers what is asked of a host beside where its paths lead.
type Host interface {
	foresee.Host
	// Interpreted is the ELF program that a program ends with, and its loader, where that is glibc's.
	Interpreted(m hostpath.Map, program string) (real, loader string, err error)
	// Object is what an ELF file needs, and its run paths as they are written.
	Object(name string) (needed, paths []string, err error)
	// Cached is where the cache of ld.so at a path has a library.
	Cached(cache, library string) []string
}

// Here is the host of this process.
type Here struct {
	foresee.Here
	caches map[string]map[string][]string
}

// Interpreted reads the file system, as Object and Cached do.
func (*Here) Interpreted(m hostpath.Map, program string) (real, loader string, err error) {
	return interpreted(m, program)
}

// Object is for this machine alone.
func (*Here) Object(name string) (needed, paths []string, err error) { return readELF(name) }

// Cached reads a cache once.
func (h *Here) Cached(cache, library string) []string {
	if h.caches == nil {
		h.caches = map[string]map[string][]string{}
	}
	c, ok := h.caches[cache]
	if !ok {
		c = readCache(cache)
		h.caches[cache] = c
	}
	return c[library]
}

// object is a program or library as its search sees it.
type object struct {
	path   string
	needed []string
	dirs   []string // of its own run path
}

// errUnsure says that this package does not know what the loader would do.
var errUnsure = errors.New("not sure")

// Missing tells which library the program, or its interpreter if it is a script, would
// not find; nil is none that it is sure of. env is the service's environment.
func Missing(h Host, f *sandbox.Files, program string, env map[string]string) *Lack {
	program, loader, err := h.Interpreted(f.Map, program)
	if err != nil {
		return nil
	}
	t, err := newTree(h, f, program)
	if err != nil {
		return nil
	}
	if at, err := t.find(loader); err == nil && !at.executable() {
		return &Lack{Library: path.Base(loader), By: program, Path: loader, Shown: at.readable()}
	}
	main, err := open(h, program, program)
	if err != nil {
		return nil
	}
	s := &search{host: h, tree: t, cache: f.Map.Source(cacheFile), dirs: strings.FieldsFunc(env["LD_LIBRARY_PATH"], func(r rune) bool { return r == ':' || r == ';' })}
	if slices.ContainsFunc(s.dirs, func(dir string) bool { return !path.IsAbs(dir) || strings.Contains(dir, "$") }) {
		return nil
	}
	if cached, err := t.find(cacheFile); err != nil || cached.kind == 0 {
		s.uncached = err == nil
	}
	return s.all(main)
}

// search is the way of one program's libraries.
type search struct {
	host     Host
	tree     *tree
	cache    string   // where it is
	dirs     []string // of LD_LIBRARY_PATH, and of run paths that libraries inherit
	uncached bool     // the loader finds no cache
}

// all goes through the libraries of main, and theirs.
func (s *search) all(main *object) *Lack {
	done := map[string]bool{glibc: true} // it is there already
	for todo := []*object{main}; len(todo) > 0 && len(done) < maxObjects; todo = todo[1:] {
		o := todo[0]
		s.dirs = append(s.dirs, o.dirs...)
		for _, name := range o.needed {
			if done[name] {
				continue
			}
			done[name] = true
			next, lack := s.one(o, name)
			if lack != nil {
				return lack
			}
			if next != nil {
				todo = append(todo, next)
			}
		}
	}
	return nil
}

// one finds a library. Neither is known of one that the host itself does not have.
func (s *search) one(o *object, name string) (*object, *Lack) {
	var lack *Lack
	for _, at := range s.places(name) {
		found, err := s.tree.find(at.path)
		if errors.Is(err, errUnsure) {
			return nil, nil
		}
		if err != nil {
			continue // not there
		}
		lib, err := open(s.host, found.real, at.path)
		if err != nil {
			if found.executable() {
				return nil, nil // perhaps it is what the loader takes
			}
			continue
		}
		if found.executable() && !(at.cached && s.uncached) {
			return lib, nil
		}
		if lack == nil {
			lack = &Lack{Library: name, By: o.path, Path: at.path, Shown: found.readable(), Uncached: found.executable()}
		}
	}
	return nil, lack
}

// place is where a library may be; cached says that only the cache leads there.
type place struct {
	path   string
	cached bool
}

func (s *search) places(name string) (out []place) {
	if path.IsAbs(name) {
		return []place{{path: name}}
	}
	if strings.Contains(name, "/") {
		return nil // of the working directory
	}
	for _, dir := range slices.Concat(s.dirs, defaultDirs) {
		out = append(out, place{path: path.Join(dir, name)})
	}
	for _, p := range s.host.Cached(s.cache, name) {
		if !slices.ContainsFunc(out, func(o place) bool { return o.path == p }) {
			out = append(out, place{p, true})
		}
	}
	return out
}

// open reads what a search needs of an ELF file for this machine, which was found at a path.
func open(h Host, name, at string) (*object, error) {
	needed, paths, err := h.Object(name)
	o := &object{path: name, needed: needed}
	for _, list := range paths {
		for dir := range strings.SplitSeq(list, ":") {
			for _, origin := range []string{path.Dir(at), path.Dir(name)} {
				dir := strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
				if strings.Contains(dir, "$") || !path.IsAbs(dir) {
					return nil, errUnsure
				}
				o.dirs = append(o.dirs, path.Clean(dir))
			}
		}
	}
	return o, err
}

// readELF reads what an ELF file for this machine needs, and its run paths.
func readELF(name string) (needed, paths []string, err error) {
	f, err := elf.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 || f.Machine != machine.ELF {
		return nil, nil, errors.New("for another machine")
	}
	if f.Type == elf.ET_EXEC || f.Type == elf.ET_DYN {
		needed, err = f.ImportedLibraries()
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		list, e := f.DynString(tag)
		paths, err = append(paths, list...), errors.Join(err, e)
	}
	return needed, paths, err
}

// Loads are the files that the kernel maps to run a program with glibc, where it is sure of
// them: the program itself or the interpreter that a script ends with, and its loader.
func Loads(program string) []string {
	real, loader, err := interpreted(nil, program)
	if err != nil {
		return nil
	}
	return []string{real, loader}
}

// interpreted is the ELF program that a script ends with, or the program itself, and its
// loader, which has to be glibc's.
func interpreted(m hostpath.Map, program string) (real, loader string, err error) {
	for range 5 { // the kernel takes four interpreters
		file, err := m.Open(program)
		if err != nil {
			return "", "", err
		}
		file.Close()
		next, err := shebang(file.Host)
		if err != nil {
			return "", "", err
		}
		if next == "" {
			loader, err = loadedBy(file.Host)
			return file.Host, loader, err
		}
		program = next
	}
	return "", "", errUnsure
}
