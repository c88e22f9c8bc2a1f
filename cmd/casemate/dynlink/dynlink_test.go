package dynlink

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/tests/need"
)

// TestMissing: of a program of this host, with what its profile shows.
func TestMissing(t *testing.T) {
	hostpath.Self = 0
	const program = "/usr/bin/env"
	if _, err := loadedBy(program); err != nil {
		need.Skip(t, "the programs of this host are not glibc's")
	}
	alone := []string{"/lib64", "/lib/" + tuple + "/" + glibc} // the loader
	for _, tt := range []struct {
		name    string
		files   sandbox.Files
		program string
		env     map[string]string
		lacks   string
		shown   bool
	}{
		{name: "all", files: sandbox.Files{Exec: []string{"/lib", "/lib64", "/usr/lib"}}},
		{name: "not even the loader", lacks: glibc},
		{name: "the loader alone", files: sandbox.Files{Exec: alone}, lacks: "libc.so.6"},
		{name: "the library's directory", files: sandbox.Files{Exec: []string{"/lib64", "/lib/" + tuple, "/usr/lib64"}}},
		{name: "read", files: sandbox.Files{Read: []string{"/lib", "/usr/lib"}, Exec: alone}, lacks: "libc.so.6", shown: true},
		{name: "a script", program: script(t), files: sandbox.Files{Exec: alone}, lacks: "libc.so.6"},
		{name: "a path that is not there", files: sandbox.Files{Exec: []string{"/no/such"}}},
		{name: "an optional path that is not there", files: sandbox.Files{Exec: append(alone, "/no/such"), Optional: []string{"/no/such"}}, lacks: "libc.so.6"},
		{name: "libraries that nobody can tell", files: sandbox.Files{Exec: alone}, env: map[string]string{"LD_LIBRARY_PATH": "lib"}},
	} {
		p := tt.program
		if p == "" {
			p = program
		}
		got := Missing(&Here{}, &tt.files, p, tt.env)
		switch {
		case (got != nil) != (tt.lacks != ""), got != nil && (got.Library != tt.lacks || got.Shown != tt.shown || got.Uncached):
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.lacks)
		case got != nil:
			if _, err := os.Stat(got.Path); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

// TestUncached: a library that only the cache leads to is missing without the cache.
func TestUncached(t *testing.T) {
	hostpath.Self = 0
	found, _ := filepath.Glob("/usr/lib/" + tuple + "/*/*.so") // where no loader looks by itself
	if len(found) == 0 {
		need.Skip(t, "no library of this host lies deeper than /usr/lib/"+tuple)
	}
	tree, err := newTree(&Here{}, &sandbox.Files{Exec: []string{"/usr/lib"}}, "/usr/bin/env")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(found[0])
	s := &search{host: &Here{caches: map[string]map[string][]string{"cache": {name: {found[0]}}}}, tree: tree, cache: "cache"}
	if lib, lack := s.one(&object{path: "/usr/bin/env"}, name); lib == nil || lack != nil {
		t.Errorf("with the cache %+v, %+v", lib, lack)
	}
	s.uncached = true
	if lib, lack := s.one(&object{path: "/usr/bin/env"}, name); lib != nil || lack == nil || !lack.Uncached || lack.Path != found[0] {
		t.Errorf("without it %+v, %+v", lib, lack)
	}
	s.dirs = []string{filepath.Dir(found[0])}
	if lib, lack := s.one(&object{path: "/usr/bin/env"}, name); lib == nil || lack != nil {
		t.Errorf("with its directory %+v, %+v", lib, lack)
	}
}

// script is one that /bin/sh runs, or a program of this host where a test's files are not trusted.
func script(t *testing.T) string {
	if os.Geteuid() != 0 {
		return "/usr/bin/ldd"
	}
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, []byte("#! /bin/sh -e\necho\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestParseCache: what is in a cache, behind the older format or not, and that nothing
// of a broken one makes it fail.
func TestParseCache(t *testing.T) {
	names := []string{"libx.so.1", "/opt/x/libx.so.1", "libx.so.1", "/usr/lib32/libx.so.1"}
	var table, texts []byte
	le := binary.LittleEndian
	for i := 0; i < len(names); i += 2 {
		entry := make([]byte, cacheEntry)
		le.PutUint32(entry, map[int]uint32{0: cacheHere, 2: 0x0003}[i])
		for k, name := range names[i : i+2] {
			le.PutUint32(entry[4+4*k:], uint32(cacheHead+2*cacheEntry+len(texts)))
			texts = append(texts, name+"\x00"...)
		}
		table = append(table, entry...)
	}
	head := make([]byte, cacheHead)
	copy(head, cacheMagic)
	le.PutUint32(head[20:], 2)
	text := slices.Concat(head, table, texts)
	for _, before := range []string{"", "ld.so-1.7.0\x00\x00\x00\x00\x00"} {
		got := parseCache(append([]byte(before), text...))
		if len(got) != 1 || !slices.Equal(got["libx.so.1"], []string{"/opt/x/libx.so.1"}) {
			t.Errorf("%q", got)
		}
	}
	for n := range text {
		parseCache(text[:n])
	}
	le.PutUint32(text[20:], 1<<31)
	le.PutUint32(text[cacheHead+4:], 1<<31)
	parseCache(text)
	if real := readCache(cacheFile); real != nil && len(real["libc.so.6"]) == 0 {
		t.Errorf("the cache of this host has %d names, and no libc.so.6", len(real))
	}
}
